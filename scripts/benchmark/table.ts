// The table of the benchmark: what each measure is to reach, and how readings become lines of
// Markdown.
import type { Who } from './bench.ts'

/** Medians of one measure; a program to which it does not apply has none. */
export type Medians = Readonly<Record<Who, number>>

interface Goal {
  readonly unit: string
  readonly words?: string
  reached?(medians: Medians): boolean
}

const OURS = 'weiyun-mount'

/** By row and measure. Those without words are there to explain the others. */
const GOALS: Readonly<Record<string, Readonly<Record<string, Goal>>>> = {
  sequential: {
    'cold sequential read': {
      unit: 's',
      words: '≥ 0.9 of the limit, ≥ 4 × rclone',
      reached: (m) => m[OURS] <= m.limit / 0.9 && m[OURS] <= m.rclone / 4,
    },
    'its processor time': { unit: 's' },
    'event loop late, p99': { unit: 'ms', words: '< 10 ms', reached: (m) => m[OURS] < 10 },
    'read again': {
      unit: 's',
      words: 'within 10 % of a local file',
      reached: (m) => m[OURS] <= m.limit * 1.1,
    },
  },
  first: {
    'first bytes': {
      unit: 'ms',
      words: '≤ 3 round trips (and what 64 KiB take)',
      // A block at 8 MiB/s, and a timer of the proxy each way.
      reached: (m) => m[OURS] <= m.limit + 12,
    },
  },
  random: {
    'random reads': {
      unit: 'a second',
      words: '≥ 2 × rclone',
      reached: (m) => m[OURS] >= m.rclone * 2,
    },
    'fetched for a byte asked': { unit: 'bytes', words: '≤ 32', reached: (m) => m[OURS] <= 32 },
  },
  small: {
    'cp -r in, a file': { unit: 'ms', words: '≤ 1 ms', reached: (m) => m[OURS] <= 1 },
    'all of it on the service': {
      unit: 's',
      words: '≤ 1.25 of the round trips, ≤ a sixth of rclone',
      reached: (m) => m[OURS] <= m.limit * 1.25 && m[OURS] <= m.rclone / 6,
    },
    'its processor time, in and up': { unit: 's' },
  },
  rsync: {
    'rsync -a again': { unit: 's' },
    'entries changed by that': { unit: '', words: '0', reached: (m) => m[OURS] === 0 },
    'bytes moved by that': { unit: 'bytes', words: '0', reached: (m) => m[OURS] === 0 },
  },
  copy: {
    'cp inside the drive': {
      unit: 's',
      words: '≤ 100 ms + 3 round trips',
      reached: (m) => m[OURS] <= m.limit,
    },
    'bytes moved by that': {
      unit: 'bytes',
      words: 'no data',
      reached: (m) => m[OURS] < 64 * 1024,
    },
  },
  find: {
    'find, cold': {
      unit: 's',
      words: '≤ a third of rclone',
      reached: (m) => m[OURS] <= m.rclone / 3,
    },
    'its processor time': { unit: 's' },
    'find, warm': { unit: 's', words: '≤ rclone', reached: (m) => m[OURS] <= m.rclone },
    'requests of that': { unit: '', words: '0', reached: (m) => m[OURS] === 0 },
  },
  known: {
    'usable without network': { unit: 's', words: '≤ 1 s', reached: (m) => m[OURS] <= 1 },
    'find in what waits': { unit: 's' },
    'find in what is known': { unit: 's' },
    'memory with all of it known': {
      unit: 'MiB',
      words: '< 300 MiB',
      reached: (m) => m[OURS] < 300,
    },
  },
}

export class Readings {
  readonly #values = new Map<string, number[]>()

  note(row: string, who: Who, measure: string, value: number): void {
    if (GOALS[row]?.[measure] === undefined) throw new Error(`no measure ${row}: ${measure}`)
    const key = `${row}:${measure}:${who}`
    this.#values.set(key, [...(this.#values.get(key) ?? []), value])
  }

  /** Markdown: a line for each measure that has readings. */
  table(): string {
    const lines = [
      '| row | measure | weiyun-mount | rclone | limit | goal | |',
      '|---|---|---:|---:|---:|---|---|',
    ]
    for (const [row, measures] of Object.entries(GOALS)) {
      for (const [measure, goal] of Object.entries(measures)) {
        const medians = this.#medians(row, measure)
        if (!Number.isNaN(medians[OURS])) lines.push(lineOf(row, measure, goal, medians))
      }
    }
    return lines.join('\n')
  }

  #medians(row: string, measure: string): Medians {
    const medianOf = (who: Who) => median(this.#values.get(`${row}:${measure}:${who}`) ?? [])
    return { [OURS]: medianOf(OURS), rclone: medianOf('rclone'), limit: medianOf('limit') }
  }
}

function lineOf(row: string, measure: string, goal: Goal, medians: Medians): string {
  const ours = medians[OURS]
  const ratio = (other: number) =>
    Number.isNaN(other) ? '' : `${round(other)}${ours > 0 ? ` (${round(other / ours)} ×)` : ''}`
  const verdict = goal.reached === undefined ? '' : goal.reached(medians) ? 'yes' : '**no**'
  const cells = [row, measure, `${round(ours)} ${goal.unit}`.trim()]
  cells.push(ratio(medians.rclone), ratio(medians.limit), goal.words ?? '', verdict)
  return `| ${cells.join(' | ')} |`
}

/** NaN of nothing. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length === 0
    ? Number.NaN
    : ((sorted[Math.floor(middle - 0.5)] as number) + (sorted[Math.floor(middle)] as number)) / 2
}

/** Three digits that mean something. */
function round(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)))
}
