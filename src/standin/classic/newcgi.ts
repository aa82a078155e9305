// The newcgi generation, as far as clients of the classic one need it: command 2301, which
// announces a chunked upload (classic.md, 6c; newcgi.md, sections 2 and 5.1).

import {
  anyObject,
  bool,
  count,
  dirKey,
  md5Hex,
  number,
  oneOf,
  optional,
  orEmpty,
  record,
  sha1Hex,
  text,
} from '../fields.ts'
import type { Call, Reply, Route } from '../http.ts'
import { checkName } from '../names.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Store } from '../store/store.ts'
import { newcgiCallback, wrap } from './jsonp.ts'
import { headerAndBody, params, parseJson } from './params.ts'
import { checkGtk, checkReferer, signIn } from './session.ts'
import { checkHashes } from './upload.ts'

const CMD = 2301
const PAGE = 'user.weiyun.com/cdr_proxy.html'

const QUERY = record({
  cmd: optional(text),
  g_tk: text,
  wx_tk: optional(oneOf(['5381'])),
  callback: optional(text),
  data: text,
  _: optional(text),
})

const HEADER = record({
  cmd: number,
  appid: oneOf([30013], RET.BAD_APPID),
  version: oneOf([2]),
  major_version: oneOf([2]),
  // Sent by the site of 2016; the seed works without.
  uin: optional(count),
  login_key: optional(text),
  login_keytype: optional(oneOf([1])),
})

const BODY = record({
  ReqMsg_body: record({
    'weiyun.DiskFileUploadMsgReq_body': record({
      ppdir_key: orEmpty(dirKey),
      pdir_key: dirKey,
      upload_type: oneOf([0, 1]),
      file_md5: orEmpty(md5Hex),
      file_sha: orEmpty(sha1Hex),
      file_size: count,
      filename: text,
      // 1 overwrites on webapp; 4 and 6 both end in a renamed file, as far as the sources tell
      // (5.1).
      file_exist_option: oneOf([1, 4, 6]),
      use_mutil_channel: optional(bool),
      ext_info: optional(anyObject),
    }),
  }),
})

export function newcgiRoute(store: Store): Route {
  return {
    matches: (call) => call.path === '/newcgi/qdisk_upload.fcg',
    name: () => String(CMD),
    handle: (call) => handle(store, call),
    refuse,
  }
}

async function handle(store: Store, call: Call): Promise<Reply> {
  checkReferer(call, PAGE)
  const query = QUERY(await params(call), 'query')
  const callback = newcgiCallback(call.method, query.callback)
  const account = signIn(store.accounts, call)
  checkGtk(account, query.g_tk)
  const data = headerAndBody(parseJson(query.data))
  if (HEADER(data.header, 'req_header').cmd !== CMD) throw new Refusal(RET.BAD_COMMAND, 'cmd')
  const body = BODY(data.body, 'req_body').ReqMsg_body['weiyun.DiskFileUploadMsgReq_body']
  const { filename: name, file_size: size, file_sha: sha, file_md5: md5 } = body
  checkHashes(body.upload_type, sha, md5, size)
  checkName(name, account.limits.nameCharsMax)
  const dir = store.tree.dirBelow(account, body.ppdir_key, body.pdir_key)
  const onClash = body.file_exist_option === 1 ? 'overwrite' : 'rename'
  const wanted = { name, size, sha, md5, onClash } as const
  const { upload, entry } = store.uploads.announce(account, dir, wanted, Date.now())
  const answer = {
    file_exist: upload.done === 1,
    file_id: entry.id,
    filename: entry.name,
    file_ctime: String(entry.ctimeMs),
    file_ver: String(entry.ver),
    server_name: call.self.host,
    server_port: call.self.port,
    // Sent with file_exist too: the seed's client uses them whatever that says.
    file_key: upload.fileKey,
    check_key: upload.checkKey,
    channel_count: 0,
    inside_upload_ip: call.self.host,
    remain_flow_size: String(account.totalSpace - account.usedSpace),
  }
  const reply = {
    rsp_header: { cmd: CMD, ret: RET.OK, retcode: RET.OK, retmsg: '', uin: account.uin },
    rsp_body: { RspMsg_body: { 'weiyun.DiskFileUploadMsgRsp_body': answer } },
  }
  return wrap(call.method, callback, reply, RET.OK)
}

async function refuse(call: Call, ret: number): Promise<Reply> {
  const given = await params(call).catch(() => ({}) as Record<string, string>)
  const callback = given.callback === `X_${call.method}` ? given.callback : undefined
  const header = { cmd: CMD, ret, retcode: ret, retmsg: `error ${ret}` }
  return wrap(call.method, callback, { rsp_header: header, rsp_body: {} }, ret)
}
