// The webapp envelopes over HTTP: who we are, what we ask, and the answer's fields or a
// WeiyunError. A reply that may only mean that the session wants renewing leads to that and to one
// more try (protocol notes, webapp 2, 3).
import type { Call } from '../call.ts'
import { type ErrorCode, isWeiyunError, WeiyunError } from '../errors.ts'
import type { Fields } from '../fields.ts'
import type { ServiceHosts } from '../hosts.ts'
import { errorCodeOf, refusalMessage } from '../retcode.ts'
import type { HttpRequest, Transport } from '../transport.ts'
import * as envelope from './envelope.ts'
import { gtkOf, headerIdentity, tokenInfo } from './identity.ts'
import type { LiveSession } from './live-session.ts'
import { encodeMultipart } from './multipart.ts'

const ORIGIN = 'https://www.weiyun.com'

/** The gateway's own "no", in place of an HTTP 403. */
const RET_FORBIDDEN = 403

export interface Command extends envelope.Message {
  readonly service: 'weiyunQdisk' | 'weiyunQdiskClient'
  /** Its results are those of its items. */
  readonly isBatch?: boolean
}

export interface ClientOptions {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly session: LiveSession
}

export class WebappClient {
  readonly hosts: ServiceHosts
  /** What a browser on the site's page sends along. */
  readonly pageHeaders = { origin: ORIGIN, referer: `${ORIGIN}/disk` }
  readonly #transport: Transport
  readonly #session: LiveSession
  #seq = Date.now()

  constructor({ transport, hosts, session }: ClientOptions) {
    this.#transport = transport
    this.hosts = hosts
    this.#session = session
  }

  /**
   * Sends one command. Results other than 0 are errors, but for those that the caller `accepts`.
   */
  async command(
    command: Command,
    fields: object,
    call: Call,
    accepts: ReadonlySet<number> = new Set(),
  ): Promise<Fields> {
    const { service, name, cmd, isBatch = false } = command
    return this.#withSession(call, async () => {
      const url = this.#url('site', `/webapp/json/${service}/${name}`, cmd)
      const body = envelope.encodeCommand(command, this.#identity, ++this.#seq, fields)
      const text = await this.#post(url, 'application/json', body, name, call)
      return judge(name, () => envelope.decodeCommand(text), { isBatch, accepts })
    })
  }

  /** Sends one upload step as a form, with bytes if there are any. */
  async upload(
    message: envelope.Message,
    fields: object,
    piece: Buffer | undefined,
    call: Call,
  ): Promise<Fields> {
    const { name, cmd } = message
    return this.#withSession(call, async () => {
      const url = this.#url('upload', '/ftnup_v2/weiyun', cmd)
      const json = envelope.encodeUpload(message, this.#identity, fields)
      const { contentType, body } = encodeMultipart(json, piece)
      const text = await this.#post(url, contentType, body, name, call)
      return judge(name, () => envelope.decodeUpload(text, message))
    })
  }

  /** Announces an upload by the way that openid accounts have to take (webapp 7.2). */
  async preUploadJson(message: envelope.Message, fields: object, call: Call): Promise<Fields> {
    const { name, cmd } = message
    return this.#withSession(call, async () => {
      const url = this.#url('site', '/api/v3/ftn_pre_upload', cmd)
      const json = envelope.encodeUploadJson(message, this.#identity, fields)
      const text = await this.#post(url, 'application/json', json, name, call)
      return judge(name, () => envelope.decodeUpload(text, message))
    })
  }

  get #identity(): envelope.Identity {
    const { jar } = this.#session
    return { tokenInfo: tokenInfo(jar), ...headerIdentity(jar) }
  }

  #url(host: 'site' | 'upload', path: string, cmd: number): URL {
    const url = this.hosts.url(host, path)
    url.search = new URLSearchParams({
      g_tk: gtkOf(this.#session.jar),
      cmd: String(cmd),
    }).toString()
    return url
  }

  async #post(
    url: URL,
    contentType: string,
    body: Buffer | string,
    name: string,
    call: Call,
  ): Promise<string> {
    const { jar } = this.#session
    const headers = { ...this.pageHeaders, 'content-type': contentType, cookie: jar.header }
    const request: HttpRequest = { method: 'POST', url, headers, body }
    const reply = await this.#transport.fetch(request, call)
    this.#session.merge(jar, reply)
    if (reply.status !== 200) throw statusError(name, reply.status)
    return reply.bytes.toString('utf8')
  }

  async #withSession<T>(call: Call, attempt: () => Promise<T>): Promise<T> {
    await this.#session.prepare(call)
    const sentMs = performance.now()
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof SessionDoubt)) throw error
      const isExpired = error.meaning.code === 'SESSION_EXPIRED'
      await this.#session.renew(call, { sentMs, isExpired })
    }
    try {
      return await attempt()
    } catch (error) {
      throw error instanceof SessionDoubt ? error.meaning : error
    }
  }
}

/** Perhaps the session; if it is not, this is what the reply means. */
class SessionDoubt extends Error {
  readonly meaning: WeiyunError

  constructor(meaning: WeiyunError) {
    super(meaning.message)
    this.meaning = meaning
  }
}

function judge(
  name: string,
  decode: () => envelope.Reply,
  {
    isBatch = false,
    accepts,
  }: { readonly isBatch?: boolean; readonly accepts?: ReadonlySet<number> } = {},
): Fields {
  const { ret, fields } = decodeOrDoubt(name, decode)
  if (ret === 0 || accepts?.has(ret)) return fields
  if (ret === RET_FORBIDDEN) throw statusError(name, 403)
  const error = refusal(name, ret, { isBatch })
  throw error.code === 'SESSION_EXPIRED' ? new SessionDoubt(error) : error
}

/** A page in place of JSON is a login page, or the gateway's way to say no (errors 9). */
function decodeOrDoubt(name: string, decode: () => envelope.Reply): envelope.Reply {
  try {
    return decode()
  } catch (error) {
    if (!isWeiyunError(error, 'BAD_REPLY')) throw error
    throw new SessionDoubt(new WeiyunError('BAD_REPLY', `${name}: ${error.message}`))
  }
}

/** The error for a result of a command or of one item of a batch. */
export function refusal(what: string, ret: number, kind: { isBatch: boolean }): WeiyunError {
  return new WeiyunError(errorCodeOf(ret, kind), refusalMessage(what, ret), { ret })
}

function statusError(name: string, status: number): Error {
  const error = new WeiyunError(statusCode(status), `${name}: HTTP ${status}`)
  const isDoubtful = status === 401 || status === 403 || (status >= 300 && status < 400)
  return isDoubtful ? new SessionDoubt(error) : error
}

/** What an HTTP status means where a command was sent (errors 9). */
function statusCode(status: number): ErrorCode {
  // With a token that was just renewed, a 403 is the gateway asking for a pause.
  if (status === 403 || status === 429) return 'THROTTLED'
  if (status === 401 || (status >= 300 && status < 400)) return 'SESSION_EXPIRED'
  if (status === 404 || status === 405 || status === 501) return 'UNSUPPORTED'
  if (status === 413) return 'BATCH_TOO_LARGE'
  return status >= 500 || status === 408 ? 'SERVER' : 'BAD_REPLY'
}
