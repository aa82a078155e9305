// Who the cookies say we are, in the forms in which requests repeat it (protocol notes, webapp 3).
import { WeiyunError } from '../errors.ts'
import type { CookieJar } from './cookies.ts'

/**
 * QQ, WeChat, or one of the logins since about 2020, whose credentials the server reads off the
 * cookies.
 */
export type AccountKind = 'qq' | 'wechat' | 'openid'

export function accountKind(jar: CookieJar): AccountKind {
  const flag = jar.get('wy_uf')
  if (flag === '2') return 'openid'
  if (flag === '1') return 'wechat'
  // Without the flag, as the SDK tells them apart.
  const isWechat = flag === undefined && jar.get('wy_appid') && !jar.get('p_skey')
  return isWechat ? 'wechat' : 'qq'
}

/** The account's number, as text. INVALID when the cookies do not tell it. */
export function uinOf(jar: CookieJar): string {
  for (const name of ['uin', 'p_uin', 'wx_uid', 'uid']) {
    const uin = jar.get(name)?.replace(/^o?0*/, '')
    if (uin) return uin
  }
  throw new WeiyunError('INVALID', 'the cookies of the session name no account (uin)')
}

/** Throws INVALID for cookies that cannot be those of a login, and says what they lack. */
export function checkIdentity(jar: CookieJar): void {
  uinOf(jar)
  const credentials = CREDENTIALS[accountKind(jar)]
  if (credentials.some((name) => jar.get(name))) return
  const [name] = credentials
  throw new WeiyunError('INVALID', `the cookies have no "${name}": they are not those of a login`)
}

/** One of these proves who we are. */
const CREDENTIALS = {
  qq: ['p_skey', 'skey'],
  wechat: ['access_token'],
  openid: ['uid_key', 'weiyun_qq_access_token', 'weiyun_wx_access_token'],
} as const satisfies Record<AccountKind, readonly string[]>

/** `token_info` of a request's head. */
export function tokenInfo(jar: CookieJar): object {
  const kind = accountKind(jar)
  if (kind === 'openid') return { token_type: 3, login_key_type: 1540 }
  if (kind === 'wechat') {
    const accessToken = jar.get('access_token') ?? ''
    return {
      token_type: 1,
      openid: jar.get('openid') ?? '',
      open_appid: jar.get('wy_appid') ?? '',
      access_token: accessToken,
      login_key_type: 192,
      login_key_value: accessToken,
    }
  }
  const pSkey = jar.get('p_skey')
  if (pSkey !== undefined) return { token_type: 0, login_key_type: 27, login_key_value: pSkey }
  // As clients of 2018 did.
  return { token_type: 0, login_key_type: 1, login_key_value: jar.get('skey') ?? '' }
}

/** What else of us the heads of requests tell. */
export function headerIdentity(jar: CookieJar) {
  const wechatId = jar.get('weiyun_wx_openid')
  const kind = accountKind(jar)
  return {
    wx_openid: wechatId ?? (kind === 'wechat' ? jar.get('openid') : undefined) ?? '',
    qq_openid: jar.get('weiyun_qq_openid') ?? '',
    // Of an openid account: by the login behind it [I].
    user_flag: kind === 'wechat' || (kind === 'openid' && wechatId !== undefined) ? 1 : 0,
    env_id: jar.get('env_id') ?? '',
  }
}

/**
 * `g_tk`: the cookie `wyctoken` as it is. Without one, what the server then compares with: the old
 * hash of the account's own credential.
 */
export function gtkOf(jar: CookieJar): string {
  const token = jar.get('wyctoken')
  if (token !== undefined) return token
  return String(oldHash(jar.get('p_skey') ?? jar.get('access_token') ?? '', GTK_START))
}

const GTK_START = 5381

/**
 * The site's hash of a text: from 0 it is `hash33`, which proves that we have the QR code's
 * cookie.
 */
export function oldHash(text: string, start: number): number {
  let hash = start
  // 31 bits at each step: what is above can no longer change them.
  for (let index = 0; index < text.length; index++) {
    hash = (hash * 33 + text.charCodeAt(index)) % 2 ** 31
  }
  return hash
}
