import { copyFile, open, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { Space } from '../../src/cache/space.ts'
import { EXTENTS_MAX } from '../../src/cache/staged-file.ts'
import { DATA_START } from '../../src/cache/staged-header.ts'
import { type StagedFile, StagingArea } from '../../src/cache/staging.ts'
import { runUntilKilled } from '../fixtures/kill.ts'
import { Random } from '../fixtures/random.ts'
import { changes } from '../fixtures/staging-writer.ts'

const WRITER = new URL('../fixtures/staging-writer.ts', import.meta.url)

async function setup(t: Test, capacity = 1e9, dir = t.testdir({})) {
  const space = new Space({ dir, capacity, marginBytes: 0 })
  return { dir, space, area: await StagingArea.open({ dir, log: silentLogger, space }) }
}

/** What the file holds, with '.' for bytes of the base. */
async function text(file: StagedFile): Promise<string> {
  const bytes = await file.read(0, file.size)
  const padded = Buffer.alloc(file.size, '.')
  bytes.copy(padded)
  for (const [start, end] of file.extents.gaps(0, file.size)) padded.fill('.', start, end)
  return padded.toString().replaceAll('\0', '0')
}

t.test('a gap before a write, and growing, are written zeros', async (t) => {
  const { area } = await setup(t)
  const file = await area.create()
  await file.write(Buffer.from('abc'), 3)
  t.equal(await text(file), '000abc')
  await file.truncate(8)
  t.equal(await text(file), '000abc00')
  await file.truncate(4)
  await file.truncate(6)
  t.equal(await text(file), '000a00')
  await file.write(Buffer.alloc(0), 100)
  t.equal(file.size, 6)
  await file.close()
})

t.test('the base shows through until it is written, filled or cut', async (t) => {
  const { area } = await setup(t)
  const file = await area.create({ size: 10 })
  t.same(file.extents.gaps(0, file.size), [[0, 10]])
  await file.write(Buffer.from('xy'), 4)
  await file.fill(Buffer.from('BASE'), 2)
  await file.write(Buffer.from('z'), 12)
  await file.truncate(13)
  t.same(file.extents.toJSON(), [2, 6, 10, 13])
  t.same(await file.read(2, 4), Buffer.from('BAxy'))
  t.same(await file.read(10, 99), Buffer.from('\0\0z'))
  await file.fill(Buffer.from('0123456789abcdef'), 0)
  t.same(await file.read(0, 99), Buffer.from('01BAxy6789\0\0z'))
  await file.truncate(5)
  await file.fill(Buffer.from('never seen'), 5)
  await file.truncate(7)
  t.equal(await text(file), '01BAx00')
  await file.close()
})

t.test('operations on the same bytes happen in the order of the calls', async (t) => {
  const { area } = await setup(t)
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 60; round++) {
    const file = await area.create({ size: 40_000 })
    const expected = Buffer.alloc(40_000, 'b')
    const operations: Promise<void>[] = []
    for (let i = 1; i < 12; i++) {
      const start = random.below(30_000)
      const end = start + random.below(10_000)
      const isFill = random.below(3) === 0
      const part = isFill ? Buffer.alloc(end - start, 'b') : Buffer.alloc(end - start, i)
      operations.push(isFill ? file.fill(part, start) : file.write(part, start))
      if (!isFill) part.copy(expected, start)
    }
    await Promise.all(operations)
    await file.fill(Buffer.alloc(40_000, 'b'), 0)
    if (!expected.equals(await file.read(0, 40_000))) t.fail(`round ${round}`)
    await file.close()
  }
  t.pass()
})

t.test('writeSeq tells every change, and a change under way', async (t) => {
  const { area } = await setup(t)
  const file = await area.create({ size: 10 })
  const start = file.writeSeq
  await file.fill(Buffer.from('base'), 0)
  await file.describe({ closed: true })
  await file.read(0, 4)
  t.equal(file.writeSeq, start)
  t.notOk(file.writing)

  const write = file.write(Buffer.from('x'), 0)
  const during = file.writeSeq
  t.not(during, start)
  t.ok(file.writing)
  await write
  t.not(file.writeSeq, during)
  t.notOk(file.writing)
  const before = file.writeSeq
  await file.truncate(3)
  t.not(file.writeSeq, before)
  await file.close()
})

t.test('a write without room changes nothing', async (t) => {
  const { area, space } = await setup(t, 100_000)
  const file = await area.create()
  await file.write(Buffer.alloc(50_000, 'a'), 0)
  await file.describe({ path: ['a'] })
  await t.rejects(file.write(Buffer.alloc(60_000, 'b'), 40_000), { code: 'ENOSPC' })
  t.equal(file.size, 50_000)
  t.same(await file.read(0, 50_000), Buffer.alloc(50_000, 'a'))

  await file.write(Buffer.alloc(50_000, 'c'), 0)
  t.same(await file.read(0, 50_000), Buffer.alloc(50_000, 'c'), 'writing over needs no room')
  await file.truncate(10_000)
  await file.write(Buffer.alloc(60_000, 'd'), 0)
  t.equal(file.size, 60_000, 'what was cut is room again')
  t.ok(space.used <= 100_000)
  await file.close()
  await area.remove(file.id)
  t.equal(space.used, 0)
})

t.test('accounts for what the disk gives', async (t) => {
  const { area, space } = await setup(t)
  const file = await area.create()
  for (let i = 0; i < 300; i++) await file.write(Buffer.alloc(100, 'x'), i * 100)
  for (let i = 0; i < 20; i++) await file.write(Buffer.alloc(1, 'x'), 1_000_000 + i * 50_000)
  await file.describe({ path: ['a'] })
  await file.describe({ path: ['b'] })
  await file.sync()
  const { blocks } = await stat(file.path)
  // The file system may need a page of its own to keep track of so many pieces.
  t.ok(Math.abs(space.used - blocks * 512) <= 4096, `${space.used} of ${blocks * 512}`)
  await file.close()
})

t.test('too many ranges: says so in time, and keeps the description before', async (t) => {
  const { area } = await setup(t)
  const file = await area.create({ size: 2 ** 40 })
  await file.describe({ path: ['database'], base: { sha1: 'x', size: 2 ** 40 } })
  const writeRanges = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await file.write(Buffer.from('x'), 2 ** 39 + i * 5000)
  }
  await writeRanges(0, EXTENTS_MAX)
  t.notOk(file.needsFill)
  await writeRanges(EXTENTS_MAX, EXTENTS_MAX + 10)
  t.ok(file.needsFill)
  await file.describe()
  t.equal((await area.describe(file.id))?.extents.length, 2 * EXTENTS_MAX + 20)

  await writeRanges(EXTENTS_MAX + 10, 2 * EXTENTS_MAX)
  await t.rejects(file.describe(), RangeError)
  t.equal((await area.describe(file.id))?.extents.length, 2 * EXTENTS_MAX + 20)
  await file.fill(Buffer.alloc(EXTENTS_MAX * 10_000), 2 ** 39)
  t.notOk(file.needsFill)
  await file.describe()
  t.same((await area.describe(file.id))?.extents.length, 2)
  await file.close()
})

t.test('bytes appended after the last description are kept', async (t) => {
  const { area } = await setup(t)
  const file = await area.create()
  await file.write(Buffer.from('told'), 0)
  await file.describe({ path: ['log'], closed: true })
  await file.write(Buffer.from(' and untold'), 4)
  await file.close()
  t.match(await area.describe(file.id), { size: 15, extents: [0, 15] })
  const again = await area.open(file.id)
  t.equal(await text(again), 'told and untold')
  await again.truncate(4)
  await again.write(Buffer.from('!'), 4)
  await again.close()
  const last = await area.open(file.id)
  t.equal(await text(last), 'told!')
  await last.close()
})

t.test('a file that lacks described bytes is not passed off as whole', async (t) => {
  const { area } = await setup(t)
  const file = await area.create()
  await file.write(Buffer.alloc(9000, 'x'), 0)
  await file.describe({ path: ['a'] })
  await file.close()
  await truncate(file.path, DATA_START + 8999)
  await t.rejects(area.open(file.id), { code: 'EIO' })
  t.equal((await stat(file.path)).size, DATA_START + 8999)
})

t.test('is the model, across reopening and torn headers', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 12; round++) {
    await t.test(`round ${round}`, (t) => playRound(t, random))
  }
})

const POINTS = [
  ...['create:1', 'created:1', 'write:4', 'written:4', 'truncate:2', 'truncated:2'],
  ...['describe:3', 'described:3', 'sync:1', 'synced:1'],
].map((point) => `staging.${point}`)

t.test('a process killed anywhere leaves the file before or after a change', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (const at of [...POINTS, '*:0.03', '*:0.03', '*:0.03']) {
    await t.test(`killed at ${at}`, async (t) => {
      const dir = t.testdir({})
      const seed = random.below(2 ** 31)
      const output = await runUntilKilled(WRITER, [dir, `${seed}`], { at, seed })
      await checkKilled(t, dir, seed, Number(output.trim().split('\n').at(-1)), at)
    })
  }
})

t.test('bytes of the base that were being cut off do not come back as zeros', async (t) => {
  for (const at of ['staging.truncate', 'staging.truncated']) {
    const dir = t.testdir({})
    await runUntilKilled(WRITER, [dir], { at })
    const { area } = await setup(t, 1e9, dir)
    const [id = ''] = await area.list()
    t.match(await area.describe(id), { size: 50_000, extents: [] })
    const file = await area.open(id)
    await file.write(Buffer.from('!'), 99_999)
    t.same(await file.read(50_000, 50_000), Buffer.concat([Buffer.alloc(49_999), Buffer.from('!')]))
    t.same(file.extents.toJSON(), [50_000, 100_000])
    await file.close()
  }
})

async function checkKilled(t: Test, dir: string, seed: number, done: number, name: string) {
  const { area } = await setup(t, 1e9, dir)
  const [id] = await area.list()
  if (id === undefined || (await area.describe(id)) === undefined) {
    t.equal(done, 0, `${name}: died before the first description`)
    return
  }
  let model: Buffer = Buffer.alloc(0)
  const wanted: Buffer[] = []
  let count = 0
  for (const { offset, data } of changes(seed)) {
    if (count >= done) wanted.push(model)
    if (count > done) break
    const end = data === undefined ? offset : Math.max(model.length, offset + data.length)
    model = resized(model, end)
    data?.copy(model, offset)
    count++
  }
  const file = await area.open(id)
  const bytes = await file.read(0, file.size)
  t.same(file.extents.gaps(0, file.size), [])
  t.ok(
    wanted.some((state) => state.equals(bytes)),
    `${name}: after ${done} changes with seed ${seed}`,
  )
  await file.close()
}

/** Random operations on a file over a base of 'b' bytes, and on a Buffer. */
async function playRound(t: Test, random: Random): Promise<void> {
  const dir = t.testdir({ here: {}, copied: {} })
  const { area } = await setup(t, 1e9, join(dir, 'here'))
  let model: Buffer = Buffer.alloc(random.pick([0, 0, 70_000]), 'b')
  let baseSize = model.length
  let file = await area.create({ size: baseSize })
  for (let step = 0; step < 80; step++) {
    const kind = random.pick(['write', 'write', 'write', 'fill', 'truncate', 'reopen', 'tear'])
    const offset = random.below(model.length + 20_000)
    if (kind === 'write') {
      const part = Buffer.alloc(1 + random.below(20_000), 1 + random.below(90))
      await file.write(part, offset)
      model = resized(model, Math.max(model.length, offset + part.length))
      part.copy(model, offset)
    } else if (kind === 'fill') {
      const at = random.below(baseSize + 1)
      await file.fill(Buffer.alloc(random.below(baseSize - at + 1), 'b'), at)
    } else if (kind === 'truncate') {
      await file.truncate(offset)
      model = resized(model, offset)
    } else {
      await file.describe({ path: ['x'] })
      await file.close()
      // A description that began to be written when the process died.
      if (kind === 'tear') await tearOlderSlot(file.path, random)
      file = await area.open(file.id)
    }
    baseSize = Math.min(baseSize, model.length)
    await compare(t, file, model, baseSize, `${kind} in step ${step}`)
  }
  // A copy of the directory is as good as the directory.
  await file.describe({ path: ['x'] })
  await copyFile(file.path, join(dir, 'copied', file.id))
  await file.close()
  const copied = await setup(t, 1e9, join(dir, 'copied'))
  const copy = await copied.area.open(file.id)
  await compare(t, copy, model, baseSize, 'copy')
  await copy.close()
}

async function compare(t: Test, file: StagedFile, model: Buffer, baseSize: number, what: string) {
  const seen = Buffer.alloc(model.length, 'b')
  for (let i = 0, edges = file.extents.toJSON(); i < edges.length; i += 2) {
    const [start = 0, end = 0] = edges.slice(i, i + 2)
    seen.set(await file.read(start, end - start), start)
  }
  const gapsInBase = file.extents.gaps(0, model.length).every(([, end]) => end <= baseSize)
  if (file.size !== model.length || !gapsInBase || !seen.equals(model)) t.fail(what)
  else t.pass(what)
}

function resized(buffer: Buffer, size: number): Buffer {
  const next = Buffer.alloc(size)
  buffer.copy(next)
  return next
}

async function tearOlderSlot(path: string, random: Random): Promise<void> {
  await using handle = await open(path, 'r+')
  const header = Buffer.alloc(DATA_START)
  await handle.read(header, 0, DATA_START, 0)
  const sequences = [0, DATA_START / 2].map((start) => Number(header.readBigUInt64LE(start + 16)))
  const older = (sequences[0] ?? 0) < (sequences[1] ?? 0) ? 0 : DATA_START / 2
  await handle.write(random.bytes(1 + random.below(500)), 0, null, older)
}
