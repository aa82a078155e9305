// The three envelopes of the webapp dialect, as pure functions (protocol notes, webapp 2, 7.1,
// 7.2).
//
// Command: {"req_header": "<JSON>", "req_body": "<JSON>"}, both texts; message key with a dot in
// front.
//   Reply: {"ret", "data": {"rsp_header", "rsp_body": {"RspMsg_body": {fields}}}},
//          or {"ret", "msg"}.
// Upload: objects instead of texts, no ext_req_head, message key without the dot.
//   Reply: {"rsp_header", "rsp_body": {"RspMsg_body": {"weiyun.<Name>MsgRsp_body": {fields}}}}.
// Upload as JSON: the same with a fuller header.
//   Reply: the same inside {"result": ...}, the message key without its inner dot.
import { WeiyunError } from '../errors.ts'
import { type Fields, integer, isFields } from '../fields.ts'
import { parseJson } from '../json.ts'

/** The web client. */
const APPID = 30013
const LANGUAGE_CHINESE = 2052

/** A command or upload step by its two names. */
export interface Message {
  readonly cmd: number
  /** As in `weiyun.<Name>MsgReq_body`. */
  readonly name: string
}

export interface Identity {
  readonly tokenInfo: object
  readonly wx_openid: string
  readonly qq_openid: string
  readonly user_flag: number
  readonly env_id: string
}

/**
 * A reply's result number and the fields of its message; these are empty where the reply has none.
 */
export interface Reply {
  readonly ret: number
  readonly fields: Fields
}

export function encodeCommand(
  { cmd, name }: Message,
  { tokenInfo, ...identity }: Identity,
  seq: number,
  fields: object,
): string {
  const header = {
    seq,
    type: 1,
    cmd,
    appid: APPID,
    version: 3,
    major_version: 3,
    minor_version: 3,
    fix_version: 3,
    ...identity,
  }
  const head = { token_info: tokenInfo, language_info: { language_type: LANGUAGE_CHINESE } }
  const message = { ext_req_head: head, [`.weiyun.${name}MsgReq_body`]: fields }
  return JSON.stringify({
    req_header: JSON.stringify(header),
    req_body: JSON.stringify({ ReqMsg_body: message }),
  })
}

/** BAD_REPLY for what is no reply of this envelope. */
export function decodeCommand(text: string): Reply {
  const outer = parseReply(text)
  const data = isFields(outer.data) ? outer.data : {}
  const header = isFields(data.rsp_header) ? data.rsp_header : {}
  const retcode = integer(header, 'retcode')
  // A zero further in does not take back an error further out.
  const ret = retcode || (integer(outer, 'ret') ?? retcode)
  if (ret === undefined) throw noResult()
  return { ret, fields: at(data, 'rsp_body', 'RspMsg_body') ?? {} }
}

/** The `json` part of an upload step. */
export function encodeUpload(
  { cmd, name }: Message,
  { user_flag }: Pick<Identity, 'user_flag'>,
  fields: object,
): string {
  const versions = { major_version: 3, minor_version: 0, fix_version: 0, version: 0 }
  const header = { cmd, appid: APPID, ...versions, user_flag }
  const message = { [`weiyun.${name}MsgReq_body`]: fields }
  return JSON.stringify({ req_header: header, req_body: { ReqMsg_body: message } })
}

export function encodeUploadJson(
  { cmd, name }: Message,
  { user_flag, env_id }: Pick<Identity, 'user_flag' | 'env_id'>,
  fields: object,
): string {
  const versions = { major_version: 3, minor_version: 0, fix_version: 0, type: 1, version: 3 }
  const header = { cmd, appid: APPID, ...versions, user_flag, env_id }
  const message = { [`weiyun.${name}MsgReq_body`]: fields }
  return JSON.stringify({ req_header: header, req_body: { ReqMsg_body: message } })
}

/** A reply to an upload step, by either way. */
export function decodeUpload(text: string, { name }: Message): Reply {
  const outer = parseReply(text)
  const result = isFields(outer.result) ? outer.result : outer
  const header = isFields(result.rsp_header) ? result.rsp_header : {}
  const retcode = integer(header, 'retcode')
  const ret = retcode || (integer(outer, 'retcode') ?? integer(outer, 'ret') ?? retcode)
  if (ret === undefined) throw noResult()
  const messages = at(result, 'rsp_body', 'RspMsg_body') ?? {}
  const fields = messages[`weiyun.${name}MsgRsp_body`] ?? messages[`weiyun${name}MsgRsp_body`]
  return { ret, fields: isFields(fields) ? fields : {} }
}

function parseReply(text: string): Fields {
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    // Without its cause: the parser's message quotes the reply.
    throw new WeiyunError('BAD_REPLY', 'the reply is not JSON')
  }
  if (!isFields(value)) throw new WeiyunError('BAD_REPLY', 'the reply is no JSON object')
  return value
}

function noResult(): WeiyunError {
  return new WeiyunError('BAD_REPLY', 'the reply has no result')
}

function at(fields: Fields, ...keys: string[]): Fields | undefined {
  let value: unknown = fields
  for (const key of keys) value = isFields(value) ? value[key] : undefined
  return isFields(value) ? value : undefined
}
