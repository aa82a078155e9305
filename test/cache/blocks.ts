import { cp, mkdir, open, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { BLOCK_SIZE, BlockCache } from '../../src/cache/blocks.ts'
import { Space } from '../../src/cache/space.ts'
import { CAPACITY, CONTENTS } from '../fixtures/block-writer.ts'
import { type Content, contentOf } from '../fixtures/content.ts'
import { runUntilKilled } from '../fixtures/kill.ts'
import { Random } from '../fixtures/random.ts'

async function openCache(dir: string, capacity = 1e9) {
  const space = new Space({ dir, capacity, marginBytes: 0 })
  return { dir, space, cache: await BlockCache.open({ dir, log: silentLogger, space }) }
}

async function putAll(cache: BlockCache, content: Content): Promise<void> {
  for (let i = 0; i * BLOCK_SIZE < content.size; i++) await cache.put(content, i, content.block(i))
}

/** The files of the cache, as paths. */
async function files(dir: string): Promise<string[]> {
  const entries = await readdir(join(dir, 'blocks'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
}

async function bytesOnDisk(dir: string): Promise<number> {
  // The sweep after a kill may take a stray file away between the two looks.
  const sizes = await Promise.all(
    (await files(dir)).map(async (path) => {
      const found = await stat(path).catch(() => undefined)
      return (found?.blocks ?? 0) * 512
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

t.test('gives back what was put, also to the next process', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', 5 * BLOCK_SIZE + 100)
  t.same(cache.missing(content, 0, 6), [[0, 6]])
  await cache.put(content, 5, content.block(5))
  await cache.put(content, 2, content.block(2))
  t.same(cache.missing(content, 0, 6), [
    [0, 2],
    [3, 5],
  ])
  t.ok(isSame(await cache.get(content, 5), content.block(5)))
  t.equal(await cache.get(content, 0), undefined)
  t.notOk(cache.complete(content))
  t.equal(cache.parts(content), undefined)
  await putAll(cache, content)
  t.match(cache.stats(), { files: 1, bytes: 5 * BLOCK_SIZE + 4096, hits: 1, misses: 1 })
  await cache.close()

  const next = (await openCache(dir)).cache
  t.match(next.stats(), { files: 1, bytes: 5 * BLOCK_SIZE + 4096 })
  t.ok(next.complete(content))
  t.ok(isSame(await next.read(content, 0, content.size), content.bytes))
  t.ok(isSame(await next.read(content, 70_000, 200_000), content.bytes.subarray(70_000, 270_000)))
  t.ok(isSame(await next.read(content, content.size - 5, 100), content.bytes.subarray(-5)))
  t.ok(isSame(await next.read(content, content.size, 100), Buffer.alloc(0)))
  const [part] = next.parts(content) ?? []
  t.match(part, { start: 0, length: content.size })
  t.ok(isSame((await readFile(part?.path ?? '')).subarray(0, content.size), content.bytes))
  await next.close()
})

t.test('large contents are cut into segments, each with its own file', async (t) => {
  const { dir, cache } = await openCache(t.testdir({}))
  const content = contentOf('large', 2 * 256 * BLOCK_SIZE + BLOCK_SIZE + 7)
  await Promise.all(
    [513, 512, 256, 255, 0].map((index) => cache.put(content, index, content.block(index))),
  )
  t.equal((await files(dir)).length, 3)
  const seam = 256 * BLOCK_SIZE
  t.ok(isSame(await cache.read(content, seam - 9, 20), content.bytes.subarray(seam - 9, seam + 11)))
  t.equal(await cache.read(content, seam, BLOCK_SIZE + 1), undefined)
  t.ok(isSame(await cache.read(content, 513 * BLOCK_SIZE, 7), content.block(513)))
  await cache.drop(content)
  t.same(await files(dir), [])
  t.match(cache.stats(), { files: 0, bytes: 0 })
  await cache.close()
})

t.test('a content has the size and hash that it says', async (t) => {
  const { cache } = await openCache(t.testdir({}))
  const content = contentOf('a', BLOCK_SIZE + 5)
  await t.rejects(cache.put(content, 1, Buffer.alloc(6)), RangeError)
  await t.rejects(cache.put(content, 2, Buffer.alloc(0)), RangeError)
  const outside = { sha1: '../../../../../../../../../../tmp/escaped', size: 1 }
  await cache.put(outside, 0, Buffer.from('x'))
  t.notOk(cache.has(outside, 0))
  t.notOk(cache.complete(outside))
  const empty = { sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709', size: 0 }
  t.ok(cache.complete(empty))
  t.same(cache.parts(empty), [])
  t.same(await cache.read(empty, 0, 10), Buffer.alloc(0))
  await cache.close()
})

t.test('a damaged block is a miss, and can be put again', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', 4 * BLOCK_SIZE)
  await putAll(cache, content)
  cache.setVerified(content)
  t.ok(cache.verified(content))
  const [path = ''] = await files(dir)
  await using handle = await open(path, 'r+')
  await handle.write('X', BLOCK_SIZE + 77)
  t.equal(await cache.read(content, 0, content.size), undefined)
  t.notOk(cache.has(content, 1))
  t.notOk(cache.verified(content))
  t.same(cache.missing(content, 0, 4), [[1, 2]])
  const { bytes } = cache.stats()
  await cache.put(content, 1, content.block(1))
  t.equal(cache.stats().bytes, bytes, 'its room was still there')
  t.ok(isSame(await cache.read(content, 0, content.size), content.bytes))

  await handle.truncate(2 * BLOCK_SIZE + 5)
  t.equal(await cache.get(content, 2), undefined)
  t.equal(await cache.get(content, 3), undefined)
  t.ok(isSame(await cache.get(content, 1), content.block(1)))
  await cache.close()
})

t.test('a block that is put takes from its content that it was verified', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', 2 * BLOCK_SIZE)
  await putAll(cache, content)
  cache.setVerified(content)
  await cache.close()
  // As a crash may leave it: the flag is there, and a block that it spoke of is not.
  const db = new DatabaseSync(join(dir, 'blocks.db'))
  db.exec("UPDATE segment SET states = x'0201'")
  db.close()

  const next = (await openCache(dir)).cache
  t.notOk(next.verified(content), 'not while a block is missing')
  await next.put(content, 0, content.block(0))
  t.ok(next.complete(content))
  t.notOk(next.verified(content), 'nor when it came anew')
  await next.close()
})

t.test('what was verified outlives a kill together with its blocks', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', BLOCK_SIZE)
  await putAll(cache, content)
  cache.setVerified(content)
  const left = t.testdirName.concat('-left')
  t.teardown(() => rm(left, { recursive: true }))
  await cp(dir, left, { recursive: true })
  await cache.close()
  const next = (await openCache(left)).cache
  t.ok(next.complete(content))
  t.ok(next.verified(content))
  await next.close()
})

t.test('what the disk cannot read was never there, unless it is not the disk', async (t) => {
  const dir = t.testdir({ any: '' })
  const content = contentOf('a', 4 * BLOCK_SIZE)
  const { cache } = await openCache(dir)
  await putAll(cache, content)
  await using any = await open(join(dir, 'any'))
  const read = t.capture(Object.getPrototypeOf(any), 'read', () => Promise.reject(error))
  let error = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  t.equal(await cache.read(content, BLOCK_SIZE, 2 * BLOCK_SIZE), undefined)
  t.ok(cache.complete(content))
  error = Object.assign(new Error('i/o error'), { code: 'EIO' })
  t.equal(await cache.read(content, BLOCK_SIZE, 2 * BLOCK_SIZE), undefined)
  t.same(cache.missing(content, 0, 4), [[1, 3]])
  read.restore()
  await putAll(cache, content)
  t.ok(isSame(await cache.read(content, 0, content.size), content.bytes))
  await cache.close()
})

t.test('a file that vanished is forgotten', async (t) => {
  const dir = t.testdir({})
  const content = contentOf('a', 4 * BLOCK_SIZE)
  const { cache } = await openCache(dir)
  await putAll(cache, content)
  await cache.close()
  await rm(join(dir, 'blocks'), { recursive: true })
  const next = (await openCache(dir)).cache
  t.ok(next.has(content, 0))
  t.equal(await next.get(content, 0), undefined)
  t.match(next.stats(), { files: 0, bytes: 0 })
  await putAll(next, content)
  t.ok(isSame(await next.read(content, 0, content.size), content.bytes))
  await next.close()
})

t.test('what is put while it is dropped is there or not, but not half', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', 2 * BLOCK_SIZE)
  for (let round = 0; round < 20; round++) {
    await putAll(cache, content)
    await Promise.all([cache.drop(content), putAll(cache, content), putAll(cache, content)])
    const known = cache.has(content, 0)
    if (known !== ((await cache.get(content, 0)) !== undefined)) t.fail(`round ${round}`)
  }
  t.equal((await files(dir)).length, cache.stats().files)
  t.equal(await bytesOnDisk(dir), cache.stats().bytes)
  await cache.close()
})

t.test('what was used longest ago goes first, what is pinned stays', async (t) => {
  const dir = t.testdir({})
  const { cache, space } = await openCache(dir, 10 * BLOCK_SIZE)
  const contents = Array.from({ length: 5 }, (_, i) => contentOf(`${i}`, 2 * BLOCK_SIZE))
  for (const content of contents) await putAll(cache, content)
  const [pinned, used, old, ...others] = contents as [Content, Content, Content, ...Content[]]
  cache.pin(pinned)
  cache.setVerified(old)
  await cache.get(used, 0)
  const next = contentOf('next', BLOCK_SIZE)
  await putAll(cache, next)
  t.notOk(cache.has(old, 0))
  t.notOk(cache.verified(old))
  for (const content of [pinned, used, ...others, next]) t.ok(cache.has(content, 0))
  t.equal((await files(dir)).length, 5)
  await cache.close()

  const again = await openCache(dir, 3 * BLOCK_SIZE)
  await until(() => again.space.used <= 3 * BLOCK_SIZE)
  await putAll(again.cache, old)
  t.ok(again.cache.complete(pinned), 'the bound became smaller, and a pin outlives the process')
  t.ok(again.cache.pinned(pinned))
  t.notOk(again.cache.complete(old), 'there was room for one block beside it')
  t.ok(again.space.used <= 3 * BLOCK_SIZE)
  again.cache.unpin(pinned)
  await putAll(again.cache, old)
  t.ok(again.cache.complete(old))
  t.notOk(again.cache.complete(pinned))
  t.ok(space.used <= 10 * BLOCK_SIZE)
  await again.cache.close()
})

t.test('staged bytes drive blocks out, not the other way round', async (t) => {
  const { cache, space } = await openCache(t.testdir({}), 10 * BLOCK_SIZE)
  const content = contentOf('a', 8 * BLOCK_SIZE)
  await putAll(cache, content)
  await space.reserve(7 * BLOCK_SIZE)
  t.equal(cache.stats().bytes, 0)
  const other = contentOf('b', 4 * BLOCK_SIZE)
  await putAll(cache, other)
  t.ok(cache.has(other, 3))
  t.ok(space.used <= 10 * BLOCK_SIZE)
  await t.rejects(space.reserve(4 * BLOCK_SIZE), { code: 'ENOSPC' })
  t.ok(cache.stats().bytes > 0, 'nothing is evicted for what cannot be had anyway')
  await cache.close()
})

t.test('adopts a file without copying it', async (t) => {
  const dir = t.testdir({})
  const { cache, space } = await openCache(dir)
  const content = contentOf('mine', 300 * BLOCK_SIZE + 9)
  await cache.put(content, 7, content.block(7))
  const path = join(dir, 'staged')
  await writeFile(path, Buffer.concat([Buffer.alloc(65_536, 'header'), content.bytes]))
  const { ino } = await stat(path)
  await cache.adopt(content, path, 65_536, content.crcs)
  t.ok(cache.complete(content))
  t.notOk(cache.verified(content))
  const [part, ...more] = cache.parts(content) ?? []
  t.match(part, { start: 65_536, length: content.size })
  t.same(more, [])
  t.equal((await stat(part?.path ?? '')).ino, ino)
  const at = 255 * BLOCK_SIZE
  t.ok(isSame(await cache.read(content, at, 100_000), content.bytes.subarray(at, at + 100_000)))
  t.equal(space.used, await bytesOnDisk(dir))

  // What a process that is killed now leaves behind.
  const left = t.testdirName.concat('-left')
  t.teardown(() => rm(left, { recursive: true }))
  await cp(dir, left, { recursive: true })
  await cache.close()
  const next = await openCache(left)
  t.ok(isSame(await next.cache.read(content, 0, content.size), content.bytes))
  await next.cache.close()
})

t.test('adopts nothing that does not fit, and says nothing', async (t) => {
  const dir = t.testdir({ short: 'too short' })
  const { cache } = await openCache(dir)
  const content = contentOf('mine', BLOCK_SIZE)
  await cache.adopt(content, join(dir, 'short'), 0, content.crcs)
  await cache.adopt(content, join(dir, 'missing'), 0, content.crcs)
  const empty = contentOf('empty', 0)
  await cache.adopt(empty, join(dir, 'short'), 0, empty.crcs)
  await writeFile(join(dir, 'staged'), content.bytes)
  const target = join(
    dir,
    'blocks',
    content.sha1.slice(0, 2),
    `${content.sha1}-${content.size}.whole`,
  )
  await mkdir(target, { recursive: true })
  await cache.adopt(content, join(dir, 'staged'), 0, content.crcs)
  t.ok(isSame(await readFile(join(dir, 'staged')), content.bytes))
  await rm(target, { recursive: true, force: true })
  t.match(cache.stats(), { files: 0, bytes: 0 })
  t.notOk(cache.has(content, 0))
  t.equal(await readFile(join(dir, 'short'), 'utf8'), 'too short')

  await cache.adopt(content, join(dir, 'staged'), 0, Uint32Array.of(1))
  t.equal(await cache.get(content, 0), undefined, 'a wrong CRC is found out')
  await putAll(cache, content)
  t.ok(isSame(await cache.get(content, 0), content.bytes))
  cache.setVerified(content)
  await writeFile(join(dir, 'again'), content.bytes)
  await cache.adopt(content, join(dir, 'again'), 0, content.crcs)
  t.ok(
    isSame(await readFile(join(dir, 'again')), content.bytes),
    'what is here already, and right, is not taken over',
  )
  t.match(cache.stats(), { files: 1 })
  await cache.close()
})

t.test('what was never verified gives way to a file that is right', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('ours', 3 * BLOCK_SIZE + 7)
  for (let index = 0; index < 4; index++)
    await cache.put(content, index, Buffer.alloc(index < 3 ? BLOCK_SIZE : 7, 'wrong'))
  await writeFile(join(dir, 'staged'), content.bytes)
  await cache.adopt(content, join(dir, 'staged'), 0, content.crcs)
  t.ok(isSame(await cache.read(content, 0, content.size), content.bytes))
  await cache.close()
})

t.test('a lost index means an empty cache, and no file is left behind', async (t) => {
  const dir = t.testdir({})
  const content = contentOf('a', 3 * BLOCK_SIZE)
  const { cache } = await openCache(dir)
  await putAll(cache, content)
  await cache.close()
  await writeFile(join(dir, 'blocks', 'stranger'), 'left alone')
  await writeFile(join(dir, 'blocks.db'), Buffer.alloc(50_000, 'no database'))

  const next = await openCache(dir)
  t.notOk(next.cache.has(content, 0))
  const other = contentOf('b', BLOCK_SIZE)
  await putAll(next.cache, other)
  // Closing waits for the sweep that the start began, unless it has to be cut short.
  await until(async () => (await files(dir)).length === 2)
  t.ok(isSame(await next.cache.get(other, 0), other.bytes))
  t.equal(await readFile(join(dir, 'blocks', 'stranger'), 'utf8'), 'left alone')
  await next.cache.close()
})

t.test('an index that turns out damaged ends in misses', async (t) => {
  const dir = t.testdir({})
  const contents = Array.from({ length: 400 }, (_, i) => contentOf(`${i}`, 1 + i))
  const { cache } = await openCache(dir)
  await Promise.all(contents.map((content) => putAll(cache, content)))
  await cache.close()

  const next = await openCache(dir)
  await using handle = await open(join(dir, 'blocks.db'), 'r+')
  const { size } = await handle.stat()
  for (let at = 8 * 4096; at < size; at += 4096)
    await handle.write(Buffer.alloc(4096, 255), 0, 4096, at)
  for (const content of contents) {
    const bytes = await next.cache.get(content, 0)
    if (bytes !== undefined && !bytes.equals(content.bytes)) t.fail('wrong bytes')
    await next.cache.put(content, 0, content.bytes)
  }
  t.notOk(contents.some((content) => next.cache.has(content, 0)))
  await next.cache.close()
  t.equal(next.space.used, 0)
  t.same(
    (await readdir(dir)).filter((name) => name.startsWith('blocks')),
    [],
  )
  const again = await openCache(dir, 1e6)
  t.equal(again.space.used, 0)
  await Promise.all(contents.map((content) => putAll(again.cache, content)))
  t.ok(again.space.used <= 1e6)
  await again.cache.close()
})

t.test('after a kill, what was written since the last record is counted', async (t) => {
  const dir = t.testdir({})
  const { cache } = await openCache(dir)
  const content = contentOf('a', 40 * BLOCK_SIZE)
  await putAll(cache, content)
  const left = t.testdirName.concat('-left')
  t.teardown(() => rm(left, { recursive: true }))
  await cp(dir, left, { recursive: true })
  await cache.close()

  const next = await openCache(left)
  await until(() => next.space.used >= 40 * BLOCK_SIZE)
  t.equal(await bytesOnDisk(left), next.space.used)
  await putAll(next.cache, content)
  t.ok(isSame(await next.cache.read(content, 0, content.size), content.bytes))
  await next.cache.close()
})

t.test('a process killed anywhere leaves no wrong byte and no stray file', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const writer = new URL('../fixtures/block-writer.ts', import.meta.url)
  for (const point of ['added:5', 'written:9', 'adopted:2', 'removed:3']) {
    await t.test(`killed at ${point}`, async (t) => {
      const dir = t.testdir({})
      await runUntilKilled(writer, [dir, `${random.below(2 ** 31)}`], { at: `blocks.${point}` })
      const { cache, space } = await openCache(dir, CAPACITY)
      await until(async () => (await bytesOnDisk(dir)) <= space.used)
      for (const content of CONTENTS) {
        const bytes = await cache.read(content, 0, content.size)
        if (bytes !== undefined) t.ok(isSame(bytes, content.bytes))
        await putAll(cache, content)
        t.ok(isSame(await cache.read(content, 0, content.size), content.bytes))
      }
      await cache.close()
      t.equal((await files(dir)).length, cache.stats().files)
    })
  }
})

t.test('never a wrong byte and never over the bound, whatever happens', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 6; round++) {
    await t.test(`round ${round}`, (t) => playRound(t, random))
  }
})

async function playRound(t: Test, random: Random): Promise<void> {
  const capacity = 40 * BLOCK_SIZE
  const dir = t.testdir({})
  const sizes = [
    1,
    5000,
    BLOCK_SIZE,
    3 * BLOCK_SIZE + 1,
    9 * BLOCK_SIZE,
    20 * BLOCK_SIZE,
    262 * BLOCK_SIZE,
  ]
  const contents = sizes.map((size) => contentOf('content', size))
  let { cache, space } = await openCache(dir, capacity)
  let wrong = 0
  let found = 0
  let damages = 0

  const get = async (content: Content, index: number) => {
    const bytes = await cache.get(content, index)
    if (bytes !== undefined) found++
    if (bytes !== undefined && !bytes.equals(content.block(index))) wrong++
  }
  const read = async (content: Content) => {
    const [offset, length] = [random.below(content.size), random.below(5 * BLOCK_SIZE)]
    const bytes = await cache.read(content, offset, length)
    if (bytes !== undefined) found++
    if (bytes !== undefined && !bytes.equals(content.bytes.subarray(offset, offset + length)))
      wrong++
  }
  const adopt = async (content: Content, name: string) => {
    if (content.size > capacity / 3) return
    const path = join(dir, `staged-${name}`)
    await writeFile(path, content.bytes)
    // As write-back does it: the room was reserved when the bytes were staged.
    const room = Math.ceil(content.size / 4096) * 4096
    await space.reserve(room)
    await cache.adopt(content, path, 0, content.crcs)
    space.release(room)
    await rm(path, { force: true })
  }
  const damage = async () => {
    damages++
    const paths = await files(dir)
    if (paths.length === 0) return
    const path = random.pick(paths)
    if (random.below(4) === 0) return unlink(path).catch(() => {})
    const handle = await open(path, 'r+').catch(() => undefined)
    await handle?.write(random.bytes(3), 0, 3, random.below(10 * BLOCK_SIZE))
    await handle?.close()
  }

  for (let step = 0; step < 60; step++) {
    const operations = Array.from({ length: 1 + random.below(12) }, (_, i) => {
      const content = random.pick(contents)
      const index = random.below(Math.ceil(content.size / BLOCK_SIZE))
      const kind = random.below(100)
      if (kind < 45) return cache.put(content, index, content.block(index))
      if (kind < 70) return get(content, index)
      if (kind < 85) return read(content)
      if (kind < 92) return adopt(content, `${step}.${i}`)
      if (kind < 95) return cache.drop(content)
      return damage()
    })
    await Promise.all(operations)
    if (space.used > capacity) t.fail(`step ${step}: ${space.used} of ${capacity} bytes used`)
    // Damage may fill a hole, and the file system may need pages of its own to keep track.
    const strayBytes = 4096 * (3 * contents.length + 2 * damages)
    const onDisk = await bytesOnDisk(dir)
    if (onDisk > space.used + strayBytes) t.fail(`step ${step}: ${onDisk} bytes on disk`)
    if (random.below(10) === 0) {
      await cache.close()
      ;({ cache, space } = await openCache(dir, capacity))
    }
  }
  t.equal(wrong, 0)
  t.ok(found > 0)
  await cache.close()
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** Without the page of hex that `t.same` prints. */
function isSame(found: Buffer | undefined, wanted: Buffer): boolean {
  return found?.equals(wanted) ?? false
}
