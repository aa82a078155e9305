// Rows about the tree: listing it cold and warm, and starting with much of it known.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bench, cpuDuring, localDir, type Row, withMount } from './bench.ts'
import { residentBytes, run, timed } from './program.ts'

const MiB = 1024 * 1024

/** With the attributes, as most programs that walk a tree want them. */
const FIND = 'set -o pipefail; find "$1" -printf "%s %p\\n" | wc -l'

/** Seconds of a `find` over a directory in which it must see so many entries. */
async function findAll(path: string, entries: number): Promise<number> {
  let found = 0
  const seconds = await timed(async () => {
    const { stdout } = await run('bash', ['-c', FIND, 'find', path])
    found = Number(stdout) - 1
  })
  if (found !== entries) throw new Error(`find saw ${found} of ${entries} entries`)
  return seconds
}

async function fillDirs(bench: Bench, name: string, dirs: number, perDir: number): Promise<void> {
  for (const program of bench.programs) {
    for (let index = 0; index < dirs; index++) {
      await program.fill(`${name}/dir-${String(index).padStart(4, '0')}`, perDir)
    }
  }
}

export const find: Row = {
  name: 'find',
  prepare: (bench) => fillDirs(bench, 'tree', bench.scale.dirs, bench.scale.filesPerDir),

  async run(bench, label) {
    const { scale, network, weiyun, note } = bench
    const entries = scale.dirs * (scale.filesPerDir + 1)
    for (const program of bench.programs) {
      await withMount(program.mount(`find-${label}`), async (mount) => {
        const path = join(mount.point, 'tree')
        const cpu = await cpuDuring(mount, async () => {
          note(program.name, 'find, cold', await findAll(path, entries))
        })
        note(program.name, 'its processor time', cpu)
        const before = await weiyun.requests()
        const { result: warm } = await network.during(() => findAll(path, entries))
        note(program.name, 'find, warm', warm)
        if (program === weiyun) {
          note(program.name, 'requests of that', (await weiyun.requests()) - before)
        }
      })
    }
  },
}

const CACHES = 'known'

/**
 * Everything known and much of it unsent, as after a long flight: the caches are made once and used
 * by every run.
 */
export const known: Row = {
  name: 'known',
  async prepare(bench) {
    const { network, weiyun, scale } = bench
    const { shape } = network
    await fillDirs({ ...bench, programs: [weiyun] }, 'known', scale.knownDirs, scale.knownPerDir)
    await network.setShape({ rttMs: 0, bandwidth: 0 })
    await withMount(weiyun.mount(CACHES), async (mount) => {
      await findAll(join(mount.point, 'known'), entriesOf(bench))
    })
    await network.setShape(shape)
    const source = await localDir(bench, 'unsent')
    for (let index = 0; index < scale.waiting; index++) {
      const dir = join(source, `dir-${index % 100}`)
      await mkdir(dir, { recursive: true })
      await writeFile(join(dir, String(index)), `unsent ${index}\n`)
    }
    await withMount(weiyun.mount(CACHES, await network.forward()), async (mount) => {
      await run('cp', ['-r', source, join(mount.point, 'unsent')])
    })
  },

  async run(bench) {
    const { network, weiyun, scale, note } = bench
    const nowhere = await network.forward()
    const startMs = performance.now()
    await withMount(weiyun.mount(CACHES, nowhere), async (mount) => {
      await run('ls', [join(mount.point, 'known/dir-0000')])
      note('weiyun-mount', 'usable without network', (performance.now() - startMs) / 1000)
      const waiting = await findAll(join(mount.point, 'unsent'), scale.waiting + 100)
      note('weiyun-mount', 'find in what waits', waiting)
      const seconds = await findAll(join(mount.point, 'known'), entriesOf(bench))
      note('weiyun-mount', 'find in what is known', seconds)
      note('weiyun-mount', 'memory with all of it known', (await residentBytes(mount.pid)) / MiB)
    })
  },
}

function entriesOf({ scale }: Bench): number {
  return scale.knownDirs * (scale.knownPerDir + 1)
}
