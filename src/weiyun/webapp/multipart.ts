// The body in which uploads travel (protocol notes, webapp 7.1; vectors "multipart"). Lines end in
// CRLF:
//
//   --B  Content-Disposition: form-data; name="json"
//        (no type: with one the service refuses it)
//   --B  Content-Disposition: form-data; name="upload"; filename="blob"
//        Content-Type: application/octet-stream
//        (only when bytes are sent)
//   --B--
import { randomBytes } from 'node:crypto'

export interface Multipart {
  readonly contentType: string
  readonly body: Buffer
}

/** 128 random bits: no file has them in it. */
export function newBoundary(): string {
  return `----WebKitFormBoundary${randomBytes(16).toString('hex')}`
}

export function encodeMultipart(
  json: string,
  piece: Buffer | undefined,
  boundary = newBoundary(),
): Multipart {
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n${json}\r\n`
  const parts: Buffer[] = [Buffer.from(head)]
  if (piece !== undefined) {
    const disposition = 'form-data; name="upload"; filename="blob"'
    const type = 'application/octet-stream'
    const headers = `Content-Disposition: ${disposition}\r\nContent-Type: ${type}`
    parts.push(Buffer.from(`--${boundary}\r\n${headers}\r\n\r\n`), piece, Buffer.from('\r\n'))
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`))
  return { contentType: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(parts) }
}
