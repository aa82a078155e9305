import t from 'tap'
import { type Evictor, Share, Space } from '../../src/cache/space.ts'

/** Stands for a cache of blocks of 100 bytes. */
class FakeCache implements Evictor {
  readonly share: Share
  evictions: number[] = []
  stuck = false

  constructor(space: Space) {
    this.share = new Share(space)
    space.evictWith(this)
  }

  get bytes(): number {
    return this.share.bytes
  }

  async evict(bytes: number): Promise<number> {
    this.evictions.push(bytes)
    await new Promise((resolve) => setImmediate(resolve))
    const freed = this.stuck ? 0 : Math.min(Math.ceil(bytes / 100) * 100, this.bytes)
    this.share.release(freed)
    return freed
  }
}

t.test('reserves up to the bound and not a byte more', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 1000, marginBytes: 0 })
  t.notOk(space.tryReserve(1), 'the file system was not looked at yet')
  await space.reserve(600)
  t.ok(space.tryReserve(400))
  t.notOk(space.tryReserve(1))
  await t.rejects(space.reserve(1), { code: 'ENOSPC' })
  t.equal(space.used, 1000)
  space.release(10)
  await space.reserve(10)
  await space.reserve(0)
  t.equal(space.used, 1000)
})

t.test('clean bytes go first, and only if that helps', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 1000, marginBytes: 0 })
  const cache = new FakeCache(space)
  await space.reserve(300)
  cache.share.charge(700)
  await space.reserve(150)
  t.equal(cache.bytes, 500)
  await t.rejects(space.reserve(800), { code: 'ENOSPC' })
  t.equal(cache.bytes, 500, 'nothing was evicted in vain')
  await space.reserve(550)
  t.equal(space.used, 1000)
  t.equal(cache.bytes, 0)
  cache.share.charge(100)
  cache.stuck = true
  await t.rejects(space.reserve(1), { code: 'ENOSPC' })
})

t.test('many at once never pass the bound together', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 10_000, marginBytes: 0 })
  const cache = new FakeCache(space)
  cache.share.charge(9_000)
  const results = await Promise.allSettled(Array.from({ length: 150 }, () => space.reserve(100)))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 100)
  t.equal(space.used, 10_000)
  t.equal(cache.bytes, 0)
})

t.test('leaves a margin on the file system', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 1e15, marginBytes: 2 ** 60 })
  await t.rejects(space.reserve(1), { code: 'ENOSPC' })
  const roomy = new Space({ dir: t.testdirName, capacity: 2 ** 60 })
  await t.rejects(roomy.reserve(2 ** 59), { code: 'ENOSPC', message: /free on the file system/ })
})

t.test('waits until what is on disk is counted', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 1000, marginBytes: 0 })
  const counted = Promise.withResolvers<void>()
  space.waitFor(counted.promise.then(() => space.charge(950)))
  const late = t.rejects(space.reserve(100), { code: 'ENOSPC' })
  t.notOk(space.tryReserve(10))
  counted.resolve()
  await late
  t.ok(space.tryReserve(50))
})

t.test('a share knows what is its own', async (t) => {
  const space = new Space({ dir: t.testdir({}), capacity: 1000, marginBytes: 0 })
  const [one, other] = [new Share(space), new Share(space)]
  await one.reserve(500)
  other.charge(300)
  await t.rejects(one.reserve(300), { code: 'ENOSPC' })
  t.equal(one.bytes, 500)
  one.release(100)
  t.equal(space.used, 700)
  one.release()
  t.equal(one.bytes, 0)
  t.equal(space.used, 300)
})
