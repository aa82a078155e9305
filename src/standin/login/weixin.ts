// Login by WeChat: a QR code, a poll that waits for news, and the renewal of a login that lapsed
// (webapp.md, 4.2).
import { randomBytes } from 'node:crypto'
import { oneOf, optional, record, text } from '../fields.ts'
import { type Call, type Reply, type Route, reply } from '../http.ts'
import { Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import { cookiesOf, WEIXIN_APPID } from '../store/logins.ts'
import type { Store } from '../store/store.ts'
import { FORBIDDEN } from '../webapp/session.ts'
import { type QrCode, type QrCodes, type QrState, qrPng } from './qr-codes.ts'
import { html, page, withCookies } from './site.ts'

/** Users without a WeChat token have this one, the hash of nothing. */
const G_TK = '5381'

const LOGIN = record({
  cmd: oneOf(['web_login']),
  no_referer: oneOf(['1']),
  low_login: oneOf(['1']),
})
// `last` and `_` are what WeChat's own page sends along [I].
const POLL = record({ uuid: text, last: optional(text), _: optional(text) })
const OAUTH = record({
  g_tk: oneOf([G_TK]),
  appid: oneOf([WEIXIN_APPID]),
  action: oneOf(['web_login']),
  code: text,
})
const REFRESH = record({
  grant_type: oneOf(['refresh_token']),
  appid: oneOf([WEIXIN_APPID]),
  refresh_token: text,
})

const ERRCODES: Record<QrState, number> = {
  waiting: 408,
  scanned: 404,
  confirmed: 405,
  expired: 402,
  refused: 403,
}

/** Codes of WeChat's own interface, as its public documentation has them [I]. */
const INVALID_REFRESH_TOKEN = { errcode: 40030, errmsg: 'invalid refresh_token' }

const QR_PATH = '/connect/qrcode/'
const TOKEN_SECONDS = 7200

export function weixinLoginRoutes(store: Store, codes: QrCodes, knobs: Knobs): Route[] {
  return [
    page('web_wx_login', '/newcgi/web_wx_login.fcg', (call) => login(codes, call)),
    {
      ...page('wx_qrcode', QR_PATH, (call) => picture(codes, call)),
      matches: (call) => call.method === 'GET' && call.path.startsWith(QR_PATH),
    },
    page('qrconnect', '/connect/l/qrconnect', (call) => poll(codes, knobs, call)),
    page('weixin_oauth20', '/newcgi/weixin_oauth20.fcg', (call) => finish(store, codes, call)),
    page('refresh_token', '/sns/oauth2/refresh_token', (call) => refresh(store, call)),
  ]
}

/** The page names the code, `appid` and `g_tk`; how exactly is not known [I]. */
function login(codes: QrCodes, call: Call): Reply {
  LOGIN(Object.fromEntries(call.query), 'query')
  const { key } = codes.show('weixin', randomBytes(12).toString('base64url'))
  const next = `/newcgi/weixin_oauth20.fcg?g_tk=${G_TK}&appid=${WEIXIN_APPID}&action=web_login`
  const script = `var next="${next}";var appid="${WEIXIN_APPID}";var g_tk="${G_TK}";`
  return html(`<title>WeChat</title><img src="${QR_PATH}${key}"><script>${script}</script>`)
}

async function picture(codes: QrCodes, call: Call): Promise<Reply> {
  const { key } = wanted(codes, call.path.slice(QR_PATH.length))
  const png = await qrPng(`https://open.weixin.qq.com/connect/confirm?uuid=${key}`, 5)
  return reply(png, { 'Content-Type': 'image/png' })
}

async function poll(codes: QrCodes, knobs: Knobs, call: Call): Promise<Reply> {
  const { uuid } = POLL(Object.fromEntries(call.query), 'query')
  const code = wanted(codes, uuid)
  const state = await codes.news(code, knobs.longPollMs)
  const answer = `window.wx_errcode=${ERRCODES[state]};window.wx_code='${code.ticket}';`
  return reply(answer, { 'Content-Type': 'text/javascript; charset=utf-8' })
}

function finish(store: Store, codes: QrCodes, call: Call): Reply {
  const { code } = OAUTH(Object.fromEntries(call.query), 'query')
  const uin = codes.redeem('weixin', code)
  if (uin === undefined) throw new Refusal(FORBIDDEN, 'unknown or used code')
  const fresh = store.logins.start(uin, 'weixin', Date.now())
  return withCookies(html('<title>WeChat</title>'), cookiesOf(fresh))
}

/** No cookies here: this is WeChat's own interface, which knows tokens only. */
function refresh(store: Store, call: Call): Reply {
  const { refresh_token } = REFRESH(Object.fromEntries(call.query), 'query')
  const given = store.logins.findRefreshable(refresh_token)
  if (given === undefined) return json(INVALID_REFRESH_TOKEN, INVALID_REFRESH_TOKEN.errcode)
  call.uin = given.uin
  store.logins.refresh(given)
  const { openid, access_token, refresh_token: next } = cookiesOf(given)
  const scope = 'snsapi_login'
  return json({ openid, access_token, expires_in: TOKEN_SECONDS, refresh_token: next, scope })
}

function wanted(codes: QrCodes, uuid: string): QrCode {
  const code = codes.find('weixin', uuid)
  if (code === undefined) throw new Refusal(FORBIDDEN, 'unknown code')
  return code
}

function json(value: object, ret = 0): Reply {
  return reply(JSON.stringify(value), { 'Content-Type': 'text/plain; charset=utf-8' }, ret)
}
