// Upload in chunks: one announcement (newcgi 2301), then frames to the data server that it names,
// each at the offset that the server asks for (protocol notes, classic 6c; newcgi 5). Two requests
// for a small file, one when the service knows the content.
import { createHash } from 'node:crypto'
import type { Call } from '../call.ts'
import type { ContentHashes, DirRef, UploadSource } from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import { type Fields, needSize, needText } from '../fields.ts'
import type { Lanes } from '../lanes.ts'
import type { Throttle } from '../throttle.ts'
import type { TextReply } from '../transport.ts'
import type { ClassicClient } from './client.ts'
import { inDir } from './decode.ts'
import { CHUNK_BYTES_MAX, decodeFrameReply, encodeFrame, type FrameReply } from './frame.ts'
import { dataErrorCodeOf } from './retcode.ts'

const CMD_UPLOAD = 2301

/**
 * What the first clients sent; by all accounts a name that is taken makes a renamed file (newcgi
 * 5.1).
 */
const FILE_EXIST_OPTION = 4

const ORIGIN = 'http://img.weiyun.com'

/**
 * How often the server may go back, without getting any further in between, before the upload
 * counts as stuck.
 */
const SETBACKS_MAX = 3

export interface ChunkTicket {
  readonly checkKey: string
  readonly fileKey: string
  readonly host: string
  readonly port: number
}

export interface ChunkSenderOptions {
  readonly client: ClassicClient
  readonly lanes: Lanes
  readonly bandwidth: Throttle
}

export class ChunkSender {
  readonly #client: ClassicClient
  readonly #lanes: Lanes
  readonly #bandwidth: Throttle

  constructor({ client, lanes, bandwidth }: ChunkSenderOptions) {
    this.#client = client
    this.#lanes = lanes
    this.#bandwidth = bandwidth
  }

  /** Announces a file under a name as it goes over the wire; the reply's message body. */
  async announce(
    dir: DirRef,
    filename: string,
    content: ContentHashes & { size: number },
    call: Call,
  ): Promise<Fields> {
    const request = {
      ...inDir(dir),
      upload_type: 0,
      file_md5: content.md5,
      file_sha: content.sha1,
      file_size: content.size,
      filename,
      file_exist_option: FILE_EXIST_OPTION,
    }
    return this.#client.newcgi(CMD_UPLOAD, 'DiskFileUpload', request, call)
  }

  /** Sends until the server says that it has all. `false`: it said so before it can have. */
  async send(
    ticket: ChunkTicket,
    source: UploadSource,
    call: Call,
    onProgress: (sent: number) => void,
  ): Promise<boolean> {
    let offset = 0
    let furthest = 0
    let setbacks = 0
    for (;;) {
      const chunk = await source.read(offset, Math.min(CHUNK_BYTES_MAX, source.size - offset))
      const next = await this.#sendChunk(ticket, source, offset, chunk, call)
      if (next === undefined) return offset + chunk.length === source.size
      if (next < 0 || next >= source.size || (next <= offset && ++setbacks > SETBACKS_MAX)) {
        throw new WeiyunError(
          'RESTART_TRANSFER',
          `the data server asks for offset ${next} of ${source.size}`,
        )
      }
      if (next > furthest) setbacks = 0
      furthest = Math.max(furthest, next)
      offset = next
      onProgress(offset)
    }
  }

  /** Sends one chunk, a few times if need be; answers as FrameReply.next. */
  async #sendChunk(
    ticket: ChunkTicket,
    source: UploadSource,
    offset: number,
    chunk: Buffer,
    call: Call,
  ): Promise<number | undefined> {
    try {
      return (await this.#lanes.retry(call, () => this.#post(ticket, source, offset, chunk, call)))
        .next
    } catch (error) {
      // With a number of its own it keeps saying no: perhaps to these keys, which a new
      // announcement changes.
      if (!isWeiyunError(error, 'SERVER') || error.ret === undefined) throw error
      throw new WeiyunError('RESTART_TRANSFER', error.message, { cause: error, ret: error.ret })
    }
  }

  async #post(
    { host, port, ...keys }: ChunkTicket,
    { md5, size }: UploadSource,
    offset: number,
    chunk: Buffer,
    call: Call,
  ): Promise<FrameReply> {
    const body = encodeFrame(keys, size, offset, chunk)
    await this.#bandwidth.take(body.length, call)
    const bmd5 = createHash('md5').update(chunk).digest('hex')
    const url = this.#client.hosts.dataServer(host, port, `/ftn_handler/${md5}?bmd5=${bmd5}`)
    const type = { 'content-type': 'application/octet-stream' }
    const headers = { ...this.#client.dataHeaders(url, ORIGIN), ...type }
    return frameReply(await this.#client.fetch({ method: 'POST', url, headers, body }, call))
  }
}

/** Where to send an announced file. */
export function decodeTicket(body: Fields): ChunkTicket {
  return {
    checkKey: needText(body, 'check_key'),
    fileKey: needText(body, 'file_key'),
    host: needText(body, 'server_name'),
    port: needSize(body, 'server_port'),
  }
}

/** A ticket out of a resume token. */
export function restoreTicket(fields: Fields): ChunkTicket | undefined {
  try {
    return decodeTicket(fields)
  } catch (error) {
    if (isWeiyunError(error, 'BAD_REPLY')) return undefined
    throw error
  }
}

function frameReply({ status, bytes }: TextReply): FrameReply {
  if (status === 200) {
    const reply = decodeFrameReply(bytes)
    if (reply.ret === 0) return reply
    const message = `the data server answered ${reply.ret}`
    throw new WeiyunError(dataErrorCodeOf(reply.ret), message, { ret: reply.ret })
  }
  // A server in trouble may take the same chunk later; one that refuses wants another announcement.
  const code = status >= 500 || status === 408 || status === 429 ? 'SERVER' : 'RESTART_TRANSFER'
  throw new WeiyunError(code, `the data server answered HTTP ${status}`)
}
