import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { RangeLock } from '../../src/cache/range-lock.ts'
import { Random } from '../fixtures/random.ts'

t.test('only what overlaps waits, in the order of the calls', async (t) => {
  const lock = new RangeLock()
  const events: string[] = []
  const gates = new Map<string, () => void>()
  const start = (name: string, from: number, to: number, shared = false) =>
    lock.run(
      from,
      to,
      async () => {
        events.push(name)
        await new Promise<void>((resolve) => gates.set(name, resolve))
      },
      shared,
    )
  const finish = async (name: string) => {
    gates.get(name)?.()
    await wait(0)
  }

  const all = [start('a', 0, 10), start('b', 10, 20), start('c', 5, 15), start('d', 12, 14)]
  await wait(0)
  t.same(events, ['a', 'b'])
  t.ok(lock.busy)
  await finish('b')
  t.same(events, ['a', 'b'])
  await finish('a')
  t.same(events, ['a', 'b', 'c'])
  await finish('c')
  t.same(events, ['a', 'b', 'c', 'd'])
  await finish('d')
  await Promise.all(all)
  t.notOk(lock.busy)

  const readers = [start('r1', 0, 10, true), start('r2', 5, 15, true), start('w', 8, 9)]
  await wait(0)
  t.same(events.slice(4), ['r1', 'r2'])
  await finish('r1')
  await finish('r2')
  t.same(events.slice(4), ['r1', 'r2', 'w'])
  await finish('w')
  await Promise.all(readers)
})

t.test('work that fails lets the next one in', async (t) => {
  const lock = new RangeLock()
  const failing = lock.run(0, 10, () => Promise.reject(new Error('no')))
  const next = lock.run(0, 10, async () => 'yes')
  await t.rejects(failing, /no/)
  t.equal(await next, 'yes')
})

t.test('no two that overlap run at once', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const lock = new RangeLock()
  const running = new Set<{ from: number; to: number; shared: boolean }>()
  let clashes = 0
  const tasks = Array.from({ length: 300 }, () => {
    const from = random.below(100)
    const span = { from, to: from + random.below(20), shared: random.below(3) === 0 }
    const work = async () => {
      for (const other of running) {
        const overlap = other.from < span.to && span.from < other.to
        if (overlap && !(other.shared && span.shared)) clashes++
      }
      running.add(span)
      await wait(random.below(2))
      running.delete(span)
    }
    return lock.run(span.from, span.to, work, span.shared)
  })
  await Promise.all(tasks)
  t.equal(clashes, 0)
})
