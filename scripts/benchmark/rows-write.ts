// Rows about writing: many small files in, a tree brought up to date, a copy inside the drive.
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bench, cpuDuring, localDir, type Row, UPLOADS_MAX, withMount } from './bench.ts'
import { run, timed } from './program.ts'

const SMALL_BYTES = 4096
const SMALL_PER_DIR = 200
/** Announcing by hash, then the bytes. */
const REQUESTS_A_FILE = 2

/**
 * A tree of files whose contents nobody has seen before: by hash they would take no time at all.
 */
async function makeSmallFiles(bench: Bench, name: string, count: number): Promise<string> {
  const dir = await localDir(bench, name)
  for (let index = 0; index < count; index++) {
    const parent = join(dir, `dir-${Math.floor(index / SMALL_PER_DIR)}`)
    if (index % SMALL_PER_DIR === 0) await mkdir(parent)
    await writeFile(join(parent, `file-${index}`), randomBytes(SMALL_BYTES))
  }
  return dir
}

export const smallFiles: Row = {
  name: 'small',
  async run(bench, label) {
    const { scale, network, note } = bench
    const roundTrips = (scale.smallFiles * REQUESTS_A_FILE) / UPLOADS_MAX
    note('limit', 'all of it on the service', (roundTrips * network.shape.rttMs) / 1000)
    for (const program of bench.programs) {
      const name = `small-${label}-${program.name}`
      const source = await makeSmallFiles(bench, name, scale.smallFiles)
      const copy = `${source}-copy`
      const local = await timed(() => run('cp', ['-r', source, copy]))
      note('limit', 'cp -r in, a file', (local * 1000) / scale.smallFiles)
      await withMount(program.mount(`small-${label}`), async (mount) => {
        const target = `small-${label}`
        await run('ls', [mount.point])
        let inSeconds = 0
        let allSeconds = 0
        const cpu = await cpuDuring(mount, async () => {
          allSeconds = await timed(async () => {
            inSeconds = await timed(() => run('cp', ['-r', source, join(mount.point, target)]))
            await mount.settle(target, scale.smallFiles, scale.smallFiles * SMALL_BYTES)
          })
        })
        note(program.name, 'cp -r in, a file', (inSeconds * 1000) / scale.smallFiles)
        note(program.name, 'all of it on the service', allSeconds)
        note(program.name, 'its processor time, in and up', cpu)
      })
    }
  },
}

export const rsync: Row = {
  name: 'rsync',
  async run(bench, label) {
    const { network, note } = bench
    const count = bench.scale.smallFiles / 4
    for (const program of bench.programs) {
      const source = await makeSmallFiles(bench, `rsync-${label}-${program.name}`, count)
      await withMount(program.mount(`rsync-${label}`), async (mount) => {
        const target = `rsync-${label}`
        const args = ['-a', '--itemize-changes', `${source}/`, join(mount.point, target)]
        await run('rsync', args)
        await mount.settle(target, count, count * SMALL_BYTES)
        const again = async () => {
          const { stdout } = await run('rsync', args)
          return stdout.split('\n').filter((line) => line !== '').length
        }
        let moved = 0
        const { result: seconds, crossed } = await network.during(() =>
          timed(async () => {
            moved = await again()
          }),
        )
        note(program.name, 'rsync -a again', seconds)
        note(program.name, 'entries changed by that', moved)
        note(program.name, 'bytes moved by that', crossed.up + crossed.down)
      })
    }
  },
}

const ORIGINAL = 'copy/original'

export const copyInside: Row = {
  name: 'copy',
  async prepare({ programs, scale }) {
    for (const program of programs) await program.put(ORIGINAL, scale.bigBytes, 3)
  },

  async run(bench, label) {
    const { network, note } = bench
    note('limit', 'cp inside the drive', 0.1 + (3 * network.shape.rttMs) / 1000)
    for (const program of bench.programs) {
      await withMount(program.mount(`copy-${label}`), async (mount) => {
        const dir = join(mount.point, 'copy')
        await run('ls', ['-l', dir])
        const { result: seconds, crossed } = await network.during(async () => {
          const copied = await timed(() =>
            run('cp', [join(mount.point, ORIGINAL), join(dir, `to-${label}`)]),
          )
          const files = 1 + Number(label)
          await mount.settle(`copy`, files, files * bench.scale.bigBytes)
          return copied
        })
        note(program.name, 'cp inside the drive', seconds)
        note(program.name, 'bytes moved by that', crossed.up + crossed.down)
      })
    }
  },
}
