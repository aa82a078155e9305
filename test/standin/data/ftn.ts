import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ftnReply, parseFrame } from '../../../src/standin/data/ftn.ts'

const vectors = JSON.parse(
  await readFile(new URL('../../vectors/classic.json', import.meta.url), 'utf8'),
)
const whole = vectors.ftn_frame.filter((v: { frame_hex: string | null }) => v.frame_hex !== null)

t.test('frames of the vectors read as what they were made of', async (t) => {
  t.ok(whole.length > 0)
  for (const vector of whole) {
    const frame = parseFrame(Buffer.from(vector.frame_hex, 'hex'))
    t.equal(frame.checkKey, vector.check_key)
    t.equal(frame.fileKey, vector.file_key)
    t.equal(frame.size, vector.file_size)
    t.equal(frame.offset, vector.offset)
    t.equal(frame.chunk.toString(), vector.chunk_utf8)
    t.equal(hash('md5', frame.chunk), vector.bmd5)
  }
})

t.test('a frame that was cut, stretched or changed in its head is refused', async (t) => {
  const bytes = Buffer.from(whole[0].frame_hex, 'hex')
  for (let length = 0; length < bytes.length; length++) {
    t.throws(() => parseFrame(bytes.subarray(0, length)), { name: 'FrameError' }, `${length} bytes`)
  }
  t.throws(() => parseFrame(Buffer.concat([bytes, Buffer.alloc(1)])), { name: 'FrameError' })
  for (const at of [0, 7, 11, 15]) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    t.throws(() => parseFrame(changed), { name: 'FrameError' }, `byte ${at}`)
  }
})

t.test('a reply carries code, flag and offset where the sheets say', async (t) => {
  const bytes = ftnReply(-29100, false, 131072)
  t.equal(bytes.readInt32BE(8), -29100)
  t.equal(bytes[16], 0)
  t.equal(bytes.readInt32BE(17), 131072)
  t.equal(ftnReply(0, true, 5)[16], 1)
})
