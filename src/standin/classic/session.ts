// Whether a request of the two older generations comes from a logged-in browser: cookies, Referer
// and the two values derived from `skey` (classic.md, section 2).
import { createHash } from 'node:crypto'
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Account, Accounts } from '../store/accounts.ts'

const TOKEN_SALT = 'tencentQQVIP123443safde&!%^%1282'

/** The number that guards against forged requests; every step is kept within 32 bits. */
export function gtkOf(skey: string): number {
  let hash = 5381
  for (let i = 0; i < skey.length; i++) hash = (hash + (hash << 5) + skey.charCodeAt(i)) >>> 0
  return hash & 0x7fffffff
}

/** The second guard, inside the JSON. */
export function tokenOf(skey: string): string {
  const codes = Array.from({ length: skey.length }, (_, i) => skey.charCodeAt(i))
  const numbers = [5381 << 5, ...codes.map((code, i) => ((codes[i - 1] ?? 5381) << 5) + code)]
  return createHash('md5')
    .update(numbers.join('') + TOKEN_SALT)
    .digest('hex')
}

/** Cookies a browser sends along; their values say nothing that this service could check. */
const COMPANIONS = ['pgv_info', 'pgv_pvid', 'ptui_loginuin']

/** The account whose live session these cookies are. */
export function signIn(accounts: Accounts, call: Call): Account {
  const { cookies } = call
  const cookie = cookies.get('uin')
  if (cookie === undefined) throw new Refusal(RET.NOT_LOGGED_IN, 'no cookie uin')
  const uin = /^o0*([1-9]\d{4,9})$/.exec(cookie)?.[1]
  if (uin === undefined) throw new Refusal(RET.BAD_UIN, 'cookie uin')
  const account = accounts.find(Number(uin))
  if (account === undefined) throw new Refusal(RET.NOT_LOGGED_IN, 'unknown account')
  call.uin = account.uin
  if (account.expired) throw new Refusal(RET.NOT_LOGGED_IN, 'session expired')
  const { skey, ptcz } = account.credentials
  const wanted = { skey, ptcz, ptisp: 'os', pt2gguin: cookie }
  for (const [name, value] of Object.entries(wanted)) {
    if (cookies.get(name) !== value) throw new Refusal(RET.NOT_LOGGED_IN, `cookie ${name}`)
  }
  for (const name of COMPANIONS) {
    if (!cookies.get(name)) throw new Refusal(RET.NOT_LOGGED_IN, `cookie ${name}`)
  }
  return account
}

export function checkGtk(account: Account, gtk: string): void {
  if (gtk !== String(gtkOf(account.credentials.skey))) throw new Refusal(RET.WRONG_G_TK, 'g_tk')
}

export function checkToken(account: Account, token: string): void {
  if (token !== tokenOf(account.credentials.skey)) throw new Refusal(RET.CLIENT_KEY, 'token')
}

/** A page of the site must be the Referer; an Origin, where one is sent, must be the site's too. */
export function checkReferer(call: Call, page?: string): void {
  const referer = weiyunUrl(call.headers.referer)
  if (referer === undefined || (page !== undefined && referer.host + referer.pathname !== page)) {
    throw new Refusal(RET.WRONG_REFERER, 'Referer')
  }
  const origin = call.headers.origin
  if (origin !== undefined && weiyunUrl(origin) === undefined) {
    throw new Refusal(RET.WRONG_DOMAIN, 'Origin')
  }
}

/** The URL, when it is one of the site's. */
export function weiyunUrl(value: string | undefined): URL | undefined {
  const url = URL.parse(value ?? '')
  const ours =
    url !== null && /^https?:$/.test(url.protocol) && /(^|\.)weiyun\.com$/.test(url.hostname)
  return ours ? url : undefined
}
