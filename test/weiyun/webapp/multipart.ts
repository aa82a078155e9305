// The upload form, byte by byte, against the vector.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { encodeMultipart, newBoundary } from '../../../src/weiyun/webapp/multipart.ts'

const { multipart: vector } = JSON.parse(
  await readFile(new URL('../../vectors/webapp-sha1-state.json', import.meta.url), 'utf8'),
)

t.test('with bytes', async (t) => {
  const piece = Buffer.from(vector.piece_base64, 'base64')
  const { contentType, body } = encodeMultipart(vector.json_text, piece, vector.boundary)
  t.equal(contentType, vector.content_type)
  t.equal(body.toString('base64'), vector.body_base64)
  t.equal(body.length, vector.body_length)
})

t.test('without', async (t) => {
  const { body } = encodeMultipart(vector.json_text, undefined, vector.boundary)
  t.equal(body.length, vector.body_without_data_length)
  t.equal(createHash('sha1').update(body).digest('hex'), vector.body_without_data_sha1)
})

t.test('every boundary is another', async (t) => {
  t.not(newBoundary(), newBoundary())
  t.match(newBoundary(), /^----WebKitFormBoundary[0-9a-f]{32}$/)
})
