// The HTTP server of the local service: finds the dialect a request is for, lets faults and the
// simulated network act on it, and keeps the journal. It judges nothing itself but the address.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Fault, type Faults, REDIRECTED } from './faults.ts'
import { BodyError, Call, type Reply, type Route, redirect, reply, sizeOf } from './http.ts'
import type { Journal, JournalEntry } from './journal.ts'
import { Pace } from './pace.ts'
import { RET, Refusal } from './refusal.ts'
import { send } from './sender.ts'

/** Settings that can change while the service runs. */
export interface Knobs {
  /** Added once to every request, before the first byte of its reply. */
  rttMs: number
  /** Bytes a second of one connection, each way; 0 is no limit. */
  bandwidth: number
  /** How long a data URL is good for. */
  urlTtlMs: number
  /** How long a `wyctoken` is good for; 0 is for ever. */
  tokenTtlMs: number
  /** How long a login of the webapp dialect lives without a request; 0 is for ever. */
  loginIdleMs: number
  /** How long an upload in pieces may rest before its channels are closed. */
  uploadIdleMs: number
  /** How long a question that waits for news is left open. */
  longPollMs: number
}

/** What steers the server from outside. */
export interface Controls {
  knobs: Knobs
  faults: Faults
  journal: Journal
  /** Commands that answer with this code instead of working. */
  disabled: Map<string, number>
}

/** Answers the requests that are not the service's own, and so are neither delayed nor recorded. */
export type AdminHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
) => Promise<void>

/** Long enough for a batch of 50 long names that are percent-encoded in the query. */
const HEADER_BYTES_MAX = 1024 * 1024
const STALL_MS = 60_000
const DELAY_MS = 1000
const ADMIN_PREFIX = '/_admin/'

/** Ends a request without an answer. */
class Dropped extends Error {
  readonly reset: boolean
  constructor(reset = false) {
    super('connection dropped')
    this.reset = reset
  }
}

export class StandinServer {
  readonly #server: Server
  readonly #routes: Route[]
  readonly #controls: Controls
  readonly #admin: AdminHandler
  readonly #lines = new WeakMap<Socket, { up: Pace; down: Pace }>()
  readonly #closing = new AbortController()
  readonly #busy = new Set<Promise<void>>()
  #self = { host: '', port: 0 }

  constructor(routes: Route[], controls: Controls, admin: AdminHandler) {
    this.#routes = routes
    this.#controls = controls
    this.#admin = admin
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0 })
    this.#server.keepAliveTimeout = 120_000
    this.#server.on('request', (request, response) => {
      const work = this.#take(request, response)
      this.#busy.add(work)
      work.finally(() => this.#busy.delete(work))
    })
  }

  /** Returns the address to reach it at: its own, or loopback when it listens on all. */
  async listen(host: string, port: number): Promise<{ host: string; port: number }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    const address = this.#server.address() as AddressInfo
    const everywhere = host === '0.0.0.0' || host === '::'
    this.#self = { host: everywhere ? '127.0.0.1' : host, port: address.port }
    return this.#self
  }

  /** Breaks off what is under way. */
  async close(): Promise<void> {
    this.#closing.abort()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await Promise.all([closed, ...this.#busy])
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that goes away must not take the service with it.
    request.on('error', () => {})
    response.on('error', () => {})
    const target = targetOf(request, this.#self)
    if (target === undefined) {
      response.writeHead(421).end()
      return
    }
    if (target.pathname.startsWith(ADMIN_PREFIX)) {
      await this.#admin(request, response, target)
      return
    }
    await this.#serve(request, response, target)
  }

  async #serve(request: IncomingMessage, response: ServerResponse, target: URL): Promise<void> {
    const { knobs, journal, faults } = this.#controls
    const { up, down } = this.#lineOf(request.socket)
    const { signal } = this.#closing
    const call = new Call(request, target, reachedAt(target, this.#self), (size) =>
      up.pass(size, knobs.bandwidth, signal),
    )
    const route = this.#routes.find((candidate) => candidate.matches(call)) ?? NOWHERE
    const name = route.name(call)
    const entry = journal.begin(call.method, name, call.range)
    const fault = faults.draw(name, call)
    entry.fault = fault?.kind ?? null
    try {
      const answer = await this.#answer(route, call, name, fault, entry)
      if (knobs.rttMs > 0) await sleep(knobs.rttMs, undefined, { signal })
      entry.status = answer.status
      entry.ret = answer.ret
      entry.bytesOut = sizeOf(answer.body)
      entry.bytesOut = await send(response, answer, damageOf(fault), {
        bandwidth: knobs.bandwidth,
        pass: (size) => down.pass(size, knobs.bandwidth, signal),
      })
    } catch (error) {
      entry.reason ??= error instanceof Error ? error.message : String(error)
      if (error instanceof Dropped && error.reset) request.socket.resetAndDestroy()
      else request.socket.destroy()
    } finally {
      entry.uin = call.uin ?? null
      entry.bytesIn = call.bytesIn
      journal.end(entry)
    }
  }

  /** The reply as the dialect and the fault make it. */
  async #answer(
    route: Route,
    call: Call,
    name: string,
    fault: Fault | undefined,
    entry: JournalEntry,
  ): Promise<Reply> {
    call.fault = fault?.kind
    const early = await this.#before(route, call, fault)
    if (early !== undefined) return early
    const work = async () => {
      try {
        const disabled = this.#controls.disabled.get(name)
        if (disabled !== undefined) throw new Refusal(disabled, 'command disabled')
        return await route.handle(call)
      } catch (error) {
        if (error instanceof BodyError) throw error
        entry.reason = error instanceof Error ? error.message : String(error)
        if (error instanceof Refusal) return await route.refuse(call, error.ret)
        entry.reason = `bug: ${error instanceof Error ? error.stack : error}`
        return { ...reply('', {}, RET.OK), status: 500 }
      }
    }
    const answer = await work()
    if (fault?.kind === 'lost-reply') throw new Dropped()
    if (fault?.kind === 'duplicate-reply') return await work()
    if (fault?.kind === 'malformed' && Buffer.isBuffer(answer.body)) {
      return { ...answer, body: answer.body.subarray(0, Math.floor(answer.body.length / 2)) }
    }
    return answer
  }

  /** Faults that strike before anything is done; some of them answer, some only meddle. */
  async #before(route: Route, call: Call, fault: Fault | undefined): Promise<Reply | undefined> {
    const kind = fault?.kind ?? ''
    const { signal } = this.#closing
    if (kind.startsWith('status-')) return { ...reply('', {}), status: Number(kind.slice(7)) }
    if (kind.startsWith('ret:')) return await route.refuse(call, Number(kind.slice(4)))
    switch (kind) {
      case 'reset':
        throw new Dropped(true)
      case 'stall':
        await sleep(fault?.ms ?? STALL_MS, undefined, { signal })
        throw new Dropped()
      case 'delay':
        await sleep(fault?.ms ?? DELAY_MS, undefined, { signal })
        return undefined
      case 'html':
        return reply('<!DOCTYPE html><title>Weiyun</title>', { 'Content-Type': 'text/html' })
      case 'busy':
        return await route.refuse(call, RET.BUSY)
      case 'expired-session':
        return await route.refuse(call, RET.NOT_LOGGED_IN)
      case 'expired-url':
        return await route.refuse(call, 403)
      case 'redirect': {
        const query = new URLSearchParams([...call.query, [REDIRECTED, '1']])
        return redirect(`${call.path}?${query}`)
      }
      case 'ignore-range':
        call.range = undefined
        return undefined
      case 'wrong-range':
        call.range = shifted(call.range)
        return undefined
      default:
        return undefined
    }
  }

  #lineOf(socket: Socket): { up: Pace; down: Pace } {
    let line = this.#lines.get(socket)
    if (line === undefined) {
      line = { up: new Pace(), down: new Pace() }
      this.#lines.set(socket, line)
    }
    return line
  }
}

const NOT_FOUND: Reply = { status: 404, headers: {}, body: Buffer.alloc(0), ret: 0 }
const NOWHERE: Route = {
  matches: () => true,
  name: () => 'unknown',
  handle: () => NOT_FOUND,
  refuse: () => NOT_FOUND,
}

/**
 * What a request asks for, in origin form or, through a proxy setting, in absolute form. Undefined
 * for a host that is neither the service's nor this machine: a web page elsewhere must not reach it
 * under a name of its own.
 */
function targetOf(request: IncomingMessage, self: { host: string; port: number }): URL | undefined {
  const { url = '/', headers } = request
  const target = URL.parse(url.startsWith('/') ? `http://${headers.host ?? ''}${url}` : url)
  const hostname = target?.hostname ?? ''
  const ours = /(^|\.)weiyun\.com$/.test(hostname) || isLoopback(hostname) || hostname === self.host
  return ours && target !== null ? target : undefined
}

/**
 * The address to name in replies: the one this client came by, which a port forwarded from
 * elsewhere makes another than our own; that of a name of the site would lead to the real one.
 */
function reachedAt(target: URL, self: { host: string; port: number }) {
  if (!isLoopback(target.hostname)) return self
  return { host: target.hostname, port: Number(target.port || 80) }
}

export function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\]|::1|::ffff:127(\.\d+){3})$/.test(hostname)
}

function damageOf(fault: Fault | undefined): 'truncated' | 'corrupted' | undefined {
  const kind = fault?.kind
  return kind === 'truncated' || kind === 'corrupted' ? kind : undefined
}

/** A range that starts one byte earlier, or later where there is none: still within the file. */
function shifted(range: string | undefined): string {
  const first = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
  const last = Number(/-(\d+)$/.exec(range ?? '')?.[1] ?? first)
  return first > 0 ? `bytes=${first - 1}-${last - 1}` : `bytes=1-${last + 1}`
}
