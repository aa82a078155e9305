import t from 'tap'
import { ExtentSet } from '../../src/base/extents.ts'
import { Random } from '../fixtures/random.ts'

t.test('merges what touches and splits what is cut', async (t) => {
  const set = new ExtentSet()
  set.add(10, 20)
  set.add(30, 40)
  t.same(set.toJSON(), [10, 20, 30, 40])
  set.add(20, 30)
  t.same(set.toJSON(), [10, 40])
  set.remove(15, 20)
  t.same(set.toJSON(), [10, 15, 20, 40])
  t.same(set.gaps(0, 50), [
    [0, 10],
    [15, 20],
    [40, 50],
  ])
  set.clip(18)
  t.same(set.toJSON(), [10, 15])
  t.equal(set.end, 15)
})

t.test('an empty range changes nothing and has no gap', async (t) => {
  const set = new ExtentSet()
  set.add(5, 5)
  t.same(set.toJSON(), [])
  t.same(set.gaps(7, 7), [])
})

t.test('sizes beyond 32 bits', async (t) => {
  const set = new ExtentSet()
  const far = 2 ** 53 - 1
  set.add(2 ** 40, far)
  t.equal(set.bytes, far - 2 ** 40)
  t.same(set.gaps(2 ** 41, far), [])
  t.throws(() => set.add(0, 2 ** 53), RangeError)
})

t.test('refuses what is no range', async (t) => {
  const set = new ExtentSet()
  for (const [start, end] of [
    [-1, 2],
    [3, 2],
    [0.5, 2],
    [0, Number.NaN],
  ] as const) {
    t.throws(() => set.add(start, end), RangeError)
    t.throws(() => set.remove(start, end), RangeError)
  }
})

t.test('fromJSON takes only what toJSON gives', async (t) => {
  for (const bad of [[1], [2, 1], [1, 1], [1, 3, 3, 4], [-1, 2], [0, 1.5]]) {
    t.throws(() => ExtentSet.fromJSON(bad), RangeError, JSON.stringify(bad))
  }
  t.same(ExtentSet.fromJSON([0, 2, 4, 9]).toJSON(), [0, 2, 4, 9])
})

t.test('behaves as a bitmap does', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const SIZE = 96
  for (let round = 0; round < 200; round++) {
    const bits: boolean[] = Array(SIZE).fill(false)
    let set = new ExtentSet()
    for (let step = 0; step < 60; step++) {
      const start = random.below(SIZE)
      const end = start + random.below(Math.min(12, SIZE - start) + 1)
      const kind = random.pick(['add', 'add', 'add', 'remove', 'remove', 'clip', 'reload'])
      if (kind === 'add') set.add(start, end)
      if (kind === 'remove') set.remove(start, end)
      if (kind === 'add' || kind === 'remove') bits.fill(kind === 'add', start, end)
      if (kind === 'clip' && random.below(4) === 0) {
        set.clip(start)
        bits.fill(false, start)
      }
      if (kind === 'reload') set = ExtentSet.fromJSON(JSON.parse(JSON.stringify(set)))
      if (!agrees(set, bits, start, end)) return t.fail(`round ${round}, step ${step}`)
    }
  }
  t.pass()
})

function agrees(set: ExtentSet, bits: boolean[], start: number, end: number): boolean {
  const fromGaps = Array(bits.length).fill(true)
  for (const [from, to] of set.gaps(0, bits.length)) fromGaps.fill(false, from, to)
  const windowGaps = set.gaps(start, end)
  const edges = set.toJSON()
  return (
    bits.every((bit, i) => bit === fromGaps[i]) &&
    windowGaps.every(([from, to]) => from >= start && to <= end && from < to) &&
    windowGaps.reduce((sum, [from, to]) => sum + to - from, 0) ===
      bits.slice(start, end).filter((bit) => !bit).length &&
    set.bytes === bits.filter(Boolean).length &&
    set.end === bits.lastIndexOf(true) + 1 &&
    set.ranges === edges.length / 2 &&
    String([...set].flat()) === String(edges) &&
    edges.every((edge, i) => i === 0 || edge > (edges[i - 1] as number))
  )
}
