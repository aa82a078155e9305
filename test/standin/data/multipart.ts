import t from 'tap'
import { parseMultipart } from '../../../src/standin/data/multipart.ts'

const TYPE = 'multipart/form-data; boundary=xYz'
const BODY = [
  '--xYz',
  'Content-Disposition: form-data; name="Filename"',
  '',
  'a.txt',
  '--xYz',
  'Content-Disposition: form-data; name="file"; filename="filename"',
  'Content-Type: application/octet-stream',
  '',
  'one\r\n--xY\r\n\r\ntwo',
  '--xYz--',
  '',
].join('\r\n')

t.test('parts keep their bytes, even those that look like a boundary', async (t) => {
  const [first, file, ...rest] = parseMultipart(TYPE, Buffer.from(BODY))
  t.strictSame(rest, [])
  t.match(first, { name: 'Filename', filename: undefined, type: undefined })
  t.match(file, { name: 'file', filename: 'filename', type: 'application/octet-stream' })
  t.equal(file?.bytes.toString(), 'one\r\n--xY\r\n\r\ntwo')
})

t.test('an empty part is empty', async (t) => {
  const body = '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--b--\r\n'
  const [file] = parseMultipart('multipart/form-data; boundary="b"', Buffer.from(body))
  t.equal(file?.bytes.length, 0)
})

t.test('a body cut anywhere before its end is refused', async (t) => {
  const end = BODY.lastIndexOf('--')
  for (let length = 0; length < end; length += 7) {
    t.throws(() => parseMultipart(TYPE, Buffer.from(BODY.slice(0, length))), {
      name: 'MultipartError',
    })
  }
  t.throws(() => parseMultipart('text/plain', Buffer.from(BODY)), { name: 'MultipartError' })
})
