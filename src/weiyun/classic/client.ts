// The classic envelope over HTTP (protocol notes, classic 2 and 3, newcgi 2): who we are, what we
// ask, and the answer's body or a WeiyunError. Nothing above this file sees cookies, tokens or
// JSONP.
import type { Call } from '../call.ts'
import { type ErrorCode, isWeiyunError, WeiyunError } from '../errors.ts'
import { type Fields, integer, isFields, needFields } from '../fields.ts'
import type { Hosts, ServiceHosts } from '../hosts.ts'
import { errorCodeOf, refusalMessage } from '../retcode.ts'
import { type ClassicSession, cookiesSet } from '../session.ts'
import type { HttpRequest, TextReply, Transport } from '../transport.ts'
import { callbackName, decodeJsonp } from './jsonp.ts'
import { gtkOf, tokenOf } from './token.ts'

/** Identifies the web client of this generation. */
export const APPID = 30234
export const MAIN_VERSION = 11

const REFERER = 'http://www.weiyun.com/disk/index-en.html'
const REFERER_NEWCGI = 'http://user.weiyun.com/cdr_proxy.html'

/** The gateway drops GETs with names of this length (newcgi 2). */
const NEWCGI_GET_NAME_MAX = 99

/** Cookies whose value the service may change. */
const ROTATING = ['skey', 'ptcz', 'pgv_info', 'pgv_pvid'] as const

export interface Command {
  readonly cmd: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Its results are those of its items. */
  readonly isBatch?: boolean
}

export interface Answer {
  /** 0, or one of the numbers that the caller takes for an answer. */
  readonly ret: number
  readonly body: Fields
}

export interface ClientOptions {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly session: ClassicSession
  /** Told of a session that the service changed by Set-Cookie. */
  readonly onSession: (session: ClassicSession) => void
}

export class ClassicClient {
  readonly hosts: ServiceHosts
  readonly #transport: Transport
  readonly #onSession: (session: ClassicSession) => void
  #session: ClassicSession
  #gtk = ''
  #token = ''

  constructor({ transport, hosts, session, onSession }: ClientOptions) {
    this.#transport = transport
    this.hosts = hosts
    this.#onSession = onSession
    this.#session = session
    this.useSession(session)
  }

  useSession(session: ClassicSession): void {
    this.#session = session
    this.#gtk = String(gtkOf(session.skey))
    this.#token = tokenOf(session.skey)
  }

  /** The parameters by which `/wy_down.fcg` knows us (classic 5). */
  get identity(): { uuin: string; skey: string; token: string } {
    return { uuin: this.#session.uin, skey: this.#session.skey, token: this.#token }
  }

  /**
   * Does `attempt` once more when the session it was refused for has been replaced meanwhile: the
   * end of the old one says nothing of the new one.
   */
  async withSession<T>(attempt: () => Promise<T>): Promise<T> {
    const session = this.#session
    try {
      return await attempt()
    } catch (error) {
      if (session === this.#session || !isWeiyunError(error, 'SESSION_EXPIRED')) throw error
      return attempt()
    }
  }

  /**
   * Sends one command. Results other than 0 are errors, but for those that the caller `accepts`.
   */
  command(
    command: Command,
    reqBody: object,
    call: Call,
    accepts: ReadonlySet<number> = new Set(),
  ): Promise<Answer> {
    return this.withSession(() => this.#command(command, reqBody, call, accepts))
  }

  async #command(
    { cmd, method, path, isBatch = false }: Command,
    reqBody: object,
    call: Call,
    accepts: ReadonlySet<number>,
  ): Promise<Answer> {
    const callback = callbackName(method)
    const header = {
      cmd,
      main_v: MAIN_VERSION,
      proto_ver: 10006,
      sub_v: 1,
      encrypt: 0,
      msg_seq: 1,
      source: APPID,
      appid: APPID,
      client_ip: '127.0.0.1',
      token: this.#token,
    }
    const data = JSON.stringify({ req_header: header, req_body: reqBody })
    const query = encodeQuery({ cmd, g_tk: this.#gtk, callback, data, _: String(Date.now()) })
    const request = this.#request(method, 'web', path, query, REFERER)
    // A POST carries the same fields in its body once more.
    const reply = await this.#fetch(
      method === 'POST' ? withForm(request, query) : request,
      call,
      cmd,
    )
    const fields = decodeJsonp(reply.bytes.toString('utf8'), callback)
    const ret = integer(needFields(fields, 'rsp_header'), 'ret')
    if (ret === undefined) throw new WeiyunError('BAD_REPLY', `${cmd}: the reply has no result`)
    if (ret !== 0 && !accepts.has(ret)) throw refusal(cmd, ret, { isBatch })
    return { ret, body: isFields(fields.rsp_body) ? fields.rsp_body : {} }
  }

  /** Sends one command of the newcgi envelope and answers with the body of its message. */
  newcgi(cmd: number, message: string, reqBody: { filename: string }, call: Call): Promise<Fields> {
    return this.withSession(() => this.#newcgi(cmd, message, reqBody, call))
  }

  async #newcgi(
    cmd: number,
    message: string,
    reqBody: { filename: string },
    call: Call,
  ): Promise<Fields> {
    const method = reqBody.filename.length > NEWCGI_GET_NAME_MAX ? 'POST' : 'GET'
    const callback = `X_${method}`
    const data = JSON.stringify({
      req_header: { cmd, appid: 30013, version: 2, major_version: 2 },
      req_body: { ReqMsg_body: { [`weiyun.${message}MsgReq_body`]: reqBody } },
    })
    const rest = { callback, _: String(Date.now()) }
    const query = { cmd: String(cmd), g_tk: this.#gtk, ...(method === 'GET' && { data }), ...rest }
    const path = '/newcgi/qdisk_upload.fcg'
    const request = this.#request(method, 'user', path, encodeQuery(query), REFERER_NEWCGI)
    const sent = method === 'POST' ? withForm(request, encodeQuery({ data })) : request
    const reply = await this.#fetch(sent, call, String(cmd))
    const fields = decodeJsonp(reply.bytes.toString('utf8'), callback)
    const ret = newcgiResult(fields)
    if (ret !== 0) throw refusal(String(cmd), ret, { isBatch: false })
    const messages = needFields(needFields(fields, 'rsp_body'), 'RspMsg_body')
    return needFields(messages, `weiyun.${message}MsgRsp_body`)
  }

  /** Asks for the address of a file's bytes; the reply is a redirect, for its caller to judge. */
  async locate(parameters: Record<string, string>, call: Call): Promise<TextReply & { url: URL }> {
    const query = encodeQuery(parameters)
    const request = this.#request('POST', 'download', '/wy_down.fcg', query, REFERER)
    const headers = { ...request.headers, origin: 'http://www.weiyun.com' }
    const reply = await this.#transport.fetch({ ...request, headers }, call)
    this.#mergeCookies(reply)
    return { ...reply, url: request.url }
  }

  /** Headers for a data server; cookies only where they may go. */
  dataHeaders(url: URL, origin: string, cookies: ReadonlyMap<string, string> = new Map()) {
    const headers = { referer: REFERER, origin }
    return this.hosts.isOurs(url) ? { ...headers, cookie: this.#cookieHeader(cookies) } : headers
  }

  /** A request to a data server, whose replies are not ours to judge here. */
  async fetch(request: HttpRequest, call: Call): Promise<TextReply> {
    return this.#transport.fetch(request, call)
  }

  #request(
    method: 'GET' | 'POST',
    host: keyof Hosts,
    path: string,
    query: string,
    referer: string,
  ): HttpRequest {
    const url = this.hosts.url(host, path)
    url.search = query
    return { method, url, headers: { referer, cookie: this.#cookieHeader() } }
  }

  async #fetch(request: HttpRequest, call: Call, cmd: string): Promise<TextReply> {
    const reply = await this.#transport.fetch(request, call)
    const { status } = reply
    if (status !== 200) throw new WeiyunError(statusCode(status), `${cmd}: HTTP ${status}`)
    this.#mergeCookies(reply)
    return reply
  }

  #cookieHeader(more: ReadonlyMap<string, string> = new Map()): string {
    const { uin, skey, ptcz, pgv_info, pgv_pvid, email } = this.#session
    const cookies = {
      pgv_info,
      pgv_pvid,
      ptui_loginuin: email,
      pt2gguin: `o${uin}`,
      uin: `o${uin}`,
      skey,
      ptisp: 'os',
      ptcz,
      ...Object.fromEntries(more),
    }
    return Object.entries(cookies)
      .map(([name, value]) => `${name}=${value}`)
      .join('; ')
  }

  #mergeCookies({ headers }: TextReply): void {
    const cookies = cookiesSet(headers['set-cookie'])
    const session = this.#session
    const changed = ROTATING.filter(
      (name) => (cookies.get(name) ?? session[name]) !== session[name],
    )
    if (changed.length === 0) return
    const values = changed.map((name) => [name, cookies.get(name)] as const)
    this.useSession({ ...session, ...Object.fromEntries(values) })
    this.#onSession(this.#session)
  }
}

/** Where the newcgi generation keeps its result, in this order (newcgi 2). */
function newcgiResult(fields: Fields): number {
  const header = isFields(fields.rsp_header) ? fields.rsp_header : {}
  const retcode = integer(header, 'retcode') || integer(fields, 'retcode')
  const ret = integer(header, 'ret') ?? retcode ?? integer(fields, 'ret')
  return ret ?? 0
}

/** The error for a result of a command or of one item of a batch. */
export function refusal(what: string, ret: number, kind: { isBatch: boolean }): WeiyunError {
  return new WeiyunError(errorCodeOf(ret, kind), refusalMessage(what, ret), { ret })
}

/** What an HTTP status means where a command was sent (errors 9). */
function statusCode(status: number): ErrorCode {
  if (status >= 300 && status < 400) return 'SESSION_EXPIRED' // to a login page
  switch (status) {
    case 401:
      return 'SESSION_EXPIRED'
    case 403:
      return 'FORBIDDEN'
    case 404:
    case 405:
    case 501:
      return 'UNSUPPORTED'
    case 413:
    case 414:
    case 431:
      return 'BATCH_TOO_LARGE'
    case 429:
      return 'THROTTLED'
    default:
      return status >= 500 || status === 408 ? 'SERVER' : 'BAD_REPLY'
  }
}

function withForm(request: HttpRequest, form: string): HttpRequest {
  const headers = { ...request.headers, 'content-type': 'application/x-www-form-urlencoded' }
  return { ...request, headers, body: form }
}

/**
 * Blanks as %20, which every reader of queries and forms takes for a blank; half a surrogate pair
 * as U+FFFD.
 */
function encodeQuery(parameters: Record<string, string>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`)
    .join('&')
}
