import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { Space } from '../../src/cache/space.ts'
import { StagingArea } from '../../src/cache/staging.ts'

const HEADER_BYTES = 65536

async function setup(t: Test, capacity = 1e9) {
  const dir = t.testdir({})
  return openArea(dir, capacity)
}

async function openArea(dir: string, capacity = 1e9) {
  const space = new Space({ dir, capacity, marginBytes: 0 })
  const area = await StagingArea.open({ dir, log: silentLogger, space })
  return { dir, space, area }
}

t.test('a new process finds the file as it was described', async (t) => {
  const { dir, area } = await setup(t)
  const file = await area.create()
  await file.write(Buffer.from('hello'), 0)
  const base = { sha1: 'ab', size: 7, version: '3' }
  await file.describe({ path: ['文件', 'a.txt'], mtimeMs: 5, mode: 0o640, closed: true, base })
  await file.sync()
  await file.close()

  const next = await openArea(dir)
  t.same(await next.area.list(), [file.id])
  const description = await next.area.describe(file.id)
  t.match(description, {
    path: ['文件', 'a.txt'],
    size: 5,
    mtimeMs: 5,
    mode: 0o640,
    closed: true,
    base,
  })
  const again = await next.area.open(file.id)
  t.same(again.description, description)
  t.equal((await again.read(0, 5)).toString(), 'hello')
  await again.describe({ base: undefined })
  t.notOk('base' in ((await next.area.describe(file.id)) ?? {}))
  await again.close()
})

t.test('the state of the bytes on disk is private', async (t) => {
  const { area } = await setup(t)
  const file = await area.create()
  t.equal((await stat(file.path)).mode & 0o777, 0o600)
  await file.close()
})

t.test('removes only what it is told to', async (t) => {
  const { dir, area, space } = await setup(t)
  const [kept, gone, used] = [await area.create(), await area.create(), await area.create()]
  for (const file of [kept, gone, used]) await file.write(Buffer.alloc(10_000), 0)
  const each = space.used / 3
  await gone.close()
  await area.remove(gone.id)
  t.equal(space.used, 2 * each)

  await area.remove(used.id)
  t.equal(space.used, 2 * each, 'an open file still takes its room')
  t.same(await used.read(0, 10_000), Buffer.alloc(10_000))
  await used.close()
  t.equal(space.used, each)
  t.equal(area.bytes, each)

  await area.remove(gone.id)
  t.same((await readdir(dir)).sort(), [kept.id, 'recovered'].sort())
  await kept.close()
})

t.test('start leaves everything alone, whatever it is', async (t) => {
  const dir = t.testdir({})
  const strange: Record<string, Buffer> = {
    '0000000000000001': Buffer.alloc(0),
    '0000000000000002': Buffer.from('short'),
    '0000000000000003': Buffer.alloc(HEADER_BYTES + 100, 'garbage'),
    '0000000000000004': Buffer.concat([Buffer.from('WYSTAGED'), Buffer.alloc(HEADER_BYTES, 255)]),
    'notes.txt': Buffer.from('mine'),
  }
  for (const [name, content] of Object.entries(strange)) await writeFile(join(dir, name), content)
  await mkdir(join(dir, '0000000000000005.d'))

  const { area, space } = await openArea(dir)
  const ids = await area.list()
  t.equal(ids.length, 4)
  for (const id of ids) {
    t.equal(await area.describe(id), undefined)
    await t.rejects(area.open(id), { code: 'EIO' })
  }
  await space.reserve(1)
  for (const [name, content] of Object.entries(strange))
    t.same(await readFile(join(dir, name)), content)
  t.equal(space.used, area.bytes + 1)

  for (const id of ids) t.same(await readFile(await area.setAside(id)), strange[id])
  t.same(await area.list(), [])
  t.equal((await readdir(join(dir, 'recovered'))).length, 4)
})

t.test('what is waiting counts before anything is reserved', async (t) => {
  const { dir, area } = await setup(t)
  let onDisk = 0
  for (let i = 0; i < 20; i++) {
    const file = await area.create()
    await file.write(Buffer.alloc(100_000, 1), 0)
    await file.describe({ path: [`${i}`] })
    await file.close()
    onDisk += (await stat(file.path)).blocks * 512
  }
  const next = await openArea(dir, onDisk + 50_000)
  const file = await next.area.create()
  await t.rejects(file.write(Buffer.alloc(100_000), 0), { code: 'ENOSPC' })
  t.equal(file.size, 0)
  await file.write(Buffer.alloc(10_000), 0)
  await file.close()
  await t.rejects(
    openArea(dir, 1000).then(({ area }) => area.create()),
    { code: 'ENOSPC' },
  )
})

t.test('refuses names that are no ids', async (t) => {
  const { area } = await setup(t)
  for (const id of ['../../etc/passwd', 'recovered', '', 'ABCDEF0123456789']) {
    await t.rejects(area.remove(id), RangeError)
    await t.rejects(area.open(id), RangeError)
  }
})
