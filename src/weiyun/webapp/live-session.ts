// The session while a drive is open: cookies that change with every reply, the token that commands
// carry, and what is done to keep both alive (protocol notes, webapp 3 and 4.2).
import type { Logger } from '../../base/log.ts'
import { Call, type CallSettings } from '../call.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import { integer, isFields, needText } from '../fields.ts'
import type { ServiceHosts } from '../hosts.ts'
import type { Session, WebappSession } from '../session.ts'
import type { TextReply, Transport } from '../transport.ts'
import { CookieJar } from './cookies.ts'
import { accountKind, uinOf } from './identity.ts'
import { type Cookies, visit } from './visit.ts'

/** How often an idle session is shown to be alive. */
export const KEEP_ALIVE_MS = 5 * 60_000

/**
 * A session found dead is not tried again for this long: only a new login helps, and that ends the
 * wait.
 */
const DEAD_MS = 60_000
/**
 * The service may change cookies with every reply; the file is written once for all that come
 * together.
 */
const SAVE_DELAY_MS = 1_000

export interface LiveSessionOptions {
  readonly session: WebappSession
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly settings: () => CallSettings
  readonly log: Logger
  readonly onSession: (session: Session) => void
  readonly keepAliveMs: number
}

/** A request that gave reason to renew the session. */
export interface Refused {
  /** When it went out, by `performance.now()`: what was renewed since is new to it. */
  readonly sentMs: number
  /** The login itself was refused, not only the token. */
  readonly isExpired: boolean
}

export class LiveSession {
  readonly #options: LiveSessionOptions
  readonly #keepAlive: NodeJS.Timeout
  #jar: CookieJar
  #renewal: Promise<void> | undefined
  #renewedMs = Number.NEGATIVE_INFINITY
  #diedMs = Number.NEGATIVE_INFINITY
  #usedMs = performance.now()
  #saving: NodeJS.Timeout | undefined

  constructor(options: LiveSessionOptions) {
    this.#options = options
    this.#jar = new CookieJar(options.session.cookies)
    this.#keepAlive = setInterval(() => this.#stayAlive(), options.keepAliveMs).unref()
  }

  /** To be looked at for each request: a renewal or a new login changes it. */
  get jar(): CookieJar {
    return this.#jar
  }

  get uin(): string {
    return uinOf(this.#jar)
  }

  use(session: WebappSession): void {
    this.#jar = new CookieJar(session.cookies)
    this.#renewal = undefined
    this.#renewedMs = Number.NEGATIVE_INFINITY
    this.#diedMs = Number.NEGATIVE_INFINITY
  }

  /** Takes over the cookies of a reply to a request that was sent with those of `jar`. */
  merge(jar: CookieJar, { headers }: Pick<TextReply, 'headers'>): void {
    this.#usedMs = performance.now()
    // A reply to the session before a new login must not get into that.
    if (jar === this.#jar && jar.merge(headers['set-cookie'])) this.#save()
  }

  /** Asks for a token, for a session that was never used before. */
  async prepare(call: Call): Promise<void> {
    const isNew = this.#renewedMs === Number.NEGATIVE_INFINITY
    if (isNew && this.#jar.get('wyctoken') === undefined) await this.renew(call)
  }

  /** One renewal for all who need it. SESSION_EXPIRED when the cookies are dead. */
  async renew(call: Call, refused?: Refused): Promise<void> {
    if (performance.now() < this.#diedMs + DEAD_MS) throw expired()
    if (refused && refused.sentMs < this.#renewedMs) return
    this.#renewal ??= this.#renew(refused?.isExpired ?? false)
    await call.join(this.#renewal)
  }

  close(): void {
    clearInterval(this.#keepAlive)
    if (this.#saving !== undefined) this.#saveNow()
  }

  async #renew(isExpired: boolean): Promise<void> {
    const jar = this.#jar
    const call = new Call({ priority: 'user' }, this.#options.settings())
    const before = jar.header
    try {
      const hasNewTokens = isExpired && (await this.#renewWechat(jar, call))
      try {
        await this.#visitDisk(jar, call)
      } catch (error) {
        const isLogin = isWeiyunError(error, 'SESSION_EXPIRED')
        if (hasNewTokens || !isLogin || !(await this.#renewWechat(jar, call))) throw error
        await this.#visitDisk(jar, call)
      }
      if (this.#jar === jar) this.#renewedMs = performance.now()
    } catch (error) {
      const isDead = isWeiyunError(error, 'SESSION_EXPIRED') && this.#jar === jar
      if (isDead) this.#diedMs = performance.now()
      throw error
    } finally {
      call.end()
      if (this.#jar === jar) {
        this.#renewal = undefined
        if (jar.header !== before) this.#save()
      }
    }
  }

  /** The page that sets the token. Anybody without a live session is sent away from it. */
  async #visitDisk(jar: CookieJar, call: Call): Promise<void> {
    const { hosts, transport } = this.#options
    const start = hosts.url('site', '/disk')
    const mayHaveThem = (to: URL) => hosts.isOurs(to) && to.protocol === start.protocol
    const cookies: Cookies = {
      headerFor: (to) => (mayHaveThem(to) ? jar.header : ''),
      take(setCookie, from) {
        if (mayHaveThem(from)) jar.merge(setCookie)
      },
    }
    const { status, url } = await visit({ hosts, transport, cookies }, start, call)
    const isThere = url.pathname.replace(/\/$/, '') === start.pathname && url.host === start.host
    if (!isThere || status === 401) throw expired()
    if (status !== 200) {
      const code = status === 403 || status === 429 ? 'THROTTLED' : 'SERVER'
      throw new WeiyunError(code, `the site answered HTTP ${status}`)
    }
  }

  /** False for accounts without a token to renew by. */
  async #renewWechat(jar: CookieJar, call: Call): Promise<boolean> {
    const { transport, hosts } = this.#options
    const refreshToken = jar.get('refresh_token')
    if (accountKind(jar) !== 'wechat' || refreshToken === undefined) return false
    const url = hosts.url('wechatApi', '/sns/oauth2/refresh_token')
    url.search = new URLSearchParams({
      grant_type: 'refresh_token',
      appid: jar.get('wy_appid') ?? '',
      refresh_token: refreshToken,
    }).toString()
    const { bytes } = await transport.fetch({ method: 'GET', url }, call)
    const fields = parseTokens(bytes)
    if (integer(fields, 'errcode')) throw expired()
    for (const name of ['openid', 'access_token', 'refresh_token']) {
      jar.set(name, needText(fields, name))
    }
    return true
  }

  #stayAlive(): void {
    const { keepAliveMs, settings, log } = this.#options
    if (performance.now() < this.#usedMs + keepAliveMs / 2) return
    const call = new Call({ priority: 'background' }, settings())
    this.renew(call)
      .catch((error: unknown) => {
        const failed = error instanceof Error ? error.message : String(error)
        log.warn({ failed }, 'could not keep the session alive')
      })
      .finally(() => call.end())
  }

  #save(): void {
    this.#saving ??= setTimeout(() => this.#saveNow(), SAVE_DELAY_MS).unref()
  }

  #saveNow(): void {
    clearTimeout(this.#saving)
    this.#saving = undefined
    this.#options.onSession({ dialect: 'webapp', cookies: this.#jar.header })
  }
}

function expired(): WeiyunError {
  return new WeiyunError('SESSION_EXPIRED', 'the session is not valid any more')
}

function parseTokens(bytes: Buffer) {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    value = undefined
  }
  if (isFields(value)) return value
  throw new WeiyunError('BAD_REPLY', 'the WeChat service did not answer with JSON')
}
