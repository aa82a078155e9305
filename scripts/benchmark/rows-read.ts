// Rows about reading: sequentially, again, the first bytes, at random.
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { seededContent } from '../../src/standin/store/seeded.ts'
import { type Bench, cpuDuring, DOWNLOADS_MAX, type Row, withMount } from './bench.ts'
import { fetchPlainly } from './limit.ts'
import { type Mount, run, timed } from './program.ts'
import { WeiyunMount } from './weiyun.ts'

const BIG = 'read/big'
const HEADS = 5
const HEAD_BYTES = 16 * 1024 * 1024
const RANDOM = 'read/random'
const RANDOM_BYTES = 512 * 1024 * 1024
const RANDOM_JOBS = 8
const RANDOM_READS = 40
const RANDOM_READ_BYTES = 4096

const localBig = ({ dir }: Bench): string => join(dir, 'big')

async function putEverywhere(bench: Bench, path: string, size: number, seed: number) {
  for (const program of bench.programs) await program.put(path, size, seed)
}

/** Seconds to read a file from its beginning to its end, as `cp` and players do. */
async function readThrough(path: string, size: number): Promise<number> {
  const seconds = await timed(async () => {
    const { stderr } = await run('dd', [`if=${path}`, 'of=/dev/null', 'bs=128k'])
    if (!stderr.includes(`${size} bytes`)) throw new Error(`${path}: ${stderr}`)
  })
  return seconds
}

export const sequential: Row = {
  name: 'sequential',
  async prepare(bench) {
    await putEverywhere(bench, BIG, bench.scale.bigBytes, 1)
    await writeFile(localBig(bench), seededContent(bench.scale.bigBytes, 1))
  },

  async run(bench, label) {
    const { scale, network, note } = bench
    const local = localBig(bench)
    const limit = await fetchPlainly(network, local, scale.bigBytes, DOWNLOADS_MAX)
    note('limit', 'cold sequential read', limit)
    await readThrough(local, scale.bigBytes)
    note('limit', 'read again', await readThrough(local, scale.bigBytes))
    for (const program of bench.programs) {
      await withMount(program.mount(`sequential-${label}`), async (mount) => {
        const path = join(mount.point, BIG)
        if (mount instanceof WeiyunMount) await mount.metrics()
        const cpu = await cpuDuring(mount, async () => {
          const seconds = await readThrough(path, scale.bigBytes)
          note(program.name, 'cold sequential read', seconds)
        })
        note(program.name, 'its processor time', cpu)
        if (mount instanceof WeiyunMount) {
          const { loopDelayMs } = await mount.metrics()
          note(program.name, 'event loop late, p99', loopDelayMs?.p99 ?? Number.NaN)
        }
        note(program.name, 'read again', await readThrough(path, scale.bigBytes))
      })
    }
  },
}

export const firstBytes: Row = {
  name: 'first',
  async prepare(bench) {
    for (let index = 0; index < HEADS; index++) {
      await putEverywhere(bench, `heads/${index}`, HEAD_BYTES, 10 + index)
    }
  },

  async run(bench, label) {
    const { network, note } = bench
    for (const program of bench.programs) {
      await withMount(program.mount(`first-${label}`), async (mount) => {
        const dir = join(mount.point, 'heads')
        await run('ls', ['-l', dir])
        for (let index = 0; index < HEADS; index++) {
          const seconds = await timed(() => readHead(join(dir, String(index))))
          note(program.name, 'first bytes', seconds * 1000)
        }
      })
    }
    note('limit', 'first bytes', 3 * network.shape.rttMs)
  },
}

async function readHead(path: string): Promise<void> {
  const file = await open(path)
  try {
    const { bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
    if (bytesRead !== 4096) throw new Error(`${path}: ${bytesRead} bytes`)
  } finally {
    await file.close()
  }
}

export const random: Row = {
  name: 'random',
  prepare: (bench) => putEverywhere(bench, RANDOM, RANDOM_BYTES, 2),

  async run(bench, label) {
    for (const program of bench.programs) {
      await withMount(program.mount(`random-${label}`), async (mount) => {
        await run('ls', ['-l', join(mount.point, 'read')])
        const { result: seconds, crossed } = await bench.network.during(() => readAtRandom(mount))
        const reads = RANDOM_JOBS * RANDOM_READS
        bench.note(program.name, 'random reads', reads / seconds)
        const fetched = crossed.down / (reads * RANDOM_READ_BYTES)
        bench.note(program.name, 'fetched for a byte asked', fetched)
      })
    }
  },
}

/** Seconds of the slowest of the threads. */
async function readAtRandom(mount: Mount): Promise<number> {
  const { stdout } = await run('fio', [
    '--name=random',
    `--filename=${join(mount.point, RANDOM)}`,
    '--rw=randread',
    '--ioengine=psync',
    `--bs=${RANDOM_READ_BYTES}`,
    `--size=${RANDOM_BYTES}`,
    '--thread',
    `--numjobs=${RANDOM_JOBS}`,
    `--number_ios=${RANDOM_READS}`,
    '--readonly',
    // Few programs tell the kernel that they read at random.
    '--fadvise_hint=0',
    '--group_reporting=0',
    '--output-format=json',
  ])
  const { jobs } = JSON.parse(stdout) as {
    jobs: { read: { runtime: number; total_ios: number } }[]
  }
  const total = jobs.reduce((sum, { read }) => sum + read.total_ios, 0)
  if (total !== RANDOM_JOBS * RANDOM_READS) throw new Error(`fio made ${total} reads`)
  return Math.max(...jobs.map(({ read }) => read.runtime)) / 1000
}
