// Whether a request comes from a browser that is logged in to the site of today: its cookies, the
// guard against forged requests, and the credentials that commands repeat (webapp.md, section 3).
import { gtkOf } from '../classic/session.ts'
import { oneOf, type Reader, record, text } from '../fields.ts'
import type { Call, Reply } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import type { Account } from '../store/accounts.ts'
import { type Login, type LoginKind, type Logins, SECRET_COOKIE } from '../store/logins.ts'
import type { Store } from '../store/store.ts'

export interface Visitor {
  account: Account
  login: Login
}

/** The code, and the HTTP status, of requests that get no further than the gateway. */
export const FORBIDDEN = 403

/** Whether that status is meant; a fault that names the code means the code within a reply. */
export function isForbidden(call: Call, ret: number): boolean {
  return ret === FORBIDDEN && !call.fault?.startsWith('ret:')
}

/** The cookie `wy_uf` tells how somebody logged in. */
const KINDS: Record<string, LoginKind> = { '0': 'qq', '1': 'weixin', '2': 'openid' }

/** The account that is logged in with these cookies. */
export function signIn({ accounts, logins }: Store, call: Call, knobs: Knobs): Visitor {
  const { cookies } = call
  const kind = KINDS[cookies.get('wy_uf') ?? '0']
  if (kind === undefined) throw new Refusal(RET.NOT_LOGGED_IN, 'cookie wy_uf')
  const name = SECRET_COOKIE[kind]
  const login = logins.find(kind, cookies.get(name) ?? '')
  if (login === undefined) throw new Refusal(RET.NOT_LOGGED_IN, `cookie ${name}`)
  call.uin = login.uin
  for (const [companion, value] of Object.entries(login.cookies)) {
    if (cookies.get(companion) !== value) {
      throw new Refusal(RET.NOT_LOGGED_IN, `cookie ${companion}`)
    }
  }
  const nowMs = Date.now()
  const idle = knobs.loginIdleMs > 0 && nowMs - login.usedMs >= knobs.loginIdleMs
  if (idle && !login.expired) logins.expire(login)
  login.usedMs = nowMs
  if (login.expired) {
    throw new Refusal(kind === 'weixin' ? RET.WEIXIN_EXPIRED : RET.NOT_LOGGED_IN, 'login expired')
  }
  const account = accounts.find(login.uin)
  if (account === undefined) throw new Refusal(RET.NOT_LOGGED_IN, 'account gone')
  return { account, login }
}

/**
 * Refuses a request whose `g_tk` is not the cookie `wyctoken`, or whose `wyctoken` is not the one
 * that is good now: HTTP 403, as the gateway says it. Without the cookie, the hash of the login
 * itself is compared with.
 */
export function checkToken(
  logins: Logins,
  login: Login,
  call: Call,
  ttlMs: number,
  nowMs: number,
): void {
  const late = ttlMs > 0 && nowMs - login.tokenMs >= ttlMs
  if (late || call.fault === 'stale-token') logins.rotateToken(login, nowMs)
  const cookie = call.cookies.get('wyctoken')
  const g_tk = call.query.get('g_tk')
  if (cookie === undefined) {
    if (g_tk === ownHash(call)) return
    throw new Refusal(FORBIDDEN, 'no cookie wyctoken, and g_tk is not the hash of the login')
  }
  if (g_tk !== cookie) throw new Refusal(FORBIDDEN, 'g_tk is not wyctoken')
  if (cookie !== login.token) throw new Refusal(FORBIDDEN, 'old wyctoken')
}

/** The hash of the older generations, over another cookie. */
function ownHash({ cookies }: Call): string | undefined {
  const secret = cookies.get('p_skey') ?? cookies.get('access_token')
  return secret && String(gtkOf(secret))
}

/** `token_info` by kind of login; what it says must be what the cookies say. */
const TOKEN_INFO: Record<LoginKind, Reader<Record<string, string | number>>> = {
  qq: record({
    token_type: oneOf([0], RET.UNKNOWN_CREDENTIAL),
    // 27 with p_skey, or as clients of 2018 did it, 1 with skey.
    login_key_type: oneOf([27, 1], RET.UNKNOWN_CREDENTIAL),
    login_key_value: text,
  }),
  weixin: record({
    token_type: oneOf([1], RET.UNKNOWN_CREDENTIAL),
    openid: text,
    open_appid: text,
    access_token: text,
    login_key_type: oneOf([192], RET.UNKNOWN_CREDENTIAL),
    login_key_value: text,
  }),
  openid: record({
    token_type: oneOf([3], RET.UNKNOWN_CREDENTIAL),
    login_key_type: oneOf([1540], RET.UNKNOWN_CREDENTIAL),
  }),
}

/** Checks the credentials that a command repeats; the cookies themselves have been judged. */
export function checkTokenInfo(kind: LoginKind, { cookies }: Call, given: unknown): void {
  const { token_type: _, login_key_type, ...values } = TOKEN_INFO[kind](given, 'token_info')
  const secret = login_key_type === 1 ? 'skey' : SECRET_COOKIE[kind]
  const sources: Record<string, string> = {
    openid: 'openid',
    open_appid: 'wy_appid',
    access_token: 'access_token',
    login_key_value: secret,
  }
  for (const [name, value] of Object.entries(values)) {
    if (value !== cookies.get(sources[name] ?? '')) {
      throw new Refusal(RET.NOT_LOGGED_IN, `token_info.${name} differs from the cookies`)
    }
  }
}

/**
 * Hands out the newest secret cookie to a browser that still uses the one before it (see
 * `Logins.renew`).
 */
export function withRenewal(reply: Reply, login: Login, call: Call): Reply {
  const name = SECRET_COOKIE[login.kind]
  const newest = login.secrets.at(-1) ?? ''
  if (call.cookies.get(name) === newest) return reply
  return { ...reply, headers: { ...reply.headers, 'Set-Cookie': [setCookie(name, newest)] } }
}

/** Without a Domain: all hosts of the site are one here, whatever its name. */
export function setCookie(name: string, value: string): string {
  return `${name}=${value}; Path=/`
}
