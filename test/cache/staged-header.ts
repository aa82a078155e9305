import t from 'tap'
import {
  DATA_START,
  decodeSlots,
  encodeSlot,
  SLOT_BYTES,
  type Slot,
  slotStart,
} from '../../src/cache/staged-header.ts'

function slotOf(sequence: number, name = `file ${sequence}`): Slot {
  const times = { mtimeMs: 1, atimeMs: 2, ctimeMs: 3 }
  const description = {
    path: [name],
    ...times,
    closed: true,
    size: sequence,
    extents: [0, sequence],
  }
  return { sequence, description, cutting: false }
}

function headerWith(...slots: Buffer[]): Buffer {
  const header = Buffer.alloc(DATA_START)
  for (const [i, slot] of slots.entries()) slot.copy(header, slotStart(i + 1))
  return header
}

t.test('the newer of two slots counts', async (t) => {
  const [one, two, three] = [slotOf(1), slotOf(2), slotOf(3)]
  t.same(decodeSlots(headerWith(encodeSlot(one))), one)
  t.same(decodeSlots(headerWith(encodeSlot(one), encodeSlot(two))), two)
  t.same(decodeSlots(headerWith(encodeSlot(three), encodeSlot(two))), three)
  t.equal(decodeSlots(Buffer.alloc(DATA_START)), undefined)
})

t.test('a slot torn at any byte leaves the other', async (t) => {
  const [before, good] = [slotOf(1, 'a longer name than the next'), slotOf(2)]
  const next = encodeSlot(slotOf(3))
  for (let written = 0; written < next.length; written++) {
    const header = headerWith(encodeSlot(before), encodeSlot(good))
    next.copy(header, slotStart(3), 0, written)
    t.same(decodeSlots(header), good, `${written} bytes written`)
  }
})

t.test('a wrong bit anywhere in a slot is noticed', async (t) => {
  const slot = encodeSlot(slotOf(1))
  const zeros = new Set([28, 29, 30, 31])
  for (let at = 0; at < slot.length; at++) {
    if (zeros.has(at)) continue
    const header = headerWith(slot)
    header[slotStart(1) + at] = (slot[at] ?? 0) ^ 4
    t.equal(decodeSlots(header), undefined, `byte ${at}`)
  }
})

t.test('a header cut off anywhere is no error', async (t) => {
  const whole = headerWith(encodeSlot(slotOf(1)), encodeSlot(slotOf(2)))
  for (const length of [0, 1, 8, 31, 32, 100, SLOT_BYTES - 1]) {
    t.equal(decodeSlots(whole.subarray(0, length))?.sequence, length > 200 ? 2 : undefined)
  }
})

t.test('does not go back to the older slot of a file that a later program wrote', async (t) => {
  const later = encodeSlot(slotOf(2))
  later.writeUInt32LE(2, 8)
  t.equal(decodeSlots(headerWith(encodeSlot(slotOf(1)), later)), undefined)
})

t.test('refuses what does not fit', async (t) => {
  t.throws(() => encodeSlot(slotOf(1, 'x'.repeat(SLOT_BYTES))), RangeError)
  const room = SLOT_BYTES - encodeSlot(slotOf(1, '')).length
  t.equal(encodeSlot(slotOf(1, 'x'.repeat(room))).length, SLOT_BYTES)
})
