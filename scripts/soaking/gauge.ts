// What a mount process takes of the machine, read now and then, and whether it grows.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes, or a count for descriptors and threads. */
export interface Sample {
  rss: number
  heap: number
  buffers: number
  descriptors: number
  threads: number
  stateFile: number
  cacheIndex: number
  cache: number
}

interface Gauge {
  title: string
  isCount?: true
  /** Growth up to here is noise: the collector's, or a database's free pages. */
  slack: number
}

const MiB = 1024 * 1024

const GAUGES: Record<keyof Sample, Gauge> = {
  rss: { title: 'resident memory', slack: 40 * MiB },
  heap: { title: 'JavaScript heap', slack: 25 * MiB },
  buffers: { title: 'buffers', slack: 40 * MiB },
  descriptors: { title: 'open descriptors', isCount: true, slack: 20 },
  threads: { title: 'threads', isCount: true, slack: 2 },
  stateFile: { title: 'state file', slack: 8 * MiB },
  cacheIndex: { title: 'index of the cache', slack: 4 * MiB },
  cache: { title: 'cache', slack: 32 * MiB },
}

/** Reads what the kernel and the disk know; memory by kind and the cache are the mount's to say. */
export async function readSample(
  pid: number,
  dirs: { state: string; cache: string },
  told: { heap: number; buffers: number; cache: number },
): Promise<Sample> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1])
  return {
    ...told,
    rss: field('VmRSS') * 1024,
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    threads: field('Threads'),
    stateFile: await databaseBytes(join(dirs.state, 'state.db')),
    cacheIndex: await databaseBytes(join(dirs.cache, 'blocks.db')),
  }
}

async function databaseBytes(path: string): Promise<number> {
  const sizes = ['', '-wal'].map(
    async (end) => (await stat(path + end).catch(() => undefined))?.size,
  )
  return (await Promise.all(sizes)).reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

/** Medians of the quarters of a run, line by line, and the gauges that went on growing. */
export function judge(samples: readonly Sample[]): { table: string; growing: string[] } {
  const quarter = Math.ceil(samples.length / 4)
  const quarters = [0, 1, 2, 3].map((n) => samples.slice(n * quarter, (n + 1) * quarter))
  const lines = ['| | 1st quarter | 2nd | 3rd | 4th | highest |', '|---|---|---|---|---|---|']
  const growing: string[] = []
  for (const [name, gauge] of Object.entries(GAUGES) as [keyof Sample, Gauge][]) {
    const medians = quarters.map((part) => median(part.map((sample) => sample[name])))
    const highest = Math.max(...samples.map((sample) => sample[name]))
    const cells = [...medians, highest].map((value) => shown(value, gauge))
    lines.push(`| ${[gauge.title, ...cells].join(' | ')} |`)
    const [, second = 0, , last = 0] = medians
    if (last - second > Math.max(gauge.slack, second * 0.1)) growing.push(gauge.title)
  }
  return { table: lines.join('\n'), growing }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function shown(value: number, { isCount }: Gauge): string {
  return isCount ? String(value) : `${(value / MiB).toFixed(1)} MiB`
}
