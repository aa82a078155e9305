import t from 'tap'
import { Meter } from '../../src/cli/metrics.ts'

t.test('the second answer tells how late the event loop was since the first', async (t) => {
  const meter = new Meter()
  t.equal(meter.read().loopDelayMs, null)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const blockedUntilMs = performance.now() + 300
  while (performance.now() < blockedUntilMs);
  await new Promise((resolve) => setTimeout(resolve, 50))
  const late = meter.read().loopDelayMs
  t.ok(late !== null && late.max >= 250, 'a blocked loop shows')
  t.ok(late !== null && late.p50 < late.max, 'and is told from an idle one')
})

t.test('memory', async (t) => {
  const { memory } = new Meter().read()
  t.ok(memory.rss > memory.heap && memory.heap > 0)
})
