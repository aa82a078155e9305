// Browsers that are logged in to the site of today, apart from the sessions of the older
// generation: one dies without the other. All of them are held in memory and written through, as
// accounts are.
import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** How somebody logged in: QQ, WeChat, or through the site's own OAuth (webapp.md, section 3). */
export type LoginKind = 'qq' | 'weixin' | 'openid'
export const LOGIN_KINDS: readonly LoginKind[] = ['qq', 'weixin', 'openid']

/** The cookie whose value proves the login. */
export const SECRET_COOKIE = {
  qq: 'p_skey',
  weixin: 'access_token',
  openid: 'uid_key',
} as const satisfies Record<LoginKind, string>

export interface Login {
  readonly id: string
  readonly uin: number
  readonly kind: LoginKind
  /** Those that a browser must send along and that stay as they are. */
  cookies: Record<string, string>
  /** Values of the secret cookie that are good: the newest last, and the one before it. */
  secrets: string[]
  /** The `wyctoken` that is good now; '' before the first. */
  token: string
  tokenMs: number
  expired: boolean
  /** When it was used last, as far as this run of the service knows. */
  usedMs: number
}

export class Logins {
  readonly #all = new Map<string, Login>()
  readonly #bySecret = new Map<string, Login>()
  readonly #save: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync) {
    this.#save = db.prepare(
      `INSERT INTO logins (id, uin, kind, cookies, secrets, token, tokenMs, expired)
       VALUES (:id, :uin, :kind, :cookies, :secrets, :token, :tokenMs, :expired)
       ON CONFLICT DO UPDATE SET cookies = :cookies, secrets = :secrets, token = :token,
       tokenMs = :tokenMs, expired = :expired`,
    )
    this.#delete = db.prepare('DELETE FROM logins WHERE id = ?')
    for (const row of db.prepare('SELECT * FROM logins ORDER BY rowid').all()) {
      this.#keep({
        ...row,
        cookies: JSON.parse(String(row.cookies)),
        secrets: JSON.parse(String(row.secrets)),
        expired: row.expired === 1,
        usedMs: Date.now(),
      } as unknown as Login)
    }
  }

  /** Logins of an account, the oldest first. */
  of(uin: number): Login[] {
    return [...this.#all.values()].filter((login) => login.uin === uin)
  }

  start(uin: number, kind: LoginKind, nowMs: number): Login {
    const login: Login = {
      id: randomUUID(),
      uin,
      kind,
      cookies: COMPANIONS[kind](uin),
      secrets: [newSecret()],
      token: '',
      tokenMs: nowMs,
      expired: false,
      usedMs: nowMs,
    }
    this.save(login)
    return login
  }

  find(kind: LoginKind, secret: string): Login | undefined {
    return this.#bySecret.get(`${kind}:${secret}`)
  }

  /** The WeChat login that this refresh token belongs to. */
  findRefreshable(refreshToken: string): Login | undefined {
    return [...this.#all.values()].find(
      ({ kind, cookies }) => kind === 'weixin' && cookies.refresh_token === refreshToken,
    )
  }

  /** A new secret cookie. The old value stays good until the next renewal. */
  renew(login: Login): void {
    const newest = login.secrets.at(-1) ?? ''
    this.#forgetSecrets(login)
    login.secrets = [newest, newSecret()]
    this.save(login)
  }

  /** New access and refresh tokens for a WeChat login, which lives again; the old ones are dead. */
  refresh(login: Login): void {
    this.#forgetSecrets(login)
    login.secrets = [newSecret()]
    login.cookies = { ...login.cookies, refresh_token: newSecret() }
    login.expired = false
    this.save(login)
  }

  /** A new `wyctoken`; the old one is dead. */
  rotateToken(login: Login, nowMs: number): void {
    login.token = String(randomInt(1e8, 2 ** 31))
    login.tokenMs = nowMs
    this.save(login)
  }

  expire(login: Login): void {
    login.expired = true
    this.save(login)
  }

  revive(login: Login): void {
    login.expired = false
    login.usedMs = Date.now()
    this.save(login)
  }

  end(login: Login): void {
    this.#forgetSecrets(login)
    this.#all.delete(login.id)
    this.#delete.run(login.id)
  }

  save(login: Login): void {
    this.#keep(login)
    const { usedMs: _, cookies, secrets, expired, ...fields } = login
    this.#save.run({
      ...fields,
      cookies: JSON.stringify(cookies),
      secrets: JSON.stringify(secrets),
      expired: expired ? 1 : 0,
    })
  }

  #keep(login: Login): void {
    this.#all.set(login.id, login)
    for (const secret of login.secrets) this.#bySecret.set(`${login.kind}:${secret}`, login)
  }

  #forgetSecrets(login: Login): void {
    for (const secret of login.secrets) this.#bySecret.delete(`${login.kind}:${secret}`)
  }
}

/** All cookies of a login but `wyctoken`, which the site sets later. */
export function cookiesOf(login: Login): Record<string, string> {
  return { ...login.cookies, [SECRET_COOKIE[login.kind]]: login.secrets.at(-1) ?? '' }
}

function newSecret(): string {
  return `${randomBytes(24).toString('base64url')}_`
}

/** Cookies by kind of login, without the secret one (webapp.md, section 3). */
const COMPANIONS: Record<LoginKind, (uin: number) => Record<string, string>> = {
  qq: (uin) => ({
    uin: `o${uin}`,
    p_uin: `o${uin}`,
    skey: `@${randomBytes(6).toString('base64url')}`,
    pt4_token: newSecret(),
  }),
  weixin: (uin) => ({
    wy_uf: '1',
    openid: `o${randomBytes(20).toString('base64url')}`,
    refresh_token: newSecret(),
    wy_appid: WEIXIN_APPID,
    wx_login_ticket: newSecret(),
    wx_uid: String(uin),
  }),
  openid: (uin) => ({
    wy_uf: '2',
    uid: String(uin),
    weiyun_qq_openid: randomBytes(16).toString('hex').toUpperCase(),
    weiyun_qq_access_token: randomBytes(16).toString('hex').toUpperCase(),
    weiyun_qq_refresh_token: randomBytes(16).toString('hex').toUpperCase(),
  }),
}

/** The site's application at WeChat; the real one is in none of the sheets. */
export const WEIXIN_APPID = 'wx0123456789abcdef'
