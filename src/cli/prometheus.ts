// A mount's figures in Prometheus' text format, for a textfile collector or a scrape.
// FORMAT (its version 0.0.4): `# HELP name text`, `# TYPE name kind`, then `name{label="value"}
// number` a line.
import type { Metrics } from './metrics.ts'
import type { Status } from './status.ts'

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

interface Family {
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  readonly help: string
  samples(status: Status, metrics: Metrics | undefined): readonly Sample[]
}

const one = (value: number | undefined): readonly Sample[] =>
  value === undefined ? [] : [[{}, value]]

/** One sample for each of the states, 1 where it is that of now. */
const states = (now: string, ...all: string[]): readonly Sample[] =>
  all.map((state) => [{ state }, state === now ? 1 : 0])

const PENDING = ['open', 'waiting', 'uploading', 'removing', 'error'] as const

const FAMILIES: readonly Family[] = [
  {
    name: 'session',
    kind: 'gauge',
    help: 'Whether the service takes our session.',
    samples: ({ session }) => states(session, 'ok', 'unreachable', 'expired'),
  },
  {
    name: 'draining',
    kind: 'gauge',
    help: '1 while an ended mount finishes its uploads.',
    samples: ({ state }) => one(state === 'draining' ? 1 : 0),
  },
  {
    name: 'pending_entries',
    kind: 'gauge',
    help: 'Changes that the service does not have yet.',
    samples: ({ pending }) =>
      PENDING.map((state) => [{ state }, pending.filter((entry) => entry.state === state).length]),
  },
  {
    name: 'pending_bytes',
    kind: 'gauge',
    help: 'Bytes still to be sent.',
    samples: ({ pending }) => one(pending.reduce((sum, { size, sent }) => sum + size - sent, 0)),
  },
  {
    name: 'pending_age_seconds',
    kind: 'gauge',
    help: 'Age of the oldest pending change.',
    samples: ({ pending }) => one(pending.reduce((oldest, { age }) => Math.max(oldest, age), 0)),
  },
  {
    name: 'quota_bytes',
    kind: 'gauge',
    help: 'Size of the drive.',
    samples: ({ quota }) => one(quota?.total),
  },
  {
    name: 'quota_used_bytes',
    kind: 'gauge',
    help: 'Used of the drive.',
    samples: ({ quota }) => one(quota?.used),
  },
  {
    name: 'cache_bytes',
    kind: 'gauge',
    help: 'Size of the cache on disk.',
    samples: ({ cache }) => one(cache.bytes),
  },
  {
    name: 'cache_capacity_bytes',
    kind: 'gauge',
    help: 'Bound of the cache.',
    samples: ({ cache }) => one(cache.capacity),
  },
  {
    name: 'cache_pinned_bytes',
    kind: 'gauge',
    help: 'Pinned content, which is never evicted.',
    samples: ({ cache }) => one(cache.pinned),
  },
  {
    name: 'cache_lookups_total',
    kind: 'counter',
    help: 'Blocks of 64 KiB asked of the cache on disk.',
    samples: ({ cache }) => [
      [{ result: 'hit' }, cache.hits],
      [{ result: 'miss' }, cache.misses],
    ],
  },
  {
    name: 'requests_total',
    kind: 'counter',
    help: 'HTTP requests to the service.',
    samples: ({ traffic }) => one(traffic.requests),
  },
  {
    name: 'request_failures_total',
    kind: 'counter',
    help: 'HTTP requests without a usable reply.',
    samples: ({ traffic }) => one(traffic.failures),
  },
  {
    name: 'transferred_bytes_total',
    kind: 'counter',
    help: 'Bodies of requests and replies.',
    samples: ({ traffic }) => [
      [{ direction: 'up' }, traffic.sentBytes],
      [{ direction: 'down' }, traffic.receivedBytes],
    ],
  },
  {
    name: 'resident_memory_bytes',
    kind: 'gauge',
    help: 'Memory of the process.',
    samples: (_status, metrics) => one(metrics?.memory.rss),
  },
  {
    name: 'loop_delay_seconds',
    kind: 'gauge',
    help: 'How late the event loop was since the last look, at the 99th percentile.',
    samples(_status, metrics) {
      const delay = metrics?.loopDelayMs
      return delay ? one(delay.p99 / 1000) : []
    },
  },
]

/** All mounts together, told apart by a label; `metrics[i]` belongs to `statuses[i]`. */
export function prometheusText(
  statuses: readonly Status[],
  metrics: readonly (Metrics | undefined)[],
): string {
  return FAMILIES.map(({ name, kind, help, samples }) => {
    const full = `weiyun_mount_${name}`
    const lines = statuses.flatMap((status, index) =>
      samples(status, metrics[index]).map(
        ([labels, value]) => `${full}${labelText(status.mountpoint, labels)} ${value}\n`,
      ),
    )
    return `# HELP ${full} ${help}\n# TYPE ${full} ${kind}\n${lines.join('')}`
  }).join('')
}

function labelText(mountpoint: string, labels: Labels): string {
  const pairs = Object.entries({ mountpoint, ...labels }).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
    return `${name}="${escaped}"`
  })
  return `{${pairs.join()}}`
}
