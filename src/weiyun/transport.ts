// HTTP: the only file that knows undici. One request at a time goes through here, with a limit on
// the time without progress, and what is logged or thrown carries no query value, cookie or signed
// path.
import { Readable } from 'node:stream'
import { Agent, type Dispatcher, errors } from 'undici'
import type { Logger } from '../base/log.ts'
import type { Call } from './call.ts'
import { isWeiyunError, WeiyunError } from './errors.ts'

const USER_AGENT = [
  'Mozilla/5.0 (X11; Linux x86_64)',
  'AppleWebKit/537.36 (KHTML, like Gecko)',
  'Chrome/37.0.2062.94 Safari/537.36',
].join(' ')

/** Longer replies are not listings of this service (65,535 entries of some hundred bytes). */
const REPLY_BYTES_MAX = 256 * 1024 * 1024

/**
 * The kernel swallows this much of a body and does not tell how it gets on, so a body earns time
 * by its length, at a speed that the slowest usable line has.
 */
const UNSEEN_BYTES_MAX = 1024 * 1024
const SLOWEST_BYTES_PER_SECOND = 16 * 1024

const KEEP_ALIVE_MS = 30_000
const DISCARDED_BYTES_MAX = 16 * 1024

/** A body too long for memory. Its length is announced, never left to a chunked encoding. */
export interface HttpBody {
  readonly length: number
  readonly parts: () => AsyncIterable<Buffer>
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string | HttpBody
  /** The path is a secret too: an address that the service signed. */
  readonly signed?: boolean
}

export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /**
   * Read it to its end, leave the loop early, or call `discard`: else the connection stays taken.
   */
  readonly body: AsyncIterable<Buffer>
  discard(): void
}

export interface TextReply extends Omit<HttpReply, 'body' | 'discard'> {
  readonly bytes: Buffer
}

/**
 * What went over the wire since the drive was opened: bodies only, bytes that were sent again
 * included.
 */
export interface Traffic {
  readonly requests: number
  /** Requests without a usable reply, whatever the reply would have said. */
  readonly failures: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface TransportOptions {
  readonly log: Logger
  readonly timeoutMs: number
}

export class Transport {
  readonly #log: Logger
  readonly #timeoutMs: number
  // As many connections as requests at once: the lanes bound those.
  readonly #agent: Agent
  readonly #traffic = { requests: 0, failures: 0, sentBytes: 0, receivedBytes: 0 }

  constructor({ log, timeoutMs }: TransportOptions) {
    this.#log = log
    this.#timeoutMs = timeoutMs
    this.#agent = new Agent({
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: { timeout: timeoutMs },
      bodyTimeout: timeoutMs,
    })
  }

  get traffic(): Traffic {
    return { ...this.#traffic }
  }

  /**
   * Sends a request and answers when the reply's headers are here. Redirects are replies like
   * others.
   */
  async open(request: HttpRequest, call: Call): Promise<HttpReply> {
    call.throwIfAborted()
    const startedMs = performance.now()
    // Lines about one request share its number; `failed` may come long after `status`.
    const id = ++this.#traffic.requests
    const log = (outcome: object) => {
      const tookMs = Math.round(performance.now() - startedMs)
      const { method } = request
      this.#log.debug(
        { request: id, method, url: loggedUrl(request), tookMs, ...outcome },
        'request',
      )
    }
    const failed = (error: unknown) => {
      const translated = translate(error, request, call)
      if (translated.code !== 'ABORTED') this.#traffic.failures += 1
      log({ failed: translated.message })
      return translated
    }
    try {
      const reply = await this.#agent.request(this.#dispatchOptions(request, call))
      call.progress()
      log({ status: reply.statusCode })
      return this.#httpReply(reply, request, call, failed)
    } catch (error) {
      throw failed(error)
    }
  }

  /** The same, for replies that are read as a whole. */
  async fetch(request: HttpRequest, call: Call): Promise<TextReply> {
    const { status, headers, body } = await this.open(request, call)
    const parts: Buffer[] = []
    let length = 0
    for await (const part of body) {
      parts.push(part)
      length += part.length
      if (length > REPLY_BYTES_MAX) throw new WeiyunError('BAD_REPLY', 'the reply does not end')
    }
    return { status, headers, bytes: Buffer.concat(parts, length) }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    await this.#agent.destroy(new WeiyunError('ABORTED', 'the drive was closed'))
  }

  #dispatchOptions(
    { method, url, headers, body }: HttpRequest,
    call: Call,
  ): Dispatcher.RequestOptions {
    const isStream = typeof body === 'object' && 'parts' in body
    const bodyBytes = isStream ? body.length : Buffer.byteLength(body ?? '')
    if (!isStream) this.#traffic.sentBytes += bodyBytes
    const unseenMs = (Math.min(bodyBytes, UNSEEN_BYTES_MAX) / SLOWEST_BYTES_PER_SECOND) * 1000
    return {
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      // Compressed bodies would make a range or a Content-Length mean something else.
      headers: {
        'user-agent': USER_AGENT,
        'accept-encoding': 'identity',
        ...headers,
        ...(isStream && { 'content-length': String(bodyBytes) }),
      },
      body: isStream ? Readable.from(this.#watched(body, call)) : (body ?? null),
      signal: call.signal,
      headersTimeout: this.#timeoutMs + unseenMs,
    }
  }

  #httpReply(
    reply: Dispatcher.ResponseData,
    request: HttpRequest,
    call: Call,
    failed: (error: unknown) => WeiyunError,
  ): HttpReply {
    const { statusCode: status, headers, body } = reply
    // Abandoning a body makes undici report that it was abandoned; nobody is left to hear it.
    body.on('error', () => {})
    // What is left of a short reply is read, so that its connection can be used again.
    const discard = () => {
      if (body.readableDidRead) body.destroy()
      else body.dump({ limit: DISCARDED_BYTES_MAX }).catch(() => {})
    }
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      discard()
      throw new WeiyunError('BAD_REPLY', `${loggedUrl(request)}: the reply is compressed`)
    }
    return { status, headers, body: this.#readBody(body, call, failed), discard }
  }

  async *#watched({ parts }: HttpBody, call: Call): AsyncGenerator<Buffer> {
    for await (const part of parts()) {
      call.progress()
      this.#traffic.sentBytes += part.length
      yield part
    }
  }

  async *#readBody(
    body: AsyncIterable<Buffer>,
    call: Call,
    failed: (error: unknown) => WeiyunError,
  ): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const part of body) {
        call.progress()
        this.#traffic.receivedBytes += part.length
        yield part
      }
    } catch (error) {
      throw failed(error)
    }
  }
}

// undici's errors do not travel as causes: some of them quote what was sent or received.
function translate(error: unknown, request: HttpRequest, call: Call): WeiyunError {
  if (call.signal.aborted && isWeiyunError(call.signal.reason)) return call.signal.reason
  if (isWeiyunError(error)) return error
  const where = loggedUrl(request)
  const { HeadersTimeoutError, BodyTimeoutError, ConnectTimeoutError } = errors
  if (
    [HeadersTimeoutError, BodyTimeoutError, ConnectTimeoutError].some(
      (type) => error instanceof type,
    )
  ) {
    return new WeiyunError('TIMEOUT', `${where}: no answer in time`)
  }
  const reason = error instanceof Error && 'code' in error ? String(error.code) : 'failed'
  return new WeiyunError('UNREACHABLE', `${where}: ${reason}`)
}

/** The one form in which an address may be logged: no values of parameters, no signed path. */
export function loggedUrl({ url, signed = false }: Pick<HttpRequest, 'url' | 'signed'>): string {
  if (signed) return `${url.host}/...`
  const names = [...new Set(url.searchParams.keys())].join('&')
  return url.host + url.pathname + (names === '' ? '' : `?${names}`)
}
