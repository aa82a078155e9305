// The webapp generation's envelope: JSON whose two halves are strings that hold JSON (webapp.md,
// section 2). Two parties answer: the gateway, in a form of its own, as long as it finds fault with
// the request; behind it the command.
import {
  anyObject,
  decimal,
  number,
  oneOf,
  optional,
  type Reader,
  record,
  text,
} from '../fields.ts'
import { type Call, type Reply, type Route, reply } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import type { Login } from '../store/logins.ts'
import type { Store } from '../store/store.ts'
import { CHANGES } from './changes.ts'
import type { Command } from './command.ts'
import { DOWNLOADS } from './download.ts'
import { READS } from './reads.ts'
import { RECYCLE } from './recycle.ts'
import {
  checkToken,
  checkTokenInfo,
  FORBIDDEN,
  isForbidden,
  signIn,
  withRenewal,
} from './session.ts'

const COMMANDS: Readonly<Record<string, Command>> = {
  ...READS,
  ...CHANGES,
  ...RECYCLE,
  ...DOWNLOADS,
}

const PREFIX = '/webapp/json/'
const SITE = 'https://www.weiyun.com'
/** Enough for a batch of 50 items with long names. */
const BODY_BYTES_MAX = 1024 * 1024

const QUERY = record({
  g_tk: optional(text),
  cmd: optional(decimal),
  refer: optional(text),
  r: optional(text),
})

/** SDKs count in nanoseconds, which is more than JavaScript can hold exactly. */
const seq: Reader<number> = (value, field) => {
  const given = number(value, field)
  if (!Number.isInteger(given) || given < 0) throw new Refusal(RET.WRONG_TYPE, field)
  return given
}

const HEADER = record({
  seq,
  type: oneOf([1]),
  cmd: number,
  appid: oneOf([30013], RET.BAD_APPID),
  version: oneOf([3]),
  major_version: oneOf([3]),
  minor_version: oneOf([3]),
  fix_version: oneOf([3]),
  wx_openid: text,
  qq_openid: text,
  user_flag: number,
  env_id: optional(text),
})

const EXT_HEAD = record({
  token_info: anyObject,
  language_info: record({ language_type: oneOf([2052, 1033]) }),
  buss_type: optional(oneOf([0])),
})

/** Requests that the gateway let through. */
const admitted = new WeakSet<Call>()

export function webappRoute(store: Store, knobs: Knobs): Route {
  return {
    matches: (call) => call.path.startsWith(PREFIX),
    name: (call) => call.path.split('/')[4] ?? 'webapp',
    handle: (call) => handle(store, knobs, call),
    refuse,
  }
}

async function handle(store: Store, knobs: Knobs, call: Call): Promise<Reply> {
  const nowMs = Date.now()
  const { name, command } = commandOf(call)
  checkBrowser(call)
  const query = QUERY(Object.fromEntries(call.query), 'query')
  const { account, login } = signIn(store, call, knobs)
  checkToken(store.logins, login, call, knobs.tokenTtlMs, nowMs)
  const { header, message } = parse(await call.body(BODY_BYTES_MAX), name)
  checkHeader(header, login, call)
  if (header.cmd !== command.cmd || (query.cmd ?? header.cmd) !== header.cmd) {
    throw new Refusal(RET.BAD_COMMAND, 'cmd is of another command')
  }
  admitted.add(call)
  checkTokenInfo(login.kind, call, message.head.token_info)
  const body = command.run({ store, account, call, knobs, nowMs }, message.body)
  const answer = {
    data: {
      rsp_header: {
        retcode: RET.OK,
        retmsg: '',
        cmd: command.cmd,
        cmdName: name,
        uin: account.uin,
        type: 2,
        seq: header.seq,
        zip_flag: 0,
        encrypt: 0,
      },
      rsp_body: { RspMsg_body: body },
    },
  }
  return withRenewal(json(answer, RET.OK), login, call)
}

function commandOf(call: Call): { name: string; command: Command } {
  const [service, name = '', ...rest] = call.path.slice(PREFIX.length).split('/')
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (
    command === undefined ||
    command.service !== service ||
    rest.length > 0 ||
    call.method !== 'POST'
  ) {
    throw new Refusal(RET.BAD_COMMAND, `no ${call.method} ${call.path}`)
  }
  return { name, command }
}

/** What a browser on the site's own page sends; all else gets no further. */
function checkBrowser({ headers }: Call): void {
  const refuseHeader = (name: string) => new Refusal(FORBIDDEN, `header ${name}`)
  if (headers.origin !== SITE) throw refuseHeader('Origin')
  if (!/^https:\/\/www\.weiyun\.com\/disk([/?#]|$)/.test(headers.referer ?? '')) {
    throw refuseHeader('Referer')
  }
  if (!headers['user-agent']?.startsWith('Mozilla/5.0 (')) throw refuseHeader('User-Agent')
  if (!/^application\/json(;|$)/.test(headers['content-type'] ?? '')) {
    throw refuseHeader('Content-Type')
  }
}

function parse(bytes: Buffer, name: string) {
  const { req_header, req_body, ...rest } = anyObject(parseJson(bytes.toString()), 'body') as {
    [field: string]: unknown
  }
  if (req_header === undefined) throw new Refusal(RET.NO_HEADER, 'no req_header')
  if (req_body === undefined) throw new Refusal(RET.NO_BODY, 'no req_body')
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Refusal(RET.BAD_PARAMETER, `body.${unknown} is unknown`)
  const [header, half] = [parseHalf(req_header), parseHalf(req_body)]
  const key = `.weiyun.${name}MsgReq_body`
  const message = record({ ext_req_head: EXT_HEAD, [key]: anyObject })
  const { ReqMsg_body } = record({ ReqMsg_body: message })(half, 'req_body')
  const { ext_req_head: head, ...fields } = ReqMsg_body
  return {
    header: HEADER(header, 'req_header'),
    message: { head: head as ReturnType<typeof EXT_HEAD>, body: fields[key] },
  }
}

/** Half of the body: a string that holds JSON, and nothing else (webapp.md, section 2). */
function parseHalf(value: unknown): unknown {
  if (typeof value !== 'string') throw new Refusal(RET.BAD_JSON, 'half of the body is no string')
  return parseJson(value)
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    throw new Refusal(RET.BAD_JSON, 'not JSON')
  }
}

function checkHeader(header: ReturnType<typeof HEADER>, login: Login, call: Call): void {
  const { cookies } = call
  // An SDK copies token_type, the site knows only 0 and 1.
  const flags = { qq: [0], weixin: [1], openid: [0, 1, 3] }[login.kind]
  if (!flags.includes(header.user_flag)) throw new Refusal(RET.BAD_PARAMETER, 'user_flag')
  const known = {
    wx_openid: [cookies.get('openid'), cookies.get('weiyun_wx_openid')],
    qq_openid: [cookies.get('weiyun_qq_openid')],
  }
  for (const name of ['wx_openid', 'qq_openid'] as const) {
    if (header[name] !== '' && !known[name].includes(header[name])) {
      throw new Refusal(RET.BAD_PARAMETER, `${name} differs from the cookies`)
    }
  }
}

/** The gateway's form, without `data`, or the command's. */
function refuse(call: Call, ret: number): Reply {
  const struck = /^(ret:|busy$|expired-session$)/.test(call.fault ?? '')
  const gateway = struck ? isGatewayCode(ret) : !admitted.has(call)
  if (!gateway) return json({ data: { rsp_header: { retcode: ret, retmsg: `error ${ret}` } } }, ret)
  const answer = json({ ret, msg: `error ${ret}` }, ret)
  return isForbidden(call, ret) ? { ...answer, status: FORBIDDEN } : answer
}

/** Which of the two speaks when a fault is given by its code alone. */
function isGatewayCode(ret: number): boolean {
  return (ret >= 190_000 && ret < 200_000) || (ret >= 400 && ret < 600)
}

function json(value: object, ret: number): Reply {
  return reply(JSON.stringify(value), { 'Content-Type': 'application/json; charset=utf-8' }, ret)
}
