import t from 'tap'
import { Throttle } from '../../src/weiyun/throttle.ts'

/** Notes how long it is asked to wait, and does not. */
function waiter() {
  const waits: number[] = []
  return { waits, rest: async (ms: number) => void waits.push(ms) }
}

t.test('a burst, then at the rate', async (t) => {
  const { waits, rest } = waiter()
  const throttle = new Throttle({ perSecond: 0.1, burst: 3 })
  for (let turn = 0; turn < 5; turn++) await throttle.take(1, { rest })
  t.equal(waits.length, 2)
  t.ok(waits.every((ms) => ms > 0))
  t.ok((waits[1] ?? 0) > (waits[0] ?? 0), 'each waits for those before it')
  t.ok((waits[1] ?? 0) <= 20_000)
})

t.test('more at once than the burst is paid for afterwards', async (t) => {
  const { waits, rest } = waiter()
  const throttle = Throttle.bytes(1000)
  await throttle.take(5000, { rest })
  t.ok((waits[0] ?? 0) > 3000 && (waits[0] ?? 0) <= 4000, `${waits}`)
})

t.test('no limit', async (t) => {
  const { waits, rest } = waiter()
  const throttle = Throttle.bytes(0)
  for (let turn = 0; turn < 100; turn++) await throttle.take(1e9, { rest })
  t.strictSame(waits, [])
})
