// The admin methods over HTTP, for scripts and for tests in other processes. Loopback only; JSON
// in, JSON out; unknown fields are errors, as everywhere. `uin` may always be left out and then
// means the first account; BYTES is `content` in base64, or `size` and `seed`. All below /_admin/:
//
//   GET    journal?since=SEQ         [{seq, timeMs, method, name, uin, status, ret, reason, …}]
//   DELETE journal                   forgets it, and the counters
//   GET    counters                  {name: {requests, refused, bytesIn, bytesOut, inFlight, …}}
//   GET    knobs                     see Knobs in server.ts; PUT changes those it names
//   GET    faults                    [{kind, rate, times, after, match, ms, hits}], see faults.ts
//   PUT    faults                    the list without `hits` replaces all
//   PUT    disabled                  {commands: [name], ret}
//   GET    snapshot                  {accounts, blobs, openUploads}
//   POST   accounts                  {nickname, email, totalSpace, kind: qq | weixin | openid}
//                                    → {uin, sessions}
//   POST   sessions                  {uin, dialect, action: expire | revive | rotate} → {sessions}
//   POST   cookies/renew             {uin}: new secret cookies with the next replies
//   POST   tokens/rotate             {uin}: every wyctoken given out is old
//   POST   login                     {uin, action: scan | confirm | refuse | expire}
//                                    → {kind, state} of the QR code shown last
//   POST   urls/expire               ends every data URL
//   PUT    limits                    {uin, <limit>: N}, names as in store/accounts.ts
//   PUT    quota                     {uin, totalSpace}
//   POST   files/put                 {uin, path, BYTES}: a new file, or a new version of one
//   POST   files/pretend             {uin, path, size, seed}: a file of any size, on no disk
//   POST   files/replace             {uin, path, BYTES}: another file in the place of one
//   POST   files/break               {uin, path, size}: an upload that never ends
//   POST   files/insert              {uin, dir, name, kind: file | dir, BYTES}: any name at all
//   POST   files/fill                {uin, path, count, size, seed, prefix}: many files
//   POST   files/mkdir               {uin, path}, with the directories above
//   POST   files/rename              {uin, path, name}
//   POST   files/move                {uin, path, to}
//   POST   files/remove              {uin, path}
//   POST   files/kill                {uin, path}: listed, but not to be read
//   POST   files/mark                {uin, path, mark: hidden | document | blocked, or nothing}
//   GET    files/tree?uin=&path=     [{path, kind, id, size, sha, md5, ver, mtimeMs, state}]
//   GET    files/bytes?uin=&path=    the bytes themselves
//
// Success is 200 with JSON (null where there is nothing to say), a refused request 400 with
// {ret, error}.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { fault } from '../faults.ts'
import {
  count,
  decimal,
  list,
  number,
  oneOf,
  optional,
  type Reader,
  record,
  text,
} from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import { isLoopback } from '../server.ts'
import { LOGIN_KINDS } from '../store/logins.ts'
import { type Admin, LIMIT_NAMES, QR_ACTIONS } from './admin.ts'

type Method = (admin: Admin, input: unknown) => unknown

function method<T>(read: Reader<T>, run: (admin: Admin, input: T) => unknown): Method {
  return (admin, input) => run(admin, read(input, 'input'))
}

const base64: Reader<Buffer> = (value, field) => Buffer.from(text(value, field), 'base64')
const uin = optional(count)
const bytes = { content: optional(base64), size: optional(count), seed: optional(count) }
const where = record({ uin, path: text })
const whereGet = { uin: optional(decimal), path: optional(text) }
const none = record({})
const knobs = {
  rttMs: optional(count),
  bandwidth: optional(count),
  urlTtlMs: optional(count),
  tokenTtlMs: optional(count),
  loginIdleMs: optional(count),
  uploadIdleMs: optional(count),
  longPollMs: optional(count),
}
const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, optional(count)]))

const METHODS: Readonly<Record<string, Method>> = {
  'GET journal': method(record({ since: optional(decimal) }), (admin, { since }) =>
    admin.journal(since),
  ),
  'DELETE journal': method(none, (admin) => admin.clearJournal()),
  'GET counters': method(none, (admin) => admin.counters()),
  'GET knobs': method(none, (admin) => admin.knobs()),
  'PUT knobs': method(record(knobs), (admin, changes) => admin.setKnobs(changes)),
  'GET faults': method(none, (admin) => admin.faults()),
  'PUT faults': method(list(fault), (admin, faults) => admin.setFaults(faults)),
  'PUT disabled': method(
    record({ commands: list(text), ret: optional(number) }),
    (admin, { commands, ret }) => admin.disable(commands, ret),
  ),
  'GET snapshot': method(none, (admin) => admin.snapshot()),
  'POST accounts': method(
    record({
      nickname: optional(text),
      email: optional(text),
      totalSpace: optional(count),
      kind: optional(oneOf(LOGIN_KINDS)),
    }),
    (admin, account) => admin.addAccount(account),
  ),
  'POST sessions': method(
    record({
      uin,
      dialect: optional(oneOf(['classic', 'webapp'])),
      action: oneOf(['expire', 'revive', 'rotate']),
    }),
    async (admin, { action, ...which }) => {
      if (action === 'rotate') return { sessions: await admin.rotateSession(which) }
      if (action === 'expire') admin.expireSession(which)
      else admin.reviveSession(which)
      return { sessions: await admin.sessions({ uin: which.uin }) }
    },
  ),
  'POST cookies/renew': method(record({ uin }), (admin, whose) => admin.renewCookies(whose)),
  'POST tokens/rotate': method(record({ uin }), (admin, whose) => admin.rotateTokens(whose)),
  'POST login': method(record({ uin, action: oneOf(QR_ACTIONS) }), (admin, phone) =>
    admin.login(phone),
  ),
  'POST urls/expire': method(none, (admin) => admin.expireUrls()),
  'PUT limits': method(record({ uin, ...limits }), (admin, changes) => admin.setLimits(changes)),
  'PUT quota': method(record({ uin, totalSpace: count }), (admin, quota) => admin.setQuota(quota)),
  'POST files/put': method(record({ uin, path: text, ...bytes }), (admin, file) => admin.put(file)),
  'POST files/pretend': method(
    record({ uin, path: text, size: count, seed: count }),
    (admin, file) => admin.pretend(file),
  ),
  'POST files/replace': method(record({ uin, path: text, ...bytes }), (admin, file) =>
    admin.replace(file),
  ),
  'POST files/break': method(record({ uin, path: text, size: count }), (admin, file) =>
    admin.breakOff(file),
  ),
  'POST files/insert': method(
    record({ uin, dir: text, name: text, kind: oneOf(['file', 'dir']), ...bytes }),
    (admin, { kind, content, size, seed, ...place }) =>
      admin.insert({ ...place, bytes: kind === 'file' ? { content, size, seed } : undefined }),
  ),
  'POST files/fill': method(
    record({
      uin,
      path: text,
      count,
      size: optional(count),
      seed: optional(count),
      prefix: optional(text),
    }),
    (admin, wanted) => admin.fill(wanted),
  ),
  'POST files/mkdir': method(where, (admin, dir) => admin.mkdir(dir)),
  'POST files/rename': method(record({ uin, path: text, name: text }), (admin, change) =>
    admin.rename(change),
  ),
  'POST files/move': method(record({ uin, path: text, to: text }), (admin, change) =>
    admin.move(change),
  ),
  'POST files/remove': method(where, (admin, entry) => admin.remove(entry)),
  'POST files/kill': method(where, (admin, file) => admin.kill(file)),
  'POST files/mark': method(
    record({ uin, path: text, mark: oneOf(['', 'hidden', 'document', 'blocked']) }),
    (admin, marked) => admin.mark(marked),
  ),
  'GET files/tree': method(record(whereGet), (admin, dir) => admin.tree(dir)),
  'GET files/bytes': method(record({ ...whereGet, path: text }), (admin, file) => admin.read(file)),
}

/** Answers one request below `/_admin/`. */
export async function serveAdmin(
  admin: Admin,
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
): Promise<void> {
  // An Origin means a web page is asking, and no page has business here.
  const local = isLoopback(request.socket.remoteAddress ?? '') && isLoopback(target.hostname)
  if (!local || request.headers.origin !== undefined) {
    response.writeHead(403).end()
    return
  }
  try {
    const name = target.pathname.slice('/_admin/'.length)
    const run = METHODS[`${request.method} ${name}`]
    if (run === undefined) throw new Refusal(RET.BAD_COMMAND, `no ${request.method} ${name}`)
    const result = await run(admin, await inputOf(request, target))
    if (Buffer.isBuffer(result)) {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(result)
    } else {
      answer(response, 200, result ?? null)
    }
  } catch (error) {
    if (error instanceof Refusal) answer(response, 400, { ret: error.ret, error: error.message })
    else answer(response, 500, { error: error instanceof Error ? error.stack : String(error) })
  }
}

async function inputOf(request: IncomingMessage, target: URL): Promise<unknown> {
  if (request.method === 'GET') return Object.fromEntries(target.searchParams)
  if (!request.headers['content-length'] || request.headers['content-length'] === '0') return {}
  try {
    return await json(request)
  } catch {
    throw new Refusal(RET.BAD_JSON, 'body is not JSON')
  }
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}
