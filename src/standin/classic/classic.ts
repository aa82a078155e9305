// The classic generation's envelope: script requests with JSON in `data`, answered as calls of a
// callback (classic.md, sections 2-3). What the commands do is in reads.ts, changes.ts and
// upload.ts.
import { count, oneOf, optional, record, text } from '../fields.ts'
import type { Call, Reply, Route } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Store } from '../store/store.ts'
import { CHANGES } from './changes.ts'
import type { Command } from './command.ts'
import { classicCallback, wrap } from './jsonp.ts'
import { headerAndBody, params, parseJson } from './params.ts'
import { READS } from './reads.ts'
import { checkGtk, checkReferer, checkToken, signIn } from './session.ts'
import { UPLOADS } from './upload.ts'

const COMMANDS: Readonly<Record<string, Command>> = { ...READS, ...CHANGES, ...UPLOADS }
const PATHS = new Set(Object.values(COMMANDS).map((command) => command.path))

const QUERY = record({
  cmd: text,
  g_tk: text,
  callback: optional(text),
  data: text,
  _: optional(text),
})

const HEADER = record({
  cmd: text,
  main_v: oneOf([11]),
  proto_ver: oneOf([10006]),
  sub_v: oneOf([1]),
  encrypt: oneOf([0]),
  msg_seq: count,
  source: oneOf([30234], RET.WRONG_SOURCE),
  appid: oneOf([30234], RET.BAD_APPID),
  client_ip: text,
  token: text,
})

export function classicRoute(store: Store): Route {
  return {
    matches: (call) => PATHS.has(call.path),
    name: (call) => call.query.get('cmd') ?? 'classic',
    handle: (call) => handle(store, call),
    refuse,
  }
}

async function handle(store: Store, call: Call): Promise<Reply> {
  checkReferer(call)
  const query = QUERY(await params(call), 'query')
  const callback = classicCallback(call.method, query.callback)
  const account = signIn(store.accounts, call)
  checkGtk(account, query.g_tk)
  const data = headerAndBody(parseJson(query.data))
  const header = HEADER(data.header, 'req_header')
  checkToken(account, header.token)
  if (header.cmd !== query.cmd) throw new Refusal(RET.BAD_PARAMETER, 'cmd differs from the query')
  const command = commandOf(call, header.cmd)
  const body = command.run({ store, account, call, nowMs: Date.now() }, data.body)
  const reply = {
    rsp_body: body,
    rsp_header: command.plainHeader
      ? { cmd: header.cmd, ret: RET.OK }
      : { cmd: header.cmd, msg_seq: header.msg_seq, ret: RET.OK, uin: account.uin },
  }
  return wrap(call.method, callback, reply, RET.OK)
}

function commandOf(call: Call, name: string): Command {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command?.method !== call.method || command.path !== call.path) {
    throw new Refusal(RET.BAD_COMMAND, `no ${name} at ${call.method} ${call.path}`)
  }
  return command
}

/**
 * Never repeats a callback of an unknown form: the reply would be script of the client's own
 * making.
 */
async function refuse(call: Call, ret: number): Promise<Reply> {
  const given = await params(call).catch(() => ({}) as Record<string, string>)
  let callback: string | undefined
  try {
    callback = classicCallback(call.method, given.callback)
  } catch {
    callback = undefined
  }
  const header = { cmd: given.cmd ?? '', ret }
  return wrap(call.method, callback, { rsp_body: {}, rsp_header: header }, ret)
}
