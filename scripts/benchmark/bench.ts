// What every row gets: both programs over one network, the size of the work, and a place for its
// readings.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Network } from './network.ts'
import { cpuSeconds, type Mount, type Program } from './program.ts'
import type { Rclone } from './rclone.ts'
import type { Weiyun } from './weiyun.ts'

/**
 * Account figures of the local service, which are the real one's: `max_dl_tasks` and
 * `max_ul_tasks`.
 */
export const DOWNLOADS_MAX = 5
export const UPLOADS_MAX = 10

/** How much work the rows are: the goals are for the full size. */
export interface Scale {
  readonly bigBytes: number
  readonly smallFiles: number
  readonly dirs: number
  readonly filesPerDir: number
  readonly knownDirs: number
  readonly knownPerDir: number
  readonly waiting: number
}

const MiB = 1024 * 1024
export const FULL: Scale = {
  bigBytes: 256 * MiB,
  smallFiles: 2000,
  dirs: 200,
  filesPerDir: 50,
  knownDirs: 200,
  knownPerDir: 1000,
  waiting: 10_000,
}
export const QUICK: Scale = {
  bigBytes: 64 * MiB,
  smallFiles: 200,
  dirs: 20,
  filesPerDir: 50,
  knownDirs: 20,
  knownPerDir: 1000,
  waiting: 1000,
}

export type Who = Program['name'] | 'limit'
export type Note = (who: Who, measure: string, value: number) => void

export interface Bench {
  readonly network: Network
  readonly weiyun: Weiyun
  readonly rclone: Rclone
  readonly programs: readonly Program[]
  readonly scale: Scale
  /** Files of the benchmark's own, on the local disk. */
  readonly dir: string
  note: Note
}

/** One row of the table in the design, which may yield several measures. */
export interface Row {
  readonly name: string
  /** Puts on the services what the row needs; once for all runs. */
  prepare?(bench: Bench): Promise<void>
  /** One run. `label` is another for each, for caches and names that must be new. */
  run(bench: Bench, label: string): Promise<void>
}

/** Runs `work` on a mount, and unmounts whatever happens. */
export async function withMount<M extends Mount>(
  mounting: Promise<M>,
  work: (mount: M) => Promise<void>,
): Promise<void> {
  const mount = await mounting
  try {
    await work(mount)
  } finally {
    await mount.unmount()
  }
}

/** Seconds of the processor that a mount uses while `work` runs. */
export async function cpuDuring(mount: Mount, work: () => Promise<unknown>): Promise<number> {
  const before = await cpuSeconds(mount.pid)
  await work()
  return (await cpuSeconds(mount.pid)) - before
}

/** A new directory of the benchmark's own. */
export async function localDir(bench: Bench, name: string): Promise<string> {
  const path = join(bench.dir, name)
  await mkdir(path, { recursive: true })
  return path
}
