// Upload in one form, and the announcement of that generation, `file_upload` (protocol notes,
// classic 6a, 6b; newcgi 5.2). For services that do not know chunks; meant for smaller files.
import { randomBytes } from 'node:crypto'
import type { Call } from '../call.ts'
import type { ContentHashes, DirRef, UploadSource } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import { type Fields, needSize, needText } from '../fields.ts'
import type { Throttle } from '../throttle.ts'
import type { HttpBody, TextReply } from '../transport.ts'
import type { ClassicClient, Command } from './client.ts'
import { inDir } from './decode.ts'
import { dataErrorCodeOf } from './retcode.ts'

const COMMAND: Command = { cmd: 'file_upload', method: 'GET', path: '/upload.fcg' }
const ORIGIN = 'http://www.weiyun.com'
const PART_BYTES = 256 * 1024

export interface FormTicket {
  readonly csum: string
  readonly fileKey: string
  readonly host: string
  readonly port: number
}

/** Asks for a file by its hashes, or without them (`undefined`) for a place to send it to. */
export async function announceForm(
  client: ClassicClient,
  dir: DirRef,
  filename: string,
  size: number,
  hashes: ContentHashes | undefined,
  call: Call,
): Promise<Fields> {
  const request = {
    ...inDir(dir),
    upload_type: hashes === undefined ? 1 : 0,
    file_md5: hashes?.md5 ?? '',
    file_sha: hashes?.sha1 ?? '',
    file_size: String(size),
    file_attr: { file_name: filename },
  }
  return (await client.command(COMMAND, request, call)).body
}

export function decodeFormTicket(body: Fields): FormTicket {
  return {
    csum: needText(body, 'upload_csum'),
    fileKey: needText(body, 'file_key'),
    host: needText(body, 'upload_svr_host'),
    port: needSize(body, 'upload_svr_port'),
  }
}

/** Sends the whole file. What became of it, only a listing tells. */
export async function sendForm(
  client: ClassicClient,
  bandwidth: Throttle,
  { csum, fileKey, host, port }: FormTicket,
  source: UploadSource,
  call: Call,
): Promise<void> {
  const path = `/ftn_handler/?ver=12345&ukey=${csum}&filekey=${fileKey}&`
  const url = client.hosts.dataServer(host, port, path)
  const boundary = `----weiyun${randomBytes(12).toString('hex')}`
  const type = { 'content-type': `multipart/form-data; boundary=${boundary}` }
  const headers = { ...client.dataHeaders(url, ORIGIN), ...type }
  const body = formBody(boundary, source, bandwidth, call)
  checkReply(await client.fetch({ method: 'POST', url, headers, body }, call))
}

// The server drops the connection when the length is not announced, so it is.
function formBody(
  boundary: string,
  source: UploadSource,
  bandwidth: Throttle,
  call: Call,
): HttpBody {
  const lines = [
    `--${boundary}`,
    'Content-Disposition: form-data; name="file"; filename="filename"',
    'Content-Type: application/octet-stream',
    '\r\n',
  ]
  const head = Buffer.from(lines.join('\r\n'))
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  async function* parts() {
    yield head
    for (let offset = 0; offset < source.size; offset += PART_BYTES) {
      const part = await source.read(offset, Math.min(PART_BYTES, source.size - offset))
      await bandwidth.take(part.length, call)
      yield part
    }
    yield tail
  }
  return { length: head.length + source.size + tail.length, parts }
}

function checkReply({ status, bytes }: TextReply): void {
  if (status !== 200) {
    const code = status >= 500 || status === 408 || status === 429 ? 'SERVER' : 'RESTART_TRANSFER'
    throw new WeiyunError(code, `the form was answered with HTTP ${status}`)
  }
  const ret = Number(/ftn_post_end\(\s*'?(-?\d+)/.exec(bytes.toString('latin1'))?.[1] ?? 0)
  if (ret === 0) return
  // The bytes would have to be sent again in any case, so the announcement may as well be.
  const code = dataErrorCodeOf(ret) === 'NOT_FOUND' ? 'NOT_FOUND' : 'RESTART_TRANSFER'
  throw new WeiyunError(code, `the form was answered with ${ret}`, { ret })
}
