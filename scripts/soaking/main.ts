// Several users work on one mount for a while, another device changes things behind it, and the
// session lapses now and then. At the end a table says what the process took of the machine, and
// whether that went on growing. Called by scripts/soak.
import { mkdir, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { askMount } from '../../src/cli/control.ts'
import type { Metrics } from '../../src/cli/metrics.ts'
import { Random } from '../../test/fixtures/random.ts'
import { World } from '../../test/fixtures/torture/world.ts'
import { judge, readSample, type Sample } from './gauge.ts'
import { type Place, prepare, WORK } from './work.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    entries: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    /** Leaves a snapshot of the heap there, a quarter into the run and at its end. */
    snapshots: { type: 'string' },
  },
})

const SAMPLE_MS = 10_000
/** The session is dead for so long, every so often. */
const EXPIRED_MS = 4_000
const EXPIRE_EVERY_MS = 5 * 60_000
/** What fails so soon after the session came back may have begun while it was dead. */
const TROUBLE_MS = 20_000
const DIR_TTL_MS = 5_000
const ARGS = ['--log-level', 'warn', '--cache-size', '256M', '--dir-ttl', `${DIR_TTL_MS}ms`]
ARGS.push('--write-back', '500ms')

const minutes = Number(values.minutes)
const lengthMs = minutes * 60_000
const done = new AbortController()
const failures: string[] = []
const counts = new Map<string, number>()
let troubledUntilMs = 0

async function repeat(name: string, place: Place): Promise<void> {
  const work = WORK[name]
  while (!done.signal.aborted) {
    try {
      await work?.(place)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    } catch (error) {
      if (Date.now() > troubledUntilMs) failures.push(`${name}: ${(error as Error).stack}`)
      await sleep(1_000)
    }
  }
}

async function expireNowAndThen(world: World): Promise<void> {
  while (!done.signal.aborted) {
    await pause(EXPIRE_EVERY_MS)
    if (done.signal.aborted) return
    troubledUntilMs = Number.POSITIVE_INFINITY
    world.admin.expireSession()
    await sleep(EXPIRED_MS)
    await world.admin.rotateSession()
    troubledUntilMs = Date.now() + TROUBLE_MS
  }
}

async function sample(world: World, samples: Sample[]): Promise<void> {
  const { pid } = await world.status()
  const signal = () => values.snapshots !== undefined && process.kill(pid, 'SIGUSR2')
  const dirs = { state: world.stateDir, cache: world.cacheDir }
  let isSnapped = false
  while (!done.signal.aborted) {
    await pause(SAMPLE_MS)
    if (done.signal.aborted) break
    const { memory } = (await askMount(world.mountpoint, { do: 'metrics' })) as Metrics
    const { cache } = await world.status()
    samples.push(await readSample(pid, dirs, { ...memory, cache: cache.bytes }))
    const { rss, heap, descriptors } = samples.at(-1) as Sample
    const memories = [rss, heap].map((bytes) => Math.round(bytes / 1024 / 1024))
    console.log(`${minutesSince(startMs)} min: ${memories.join('/')} MiB, ${descriptors} open`)
    if (!isSnapped && Date.now() - startMs > lengthMs / 4) isSnapped = signal()
  }
  signal()
}

const minutesSince = (ms: number) => ((Date.now() - ms) / 60_000).toFixed(1)

async function pause(ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: done.signal }).catch(() => {})
}

/** What is in the mount now is what the service holds. */
async function compare({ mountpoint, admin }: Place, world: World): Promise<void> {
  await world.sync()
  await sleep(2 * DIR_TTL_MS)
  for (const path of ['own', 'shared']) {
    const there = admin.tree({ path }).filter(({ state }) => state === 'complete')
    const here = await listing(join(mountpoint, path))
    const wanted = there.map(({ path: at, size, kind }) => (kind === 'file' ? `${at} ${size}` : at))
    if (here.join('\n') !== wanted.sort().join('\n'))
      failures.push(`${path} differs:\n${here.join(', ')}\n${wanted.join(', ')}`)
  }
}

async function listing(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(dir.length + 1)
    return entry.isFile() ? `${name} ${(await stat(path)).size}` : name
  })
  return (await Promise.all(lines)).sort()
}

function report(samples: readonly Sample[]): void {
  const { table, growing } = judge(samples)
  const work = [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
  console.log(`\n${minutes} minutes, ${values.entries} entries, ${samples.length} samples`)
  console.log(`work done: ${work}\n\n${table}\n`)
  for (const failure of failures.slice(0, 20)) console.log(`FAILED: ${failure}`)
  const verdict = growing.length === 0 ? 'nothing grows' : `growing: ${growing.join(', ')}`
  console.log(`soak: ${verdict}; ${failures.length} failures`)
  process.exitCode = growing.length + failures.length > 0 ? 1 : 0
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => done.abort())
const world = await World.make('classic', { base: tmpdir() })
process.env.XDG_RUNTIME_DIR = join(world.dir, 'run')
const samples: Sample[] = []
const random = new Random(Number(values.seed))
const { mountpoint, admin } = world
const entries = Number(values.entries)
const place: Place = { mountpoint, admin, random, entries, source: join(world.dir, 'source') }
let startMs = Date.now()
try {
  await mkdir(place.source)
  await prepare(place)
  const snapping = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${values.snapshots}`
  const env = values.snapshots === undefined ? {} : { NODE_OPTIONS: snapping }
  await world.start({ args: ARGS, env })
  startMs = Date.now()
  const timer = setTimeout(() => done.abort(), lengthMs)
  const users = Object.keys(WORK).map((name) => repeat(name, place))
  await Promise.all([...users, expireNowAndThen(world), sample(world, samples)])
  clearTimeout(timer)
  await compare(place, world)
  await world.stop()
} finally {
  await world.destroy()
}
report(samples)
