import t from 'tap'
import { prometheusText } from '../../src/cli/prometheus.ts'
import { RateMeter } from '../../src/cli/rates.ts'
import type { Status } from '../../src/cli/status.ts'
import { inWords } from '../../src/cli/status-view.ts'
import type { PendingEntry } from '../../src/vfs/vfs.ts'

const TRAFFIC = { requests: 7, failures: 1, sentBytes: 2048, receivedBytes: 1024 }

function statusOf(...pending: PendingEntry[]): Status {
  return {
    mountpoint: '/home/me/a "b"',
    pid: 42,
    state: 'ready',
    session: 'ok',
    pending,
    quota: { total: 10 * 1024 ** 3, used: 1024 ** 3 },
    cache: { bytes: 5 * 1024 ** 2, capacity: 1024 ** 3, pinned: 1024, hits: 3, misses: 1 },
    traffic: TRAFFIC,
  }
}

function waiting(path: string, more: Partial<PendingEntry> = {}): PendingEntry {
  return { path, size: 100, sent: 0, state: 'waiting', age: 5, ...more }
}

t.test('a quiet mount', async (t) => {
  t.equal(
    inWords(statusOf()),
    `/home/me/a "b": ready, process 42
  session   valid
  cache     5.0 MiB of 1.0 GiB
  quota     1.0 GiB of 10 GiB
  network   2.0 KiB sent, 1.0 KiB received
  pending   nothing`,
  )
})

t.test('what needs somebody has a reason and a remedy; removals are a number', async (t) => {
  const text = inWords(
    statusOf(
      waiting('/c'),
      waiting('/gone', { state: 'removing', size: 0 }),
      waiting('/b', { state: 'error', error: 'ret 1234', code: 'QUOTA' }),
      waiting('/a', { state: 'uploading', sent: 50, rate: 2048, size: 200 }),
      waiting('/d', { state: 'error', error: 'never seen' }),
    ),
    { up: 2048, down: 0 },
  )
  const lines = text.split('\n').slice(4)
  t.equal(lines[0], '  network   2.0 KiB/s up, 0 B/s down')
  t.equal(lines[1], '  pending   4 to send (450 B), 1 to remove')
  t.match(lines[2], /^ {4}uploading +███░{9} +25% +200 B +2.0 KiB\/s +5s {2}\/a$/)
  t.match(lines[3], /^ {4}error .* \/b$/)
  t.match(lines[4], /the drive is full → make room/)
  t.match(lines[5], /^ {4}error .* \/d$/)
  t.equal(lines[6]?.trim(), 'never seen')
  t.match(lines[7], /^ {4}waiting .* \/c$/)
  t.equal(lines.length, 8)
})

t.test('a long list is cut', async (t) => {
  const text = inWords(statusOf(...Array.from({ length: 1000 }, (_, i) => waiting(`/f${i}`))))
  t.equal(text.split('\n').length, 6 + 20 + 1)
  t.match(text, '… and 980 more')
})

t.test('rates come from two looks', async (t) => {
  const meter = new RateMeter()
  t.equal(meter.rates(TRAFFIC, 1000), undefined)
  const later = { ...TRAFFIC, sentBytes: 6048, receivedBytes: 2024 }
  t.same(meter.rates(later, 3000), { up: 2000, down: 500 })
})

t.test('for Prometheus', async (t) => {
  const metrics = {
    loopDelayMs: { p50: 1, p99: 20, max: 30 },
    memory: { rss: 9, heap: 1, buffers: 1 },
  }
  const other = {
    ...statusOf(waiting('/x', { sent: 40 })),
    mountpoint: '/b\n',
    session: 'expired' as const,
  }
  const text = prometheusText([statusOf(), other], [metrics, undefined])
  const lines = text.trimEnd().split('\n')
  for (const line of lines) {
    t.match(line, /^(?:# (?:HELP|TYPE) \w+ .+|weiyun_mount_\w+\{mountpoint=".+"\} -?[\d.]+)$/)
  }
  t.match(text, 'weiyun_mount_quota_used_bytes{mountpoint="/home/me/a \\"b\\""} 1073741824\n')
  t.match(text, 'weiyun_mount_session{mountpoint="/b\\n",state="expired"} 1\n')
  t.match(text, 'weiyun_mount_pending_bytes{mountpoint="/b\\n"} 60\n')
  t.match(text, /weiyun_mount_loop_delay_seconds\{[^}]*\} 0.02\n/)
  const helps = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2])
  t.equal(new Set(helps).size, helps.length, 'each family once, its samples together')
})
