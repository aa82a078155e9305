// What the status page shows, in words where they are words: the script in the browser only places
// them.
import type { PendingEntry } from '../vfs/vfs.ts'
import { tr } from './language.ts'
import type { Status } from './status.ts'
import type { History, Sample } from './status-history.ts'
import {
  factsOf,
  figuresOf,
  inState,
  share,
  shortList,
  speeds,
  titleOf,
  troubleOf,
} from './status-view.ts'
import { formatSize } from './units.ts'

export interface PageData {
  readonly mounts: readonly MountData[]
}

export interface MountData {
  readonly pid: number
  readonly title: string
  readonly facts: readonly (readonly [string, string])[]
  readonly queue: readonly QueueRow[]
  /** How many are left out, in words, or empty. */
  readonly more: string
  readonly charts: readonly Chart[]
}

interface QueueRow {
  readonly path: string
  readonly state: string
  /** 0 to 1 while it is being sent. */
  readonly done: number | null
  readonly size: string
  readonly rate: string
  readonly age: string
  /** What is wrong and what helps, or empty. */
  readonly trouble: string
}

/** Lines over time, all to one scale from 0 to `max`. */
interface Chart {
  readonly title: string
  /** The chart in words, for those who do not see it. */
  readonly text: string
  readonly max: number
  readonly maxText: string
  readonly lines: readonly { readonly name: string; readonly values: readonly number[] }[]
}

export function pageData(statuses: readonly Status[], history: History): PageData {
  return { mounts: statuses.map((status) => mountData(status, history.of(status))) }
}

function mountData(status: Status, samples: readonly Sample[]): MountData {
  const { shown, more } = shortList(status.pending)
  const now = samples.at(-1)
  return {
    pid: status.pid,
    title: titleOf(status),
    facts: factsOf(status, now),
    queue: shown.map(queueRow),
    more: more > 0 ? tr('… and {count} more', { count: more }) : '',
    charts: [throughput(samples), ...(status.quota ? [quota(status.quota, samples)] : [])],
  }
}

function queueRow(entry: PendingEntry): QueueRow {
  const [size, rate, age] = figuresOf(entry)
  const isSending = entry.state === 'uploading'
  return {
    path: entry.path,
    state: inState(entry.state),
    done: isSending ? Math.min(1, entry.sent / Math.max(1, entry.size)) : null,
    size,
    rate,
    age,
    trouble: troubleOf(entry) ?? '',
  }
}

function throughput(samples: readonly Sample[]): Chart {
  const up = samples.map((sample) => sample.up)
  const down = samples.map((sample) => sample.down)
  const max = Math.max(1024, ...up, ...down)
  return {
    title: tr('Throughput'),
    text: speeds(samples.at(-1) ?? { up: 0, down: 0 }),
    max,
    maxText: `${formatSize(max)}/s`,
    lines: [
      { name: tr('up'), values: up },
      { name: tr('down'), values: down },
    ],
  }
}

function quota(
  { used, total }: { used: number; total: number },
  samples: readonly Sample[],
): Chart {
  return {
    title: tr('Space on the drive'),
    text: share(used, total),
    max: total,
    maxText: formatSize(total),
    lines: [{ name: tr('used'), values: samples.map((sample) => sample.used ?? used) }],
  }
}
