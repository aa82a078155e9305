// Ranged reads, the same for both dialects: a dialect says how to find a file's data address, and
// gets exactly the bytes asked for, or an error. Interrupted bodies go on where they stopped.
import { LRUCache } from 'lru-cache'
import type { Logger } from '../../base/log.ts'
import { Call, type CallSettings } from '../call.ts'
import { type ErrorCode, isWeiyunError, WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import type { Lanes } from '../lanes.ts'
import type { Throttle } from '../throttle.ts'
import type { HttpReply, Transport } from '../transport.ts'
import { WholeBodies } from './whole-body.ts'

/** Where the bytes of one version are, for some minutes. */
export interface DataAddress {
  readonly url: URL
  /** Headers for a hop of the way there: cookies go to our own hosts only. */
  headers(url: URL): Record<string, string>
}

/** One version of one file, as a dialect hands it over. */
export interface Content {
  /** Tells versions apart; the data address is kept under it. */
  readonly key: string
  readonly size: number
  /** Asks the service for the address. Runs on its own behalf, for all readers at once. */
  resolve(call: Call): Promise<DataAddress>
}

export interface DownloadsOptions {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly lanes: Lanes
  readonly bandwidth: Throttle
  readonly settings: () => CallSettings
  readonly log: Logger
}

/** How long the site keeps the cookie of a data address (newcgi, Appendix A). */
const ADDRESS_TTL_MS = 10 * 60_000
const ADDRESSES_MAX = 2000
const REDIRECTS_MAX = 5

export class Downloads {
  readonly #options: DownloadsOptions
  readonly #addresses = new LRUCache<string, Promise<DataAddress>>({
    max: ADDRESSES_MAX,
    ttl: ADDRESS_TTL_MS,
  })
  readonly #wholeBodies = new WholeBodies()

  constructor(options: DownloadsOptions) {
    this.#options = options
  }

  /** Yields the bytes from `offset` up to `offset + length`, exactly, or throws. See Drive.read. */
  async *read(
    content: Content,
    offset: number,
    length: number,
    call: Call,
  ): AsyncGenerator<Buffer> {
    const end = offset + length
    let position = offset
    let failures = 0
    while (position < end) {
      const release = await this.#options.lanes.downloads.enter(call)
      let failure: unknown
      try {
        for await (const part of this.#attempt(content, position, end, call)) {
          failures = 0
          position += part.length
          await this.#options.bandwidth.take(part.length, call)
          call.pause()
          yield part
          call.progress()
        }
        if (position < end) failure = new WeiyunError('CORRUPT', `the body stopped at ${position}`)
      } catch (error) {
        failure = error
      } finally {
        release()
      }
      if (failure !== undefined) await this.#beforeRetry(failure, ++failures, call)
    }
  }

  /** Forgets every address: they belonged to another session. */
  forget(): void {
    this.#addresses.clear()
  }

  close(): void {
    this.forget()
    this.#wholeBodies.close()
  }

  async #beforeRetry(failure: unknown, failures: number, call: Call): Promise<void> {
    // What leads to another version may be an old address, which is forgotten by now.
    const isOnce = failures === 1 && isWeiyunError(failure, 'STALE')
    const delayMs = isOnce ? 0 : call.retryDelayMs(failure, failures)
    if (delayMs === undefined) throw failure
    const message = failure instanceof Error ? failure.message : String(failure)
    this.#options.log.warn({ failed: message, delayMs: Math.round(delayMs) }, 'reading on')
    await call.sleep(delayMs)
  }

  // What one request gives, which may be less than asked for.
  async *#attempt(
    content: Content,
    position: number,
    end: number,
    call: Call,
  ): AsyncGenerator<Buffer> {
    const openWhole = async () => {
      const reply = await this.#open(content, 0, content.size, call)
      this.#check(reply, content, 0, content.size)
      return reply
    }
    if (this.#wholeBodies.has(content.key)) {
      yield* this.#wholeBodies.read(content.key, position, end, call, openWhole)
      return
    }
    const reply = await this.#open(content, position, end, call)
    if (reply.status === 200 && !(position === 0 && end === content.size)) {
      this.#check(reply, content, 0, content.size)
      const isFirst = !this.#wholeBodies.has(content.key)
      if (isFirst) this.#options.log.warn({ size: content.size }, 'the data server ignores ranges')
      else reply.discard()
      const open = isFirst ? async () => reply : openWhole
      yield* this.#wholeBodies.read(content.key, position, end, call, open)
      return
    }
    this.#check(reply, content, position, end)
    yield* cut(reply.body, end - position)
  }

  // A refused address is resolved once more, then the refusal counts.
  async #open(content: Content, position: number, end: number, call: Call): Promise<HttpReply> {
    const pending = this.#address(content)
    const reply = await this.#get(await call.join(pending), position, end, call)
    if (!isRefusal(reply.status)) return reply
    reply.discard()
    this.#forget(content, pending)
    const again = await this.#get(await call.join(this.#address(content)), position, end, call)
    if (!isRefusal(again.status)) return again
    again.discard()
    throw new WeiyunError(
      'REFUSED',
      `the data server refuses a fresh address: HTTP ${again.status}`,
    )
  }

  /** One resolution for all readers, which the impatience of one of them does not end. */
  #address(content: Content): Promise<DataAddress> {
    const known = this.#addresses.get(content.key)
    if (known !== undefined) return known
    const call = new Call({ priority: 'user' }, this.#options.settings())
    const pending = content.resolve(call).finally(() => call.end())
    this.#addresses.set(content.key, pending)
    pending.catch(() => this.#forget(content, pending))
    return pending
  }

  #forget(content: Content, pending: Promise<DataAddress>): void {
    if (this.#addresses.peek(content.key) === pending) this.#addresses.delete(content.key)
  }

  async #get(address: DataAddress, position: number, end: number, call: Call): Promise<HttpReply> {
    const range = `bytes=${position}-${end - 1}`
    let { url } = address
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const headers = { ...address.headers(url), range }
      const reply = await this.#options.transport.open(
        { method: 'GET', url, headers, signed: true },
        call,
      )
      const { location } = reply.headers
      if (reply.status < 300 || reply.status >= 400 || typeof location !== 'string') return reply
      reply.discard()
      url = this.#options.hosts.named(location, url)
    }
    throw new WeiyunError('BAD_REPLY', 'the data server redirects for ever')
  }

  /**
   * Throws unless the reply's headers promise the bytes from `start` up to `end` of this very
   * version.
   */
  #check(reply: HttpReply, content: Content, start: number, end: number): void {
    const problem = mismatch(reply, content.size, start, end)
    if (problem === undefined) return
    reply.discard()
    // Whatever is at this address, it is not our file: the next attempt asks for another one.
    if (isWeiyunError(problem, 'CORRUPT', 'STALE')) this.#addresses.delete(content.key)
    throw problem
  }
}

function mismatch(
  reply: HttpReply,
  size: number,
  start: number,
  end: number,
): WeiyunError | undefined {
  const { status, headers } = reply
  if (status === 200) {
    const length = headers['content-length']
    if (start === 0 && end === size && (length === undefined || Number(length) === size))
      return undefined
    return new WeiyunError('CORRUPT', `expected a file of ${size} bytes, got ${length}`)
  }
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range']))
    const total = range?.[2] === '*' ? size : Number(range?.[2])
    if (Number(range?.[1]) === start && total === size) return undefined
    if (range && total !== size) return staleSize(size, total)
    return new WeiyunError('CORRUPT', `asked for ${start}-${end - 1} of ${size}, got another range`)
  }
  const [, shorter] = /^bytes \*\/(\d+)$/.exec(String(headers['content-range'])) ?? []
  if (status === 416 && shorter !== undefined) return staleSize(size, Number(shorter))
  return new WeiyunError(failureOf(status), `the data server answered HTTP ${status}`)
}

function staleSize(size: number, found: number): WeiyunError {
  return new WeiyunError('STALE', `expected a file of ${size} bytes, it has ${found}`)
}

function failureOf(status: number): ErrorCode {
  if (status === 416) return 'CORRUPT' // the listing says that there are bytes
  if (status === 429) return 'THROTTLED'
  return status >= 500 || status === 408 ? 'SERVER' : 'BAD_REPLY'
}

/** The address has expired, or its cookie (errors 9). */
function isRefusal(status: number): boolean {
  return status === 401 || status === 403 || status === 404 || status === 410
}

async function* cut(body: AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let left = length
  for await (const part of body) {
    yield part.length <= left ? part : part.subarray(0, left)
    left -= part.length
    if (left <= 0) return
  }
}
