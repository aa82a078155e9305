// How far and for whom the reader reads ahead, on a line that gets on tick by tick: requests and
// bytes are counted, and time is not measured.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { BLOCK_SIZE, BlockCache } from '../../src/cache/blocks.ts'
import { Hasher } from '../../src/cache/hasher.ts'
import { Space } from '../../src/cache/space.ts'
import { Checker } from '../../src/vfs/checker.ts'
import { Fetcher, type Source } from '../../src/vfs/fetcher.ts'
import { Reader, ReadState } from '../../src/vfs/reader.ts'
import type { Drive } from '../../src/weiyun/index.ts'
import { tempDir } from '../fixtures/cli.ts'
import { bytesAt, PacedDrive, type PacedRange } from '../fixtures/paced-drive.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
/** What the kernel asks for at once. */
const PART_BYTES = 128 * KiB
const ROUND_TRIP_TICKS = 4
/** In these a single reader has come to his longest ranges. */
const LEAD_TICKS = 250

interface Rig {
  drive: PacedDrive
  fetcher: Fetcher
  reader: Reader
}

async function openRig(t: Test, { slots = 5 } = {}): Promise<Rig> {
  const dir = await tempDir(t)
  const space = new Space({ dir, capacity: 4 * GiB, marginBytes: 0 })
  const blocks = await BlockCache.open({ dir: join(dir, 'cache'), log: silentLogger, space })
  const drive = new PacedDrive({ roundTripTicks: ROUND_TRIP_TICKS, slots })
  const fetcher = new Fetcher({
    drive: drive as unknown as Drive,
    blocks,
    memoryBytes: 64 * MiB,
    slots: () => slots,
  })
  const hasher = Hasher.start()
  const checker = new Checker({ fetcher, blocks, hasher, log: silentLogger })
  const reader = new Reader({ fetcher, blocks, checker, timeoutMs: 60_000, slots: () => slots })
  t.teardown(async () => {
    await fetcher.close()
    await blocks.close()
    await hasher.close()
  })
  return { drive, fetcher, reader }
}

function sourceOf(name: string): Source {
  const size = GiB
  const sha1 = Buffer.from(name).toString('hex').padEnd(40, '0')
  const file = { id: name, version: '1', name, size }
  return { content: { sha1, size }, file, dir: () => ({ key: '', parentKey: '' }) }
}

/** A program that has a file open. */
class Program {
  readonly name: string
  readonly state = new ReadState()
  readonly #rig: Rig
  readonly #source: Source
  at = 0
  #goesOn = true

  constructor(rig: Rig, name: string, source = sourceOf(name)) {
    this.name = name
    this.#rig = rig
    this.#source = source
  }

  async read(at: number, length = PART_BYTES): Promise<void> {
    const bytes = await this.#rig.reader.read(this.#source, this.state, at, length)
    if (!bytes.equals(bytesAt(at, length))) throw new Error(`wrong bytes of ${this.name} at ${at}`)
    this.at = at + length
  }

  /** Reads on and on, as fast as the bytes come. */
  async stream(): Promise<void> {
    while (this.#goesOn) await this.read(this.at)
  }

  /** Reads up to a place. */
  async streamTo(end: number): Promise<void> {
    while (this.at < end) await this.read(this.at)
  }

  stop(): void {
    this.#goesOn = false
  }
}

/** Programs that stream side by side; what each got in `ticks`, once they are under way. */
async function streaming(rig: Rig, count: number, ticks: number): Promise<number[]> {
  const programs = Array.from({ length: count }, (_, n) => new Program(rig, `file ${n}`))
  const ends: Promise<void>[] = []
  for (const [index, program] of programs.entries()) {
    ends.push(program.stream())
    // The first is at its fastest when another comes. With more of them it would have no need of
    // its slot for as long as this machine takes to read what it has ahead.
    const hasLead = index === 0 && count <= 2
    for (let n = 0; n < (hasLead ? LEAD_TICKS : 40); n++) await rig.drive.tick()
  }
  const starts = programs.map(({ name }) => rig.drive.sent(name))
  for (let n = 0; n < ticks; n++) await rig.drive.tick()
  const got = programs.map(({ name }, n) => rig.drive.sent(name) - (starts[n] ?? 0))
  for (const program of programs) program.stop()
  await rig.drive.tickUntil(Promise.all(ends))
  return got
}

const isGivenUp = ({ state }: PacedRange): boolean => state === 'given up'

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0)

/** Bytes that came more than once. */
function twice({ drive }: Rig): number {
  const pieces = new Map<string, number>()
  let sent = 0
  for (const { name, offset, sent: length } of drive.ranges) {
    sent += length
    for (let at = offset; at < offset + length; at += BLOCK_SIZE) pieces.set(`${name} ${at}`, 1)
  }
  return sent - pieces.size * BLOCK_SIZE
}

t.test('one who streams comes to use the whole line, and asks for each byte once', async (t) => {
  const rig = await openRig(t)
  const [got = 0] = await streaming(rig, 1, 400)
  t.ok(got >= 0.9 * 400 * 5 * BLOCK_SIZE, `${got / MiB} MiB of ${(400 * 5 * BLOCK_SIZE) / MiB}`)
  const lengths = rig.drive.ranges.map(({ length }) => length)
  t.ok(Math.max(...lengths.slice(0, 3)) <= 256 * KiB, 'short ranges at first')
  t.ok(Math.max(...lengths) >= 8 * MiB, 'long ones in the end')
  t.equal(twice(rig), 0)
})

t.test('those who stream share the line equally', async (t) => {
  for (const count of [2, 5]) {
    const rig = await openRig(t)
    const got = await streaming(rig, count, 400)
    const line = 400 * 5 * BLOCK_SIZE
    const shown = got.map((bytes) => Math.round(bytes / MiB)).join(', ')
    t.ok(sum(got) >= 0.85 * line, `${count}: ${shown} of ${Math.round(line / MiB)} MiB`)
    t.ok(Math.min(...got) >= (0.6 * sum(got)) / count, `${count}: nobody starves`)
    t.ok(twice(rig) <= 0.02 * rig.drive.sent(), 'hardly a byte comes twice')
  }
})

t.test('more of them than there are slots: round by round, in requests that pay', async (t) => {
  const rig = await openRig(t)
  const got = await streaming(rig, 16, 400)
  t.ok(Math.min(...got) >= (0.5 * sum(got)) / 16, `${got.map((bytes) => Math.round(bytes / MiB))}`)
  t.ok(sum(got) >= 0.5 * 400 * 5 * BLOCK_SIZE, 'round trips do not take the most of it')
})

t.test('a single slot is enough to stream', async (t) => {
  const rig = await openRig(t, { slots: 1 })
  const [got = 0] = await streaming(rig, 1, 400)
  t.ok(got >= 0.8 * 400 * BLOCK_SIZE, `${got / MiB} MiB`)
})

t.test('who jumps waits for nobody who streams', async (t) => {
  const rig = await openRig(t)
  const film = new Program(rig, 'film')
  const end = film.stream()
  for (let n = 0; n < 300; n++) await rig.drive.tick()
  const jumper = new Program(rig, 'database')
  for (let n = 1; n <= 10; n++) {
    const before = rig.drive.ranges.length
    const read = jumper.read(n * 50 * MiB)
    await rig.drive.tickUntil(read, ROUND_TRIP_TICKS + 6)
    const own = rig.drive.ranges.slice(before).filter(({ name }) => name === 'database')
    t.equal(own[0]?.offset, n * 50 * MiB, 'the first request is what it wants')
    t.equal(own[0]?.priority, 'user')
    t.same(
      own.map(({ length }) => length),
      [PART_BYTES],
      'and the only one',
    )
  }
  const cut = rig.drive.ranges.filter((range) => range.name === 'film' && isGivenUp(range))
  t.ok(cut.length <= 2, `${cut.length} connections of the film were closed`)
  rig.reader.release(jumper.state)
  const sent = rig.drive.sent()
  for (let n = 0; n < 200; n++) await rig.drive.tick()
  t.ok(rig.drive.sent() - sent >= 0.75 * 200 * 5 * BLOCK_SIZE, 'and the film has most of the line')
  t.ok(twice(rig) <= 0.05 * rig.drive.sent())
  film.stop()
  await rig.drive.tickUntil(end)
})

t.test('more who jump than slots: one request for each read, and none is cut short', async (t) => {
  const rig = await openRig(t)
  const jumpers = Array.from({ length: 8 }, (_, n) => new Program(rig, `database ${n}`))
  const jump = async (jumper: Program): Promise<void> => {
    for (let n = 1; n <= 5; n++) await jumper.read(n * 50 * MiB, 4 * KiB)
  }
  await rig.drive.tickUntil(Promise.all(jumpers.map(jump)))
  t.equal(rig.drive.ranges.length, 40)
  t.ok(rig.drive.ranges.every(({ length }) => length === BLOCK_SIZE))
  t.notOk(rig.drive.ranges.some(isGivenUp))
})

t.test('a jump ends read-ahead, a small skip keeps it', async (t) => {
  const rig = await openRig(t)
  const film = new Program(rig, 'film')
  await rig.drive.tickUntil(film.streamTo(8 * MiB))
  const asked = rig.drive.ranges.length
  await rig.drive.tickUntil(film.read(film.at + 700 * KiB))
  await rig.drive.tickUntil(film.read(film.at - 900 * KiB))
  t.notOk(rig.drive.ranges.slice(asked).some(({ priority }) => priority === 'user'))
  t.notOk(rig.drive.ranges.some(isGivenUp))

  const ahead = rig.drive.open
  t.ok(ahead.length > 0)
  await rig.drive.tickUntil(film.read(500 * MiB))
  t.ok(ahead.every(isGivenUp))
})

t.test(
  'a file without a hash, which the disk does not keep, does not come twice either',
  async (t) => {
    const rig = await openRig(t)
    const source = sourceOf('film')
    const film = new Program(rig, 'film', { ...source, content: { ...source.content, sha1: '' } })
    await rig.drive.tickUntil(film.streamTo(150 * MiB))
    t.equal(twice(rig), 0)
  },
)

t.test('who closes leaves nothing that is still on its way', async (t) => {
  const rig = await openRig(t)
  const film = new Program(rig, 'film')
  await rig.drive.tickUntil(film.streamTo(8 * MiB))
  rig.reader.release(film.state)
  const sent = rig.drive.sent()
  for (let n = 0; n < 50; n++) await rig.drive.tick()
  t.equal(rig.drive.open.length, 0)
  t.ok(rig.drive.sent() - sent <= 5 * BLOCK_SIZE, `${rig.drive.sent() - sent} bytes`)
})

t.test('what still comes after the end is told to nobody', async (t) => {
  const rig = await openRig(t)
  const film = new Program(rig, 'film')
  await rig.drive.tickUntil(film.streamTo(8 * MiB))
  let told = 0
  rig.fetcher.onArrived = () => told++
  t.ok(rig.drive.open.length > 0)
  await rig.fetcher.close()
  for (let n = 0; n < 10; n++) await rig.drive.tick()
  t.equal(told, 0)
})
