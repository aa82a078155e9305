import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { decodeFrameReply, encodeFrame } from '../../../src/weiyun/classic/frame.ts'

const vectors = JSON.parse(
  await readFile(new URL('../../vectors/classic.json', import.meta.url), 'utf8'),
)

for (const vector of vectors.ftn_frame) {
  const keys = { checkKey: vector.check_key, fileKey: vector.file_key }
  const chunk = Buffer.from(vector.chunk_utf8)
  const frame = encodeFrame(keys, vector.file_size, vector.offset, chunk)
  const name = `frame at ${vector.offset} of ${vector.file_size}`
  t.equal(frame.length, vector.frame_length, name)
  t.equal(createHash('sha1').update(frame).digest('hex'), vector.frame_sha1, name)
  if (vector.frame_hex) t.equal(frame.toString('hex'), vector.frame_hex, name)
}

t.test('the largest file keeps its size and offset', async (t) => {
  const size = 2 ** 31 - 1
  const frame = encodeFrame({ checkKey: '', fileKey: '' }, size, size - 1, Buffer.from('x'))
  t.equal(frame.readUInt32BE(20), size)
  t.equal(frame.readUInt32BE(24), size - 1)
})

const reply = (hex: string) => decodeFrameReply(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const HEAD = '00000000 00000000'

t.strictSame(reply(`${HEAD} 00000000 00000000 00 00020000`), { ret: 0, next: 131072 }, 'go on')
t.strictSame(reply(`${HEAD} 00000000 00000000 01`), { ret: 0, next: undefined }, 'complete')
t.strictSame(reply(`${HEAD} ffff8e30 00000000`), { ret: -29136, next: undefined }, 'error')
for (const [hex, what] of [
  ['', 'nothing'],
  [`${HEAD} 00000000`, 'half a header'],
  [`${HEAD} 00000000 00000000`, 'no flag'],
  [`${HEAD} 00000000 00000000 00 0002`, 'half an offset'],
] as const) {
  t.throws(() => reply(hex), { code: 'BAD_REPLY' }, what)
}
