// Login by QQ: a QR code, polled until somebody has scanned and confirmed it (webapp.md, 4.1).
import { randomBytes } from 'node:crypto'
import { oneOf, type Reader, record, text } from '../fields.ts'
import { type Call, type Reply, type Route, redirect, reply } from '../http.ts'
import { Refusal } from '../refusal.ts'
import { cookiesOf } from '../store/logins.ts'
import type { Store } from '../store/store.ts'
import { FORBIDDEN } from '../webapp/session.ts'
import { type QrCodes, type QrState, qrPng } from './qr-codes.ts'
import { html, LOGIN_DONE_PAGE, page, withCookies } from './site.ts'

const APPID = oneOf(['527020901'])
const DAID = oneOf(['372'])
const DONE_URL = oneOf([`https://www.weiyun.com${LOGIN_DONE_PAGE}?login_succ`])

/** `low_login_foreced` is spelled as the site spells it. */
const XLOGIN = record({
  appid: APPID,
  daid: DAID,
  s_url: DONE_URL,
  low_login: oneOf(['1']),
  low_login_foreced: oneOf(['1']),
  qlogin_auto_login: oneOf(['1']),
  style: oneOf(['20']),
  hide_title: oneOf(['1']),
  target: oneOf(['self']),
  link_target: oneOf(['blank']),
  hide_close_icon: oneOf(['1']),
  pt_no_auth: oneOf(['1']),
})

const QRSHOW = record({
  appid: APPID,
  daid: DAID,
  pt_3rd_aid: oneOf(['0']),
  e: oneOf(['2']),
  l: oneOf(['M']),
  s: oneOf(['3', '4', '5', '6', '7', '8']),
  d: oneOf(['72']),
  v: oneOf(['4']),
  t: text,
  u1: DONE_URL,
})

const action: Reader<string> = (value, field) => {
  const given = text(value, field)
  if (!/^0-0-\d{13}$/.test(given)) throw new Refusal(FORBIDDEN, `${field} is not 0-0-<ms>`)
  return given
}

const QRLOGIN = record({
  u1: DONE_URL,
  aid: APPID,
  daid: DAID,
  ptqrtoken: text,
  ptredirect: oneOf(['0']),
  h: oneOf(['1']),
  t: oneOf(['1']),
  g: oneOf(['1']),
  from_ui: oneOf(['1']),
  ptlang: oneOf(['2052']),
  action,
  js_ver: text,
  js_type: text,
  login_sig: text,
  pt_uistyle: oneOf(['40']),
  low_login_enable: oneOf(['1']),
  low_login_hour: oneOf(['720']),
})

const CHECK_SIG = record({ ptsigx: text, s_url: text })

/** What the poll says about a code (webapp.md, 4.1, step 4; 68 is one of the "other" [I]). */
const ANSWERS: Record<QrState, [code: number, message: string]> = {
  waiting: [66, '二维码未失效。'],
  scanned: [67, '二维码认证中。'],
  expired: [65, '二维码已失效。'],
  refused: [68, '本次登录已被拒绝'],
  confirmed: [0, '登录成功！'],
}

export function qqLoginRoutes(store: Store, codes: QrCodes): Route[] {
  /** Values of `pt_login_sig` that were given out. */
  const sigs = new Set<string>()
  return [
    page('xlogin', '/cgi-bin/xlogin', (call) => {
      XLOGIN(Object.fromEntries(call.query), 'query')
      const sig = randomBytes(32).toString('base64url')
      sigs.add(sig)
      return withCookies(html('<title>QQ</title>'), { pt_login_sig: sig })
    }),
    page('ptqrshow', '/ptqrshow', (call) => show(codes, call)),
    page('ptqrlogin', '/ptqrlogin', (call) => poll(store, codes, sigs, call)),
    page('check_sig', '/check_sig', (call) => finish(store, codes, call)),
  ]
}

async function show(codes: QrCodes, call: Call): Promise<Reply> {
  const { s } = QRSHOW(Object.fromEntries(call.query), 'query')
  const sig = randomBytes(32).toString('hex')
  codes.show('qq', sig)
  const picture = await qrPng(`https://txz.qq.com/p?k=${sig.slice(0, 32)}&f=527020901`, Number(s))
  return withCookies(reply(picture, { 'Content-Type': 'image/png' }), { qrsig: sig })
}

function poll(store: Store, codes: QrCodes, sigs: Set<string>, call: Call): Reply {
  const query = QRLOGIN(Object.fromEntries(call.query), 'query')
  const { cookies, self } = call
  const sig = cookies.get('qrsig') ?? ''
  if (query.ptqrtoken !== String(hash33(sig))) throw new Refusal(FORBIDDEN, 'ptqrtoken')
  if (!sigs.has(query.login_sig) || query.login_sig !== cookies.get('pt_login_sig')) {
    throw new Refusal(FORBIDDEN, 'login_sig')
  }
  const code = codes.find('qq', sig)
  const [number, message] = ANSWERS[code?.state ?? 'expired']
  let [url, nick] = ['', '']
  if (code?.state === 'confirmed') {
    const ticket = new URLSearchParams({ ptsigx: code.ticket, s_url: query.u1 })
    url = `http://${self.host}:${self.port}/check_sig?${ticket}`
    nick = store.accounts.find(code.uin)?.nickname ?? ''
  }
  const fields = [String(number), '0', url, '0', message, nick]
  const quoted = fields.map((field) => `'${field.replace(/['\\]/g, '\\$&')}'`)
  return reply(`ptuiCB(${quoted.join(',')})`, { 'Content-Type': 'text/html; charset=utf-8' })
}

/** Logs in, and leads on to the site's own page, which is here whatever address was asked for. */
function finish(store: Store, codes: QrCodes, call: Call): Reply {
  const { ptsigx } = CHECK_SIG(Object.fromEntries(call.query), 'query')
  const uin = codes.redeem('qq', ptsigx)
  if (uin === undefined) throw new Refusal(FORBIDDEN, 'unknown or used ticket')
  const login = store.logins.start(uin, 'qq', Date.now())
  return withCookies(redirect(`${LOGIN_DONE_PAGE}?login_succ`), cookiesOf(login))
}

/** The number that proves that the cookie `qrsig` was read. */
export function hash33(sig: string): number {
  let hash = 0
  for (const char of sig) hash = (hash + (hash << 5) + char.charCodeAt(0)) >>> 0
  return hash & 0x7fffffff
}
