// A request and a reply as the dialects see them: parsed once, bodies read on demand and sent
// later, so that the server can delay, damage or repeat what a dialect decided.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** Where the bytes of a reply come from: memory, a file, or nowhere (see store/seeded.ts). */
export type Body =
  | Buffer
  | { path: string; start: number; size: number }
  | { seed: number; start: number; size: number }

export interface Reply {
  status: number
  headers: Record<string, string | string[]>
  body: Body
  /** The result code inside, for the journal; HTTP alone says it all when 0. */
  ret: number
}

/** The body is longer than the receiver takes, or the connection broke while it was read. */
export class BodyError extends Error {}

export class Call {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly cookies: ReadonlyMap<string, string>
  /** Where this client reaches the service, for the addresses it hands out. */
  readonly self: { host: string; port: number }
  /** The Range header; a fault may change it. */
  range: string | undefined
  /** The fault that struck, for the dialect to act on where the server itself cannot. */
  fault: string | undefined
  /** For the journal: whose request it was, once that is known. */
  uin: number | undefined
  bytesIn = 0
  readonly #request: IncomingMessage
  readonly #pace: (size: number) => Promise<void>
  #body: Promise<Buffer> | undefined

  constructor(
    request: IncomingMessage,
    target: URL,
    self: { host: string; port: number },
    pace: (size: number) => Promise<void>,
  ) {
    this.method = request.method ?? 'GET'
    this.path = target.pathname
    this.query = target.searchParams
    this.headers = request.headers
    this.cookies = parseCookies(request.headers.cookie)
    this.self = self
    this.range = request.headers.range
    this.#request = request
    this.#pace = pace
  }

  /** The whole body; reading it twice (a replayed request) gives the same bytes. */
  body(sizeMax: number): Promise<Buffer> {
    this.#body ??= this.#read(sizeMax)
    return this.#body
  }

  async #read(sizeMax: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for await (const piece of this.#request) {
      this.bytesIn += piece.length
      if (this.bytesIn > sizeMax) throw new BodyError(`body of more than ${sizeMax} bytes`)
      pieces.push(piece)
      await this.#pace(piece.length)
    }
    return Buffer.concat(pieces)
  }
}

function parseCookies(header: string | undefined): Map<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (equals > 0) cookies.set(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim())
  }
  return cookies
}

/** A dialect's share of the URL space. */
export interface Route {
  matches(call: Call): boolean
  /**
   * What the journal, the counters and the fault rules call this request: a command, or a kind of
   * transfer.
   */
  name(call: Call): string
  handle(call: Call): Promise<Reply> | Reply
  /** The reply that says this result code in the dialect's own form. */
  refuse(call: Call, ret: number): Promise<Reply> | Reply
}

export function reply(body: string | Buffer, headers: Record<string, string>, ret = 0): Reply {
  return { status: 200, headers, body: typeof body === 'string' ? Buffer.from(body) : body, ret }
}

/** A redirect, with the result code for a client that looks at headers. */
export function redirect(location: string, ret = 0): Reply {
  const headers: Record<string, string> = { Location: location }
  if (ret !== 0) headers['X-ERRNO'] = String(ret)
  return { status: 302, headers, body: Buffer.alloc(0), ret }
}

export const sizeOf = (body: Body): number => (Buffer.isBuffer(body) ? body.length : body.size)
