// The two ways an upload's steps come: a multipart body for all of them, and JSON for its
// announcement (webapp.md, 7.1 and 7.2).
import { randomBytes } from 'node:crypto'
import { MultipartError, parseMultipart } from '../data/multipart.ts'
import { anyObject, count, decimal, oneOf, optional, type Reader, record, text } from '../fields.ts'
import { BodyError, type Call, type Reply, type Route, reply } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import type { Account } from '../store/accounts.ts'
import type { Store } from '../store/store.ts'
import type { Channels } from './channels.ts'
import { addChannel, uploadPiece } from './pieces.ts'
import { preUpload } from './pre-upload.ts'
import { checkToken, FORBIDDEN, isForbidden, signIn, withRenewal } from './session.ts'
import type { UploadContext } from './step.ts'

type Step = (
  context: UploadContext,
  body: unknown,
  bytes: Buffer | undefined,
) => Promise<object> | object

const STEPS: Readonly<Record<string, { name: string; run: Step }>> = {
  247120: { name: 'PreUpload', run: preUpload },
  247121: { name: 'UploadPiece', run: uploadPiece },
  247122: { name: 'AddChannel', run: addChannel },
}

/** A block of 1 MiB, the states of the largest file, and what is around them. */
const BODY_BYTES_MAX = 16 * 1024 * 1024

const QUERY = record({ cmd: optional(decimal), g_tk: optional(text) })

/** Of the request's header only the last two fields differ between the two ways. */
const header = {
  cmd: count,
  appid: oneOf([30013], RET.BAD_APPID),
  major_version: oneOf([3]),
  minor_version: oneOf([0]),
  fix_version: oneOf([0]),
}
// Browsers of WeChat users say 1, an SDK 0 for everyone.
const userFlag = oneOf([0, 1])
const FORM_HEADER = record({ ...header, version: oneOf([0]), user_flag: userFlag })
const JSON_HEADER = record({
  ...header,
  type: oneOf([1]),
  version: oneOf([3]),
  user_flag: userFlag,
  env_id: optional(text),
})

export function uploadRoutes(store: Store, channels: Channels, knobs: Knobs): Route[] {
  return [
    {
      matches: (call) => call.method === 'POST' && call.path === '/ftnup_v2/weiyun',
      name: (call) => STEPS[call.query.get('cmd') ?? '']?.name ?? 'ftnup',
      handle: (call) => takeForm({ store, channels, knobs, call }),
      refuse: refuseForm,
    },
    {
      matches: (call) => call.method === 'POST' && call.path === '/api/v3/ftn_pre_upload',
      name: () => 'PreUpload',
      handle: (call) => takeJson({ store, channels, knobs, call }),
      refuse: refuseJson,
    },
  ]
}

type Given = Pick<UploadContext, 'store' | 'channels' | 'knobs' | 'call'>

async function takeForm(given: Given): Promise<Reply> {
  const { call, store } = given
  if (call.headers['content-length'] === undefined) throw new BodyError('no Content-Length')
  const { cmd } = QUERY(Object.fromEntries(call.query), 'query')
  const step = STEPS[cmd ?? '']
  // The site's own fallback sends its pieces without cookies; then their key tells whose they are.
  const isBare = call.cookies.size === 0 && step !== undefined && step.name !== 'PreUpload'
  const visitor = isBare ? undefined : admit(given)
  const { json, bytes } = parts(call.headers['content-type'] ?? '', await call.body(BODY_BYTES_MAX))
  if (step === undefined) throw new Refusal(RET.BAD_COMMAND, `no command ${cmd}`)
  // The site sends accounts of this kind the other way, and they only (webapp.md, 7.2) [I].
  if (visitor?.login.kind === 'openid' && step.name === 'PreUpload') {
    throw new Refusal(RET.UNKNOWN_CREDENTIAL, 'openid account')
  }
  const key = `weiyun.${step.name}MsgReq_body`
  const { req_header, message } = envelope(json, FORM_HEADER, key)
  if (req_header.cmd !== cmd) throw malformed('cmd differs from the query')
  const account = visitor?.account ?? ownerOf(store, message)
  const body = await step.run({ ...given, account, nowMs: Date.now() }, message, bytes)
  const answer = okay(cmd, account.uin, `weiyun.${step.name}MsgRsp_body`, body)
  const whole = traced(answer, RET.OK)
  return visitor === undefined ? whole : withRenewal(whole, visitor.login, call)
}

/** The account that announced the upload that this step is of. */
function ownerOf({ uploads, accounts }: Store, message: unknown): Account {
  const { upload_key } = anyObject(message, 'message') as { upload_key?: unknown }
  const upload = uploads.find(text(upload_key, 'upload_key'))
  const account = upload && accounts.find(upload.uin)
  if (account === undefined) throw new Refusal(RET.CHANNEL_CLOSED, 'no such upload')
  return account
}

async function takeJson(given: Given): Promise<Reply> {
  const { call } = given
  const { account, login, nowMs, cmd = 247120 } = admit(given)
  if (!/^application\/json(;|$)/.test(call.headers['content-type'] ?? '')) throw malformed()
  const source = (await call.body(BODY_BYTES_MAX)).toString()
  const { req_header, message } = envelope(source, JSON_HEADER, 'weiyun.PreUploadMsgReq_body')
  if (cmd !== 247120 || req_header.cmd !== cmd) throw malformed()
  const body = await preUpload({ ...given, account, nowMs }, message, undefined)
  const answer = okay(cmd, account.uin, 'weiyunPreUploadMsgRsp_body', body)
  return withRenewal(traced({ result: answer }, RET.OK), login, call)
}

/** Who asks, and whether the token is right where one is sent. */
function admit({ store, knobs, call }: Given) {
  const nowMs = Date.now()
  const { cmd, g_tk } = QUERY(Object.fromEntries(call.query), 'query')
  const { account, login } = signIn(store, call, knobs)
  if (g_tk !== undefined) checkToken(store.logins, login, call, knobs.tokenTtlMs, nowMs)
  return { account, login, nowMs, cmd }
}

/** The parts in their one order: `json` without a type, then `upload` where bytes are sent. */
function parts(contentType: string, body: Buffer): { json: string; bytes: Buffer | undefined } {
  const [json, upload, ...rest] = multipart(contentType, body)
  const isJson = json?.name === 'json' && json.filename === undefined && json.type === undefined
  const isUpload =
    upload === undefined ||
    (upload.name === 'upload' &&
      upload.filename === 'blob' &&
      upload.type === 'application/octet-stream')
  if (!isJson || !isUpload || rest.length > 0) throw malformed('parts of the form')
  return { json: json.bytes.toString(), bytes: upload?.bytes }
}

function multipart(contentType: string, body: Buffer) {
  try {
    return parseMultipart(contentType, body)
  } catch (error) {
    if (error instanceof MultipartError) throw malformed(error.message)
    throw error
  }
}

/** Objects all the way, and nothing around or beside the message. */
function envelope<H>(source: string, readHeader: Reader<H>, key: string) {
  try {
    const body = record({ ReqMsg_body: record({ [key]: anyObject }) })
    const { req_header, req_body } = record({ req_header: readHeader, req_body: body })(
      JSON.parse(source),
      'json',
    )
    return { req_header, message: req_body.ReqMsg_body[key] }
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed('not JSON')
    throw error instanceof Refusal ? malformed(error.message) : error
  }
}

function malformed(reason = 'shape of the request'): Refusal {
  return new Refusal(RET.BAD_JSON, reason)
}

function okay(cmd: number, uin: number, key: string, body: object): object {
  const rsp_header = { retcode: RET.OK, retmsg: '', cmd, uin, type: 2 }
  return { rsp_header, rsp_body: { RspMsg_body: { [key]: body } } }
}

function refuseForm(call: Call, ret: number): Reply {
  const answer = traced({ rsp_header: { retcode: ret, retmsg: `error ${ret}` } }, ret)
  return isForbidden(call, ret) ? { ...answer, status: FORBIDDEN } : answer
}

/** A malformed request is answered as by a gateway that is too busy (webapp.md, 7.2). */
function refuseJson(call: Call, ret: number): Reply {
  if (isForbidden(call, ret)) return refuseForm(call, ret)
  if (ret === RET.BAD_JSON || ret === RET.GATEWAY_BUSY) {
    return traced({ retcode: RET.GATEWAY_BUSY, msg: '服务繁忙' }, RET.GATEWAY_BUSY)
  }
  return traced({ result: { rsp_header: { retcode: ret, retmsg: `error ${ret}` } } }, ret)
}

/** Every reply of these servers has a number to ask about. */
function traced(value: object, ret: number): Reply {
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'x-trace-id': randomBytes(16).toString('hex'),
  }
  return reply(JSON.stringify(value), headers, ret)
}
