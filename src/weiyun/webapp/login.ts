// Login with a QR code that the user scans with a phone, by QQ or by WeChat, and logout (protocol
// notes, webapp 4). Who calls decides how to show the code and the states.
import { type Logger, silentLogger } from '../../base/log.ts'
import { Call, retry } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import { type HostsConfig, ServiceHosts } from '../hosts.ts'
import type { WebappSession } from '../session.ts'
import { Transport } from '../transport.ts'
import { BrowserCookies } from './browser-cookies.ts'
import { CookieJar, parsePastedCookies } from './cookies.ts'
import { type AccountKind, accountKind, checkIdentity } from './identity.ts'
import { QqLogin } from './login-qq.ts'
import { WechatLogin } from './login-wechat.ts'
import type { LoginState, QrCode, QrLogin } from './qr-login.ts'
import { type Browser, visit } from './visit.ts'

export interface LoginConfig extends HostsConfig {
  /** Awaited before the first state is told. */
  readonly onCode: (code: QrCode) => void | Promise<void>
  /** Called when the state is another than before. */
  readonly onState: (state: LoginState) => void
  readonly signal?: AbortSignal
  readonly log?: Logger
  /** How often the service is asked for the state, 1,500 by default. */
  readonly pollMs?: number
  /** Time without an answer after which a request fails. WeChat's own polls last half a minute. */
  readonly timeoutMs?: number
}

/** Codes live for minutes: after so many of them nobody is there. */
const CODES_MAX = 5

/**
 * Resolves with the session once the user has confirmed. REFUSED when the user, or the service,
 * said no; TIMEOUT when nobody scanned; BAD_REPLY when the pages are not as documented.
 */
export async function loginByQr(
  way: 'qq' | 'wechat',
  { onCode, onState, pollMs = 1_500, ...config }: LoginConfig,
): Promise<WebappSession> {
  const { signal, timeoutMs = 60_000 } = config
  return withBrowser(config, timeoutMs, async (browser, cookies) => {
    const call = new Call(
      { priority: 'background', ...(signal && { signal }) },
      { timeoutMs, retriesMax: 2 },
    )
    try {
      const login = way === 'qq' ? new QqLogin(browser, cookies) : new WechatLogin(browser, cookies)
      await scan(login, call, { onCode, onState, pollMs })
      await retry(call, () => login.finish(call))
      const site = browser.hosts.url('site', '/disk')
      await retry(call, () => visit(browser, site, call))
      return { dialect: 'webapp', cookies: cookies.headerFor(site) }
    } finally {
      call.end()
    }
  })
}

/**
 * A session from cookies that the user took out of a browser. INVALID when they are not those of a
 * login.
 */
export function sessionFromPaste(pasted: string): WebappSession {
  const jar = parsePastedCookies(pasted)
  checkIdentity(jar)
  return { dialect: 'webapp', cookies: jar.header }
}

/** How the account logs in, which decides how long its sessions last. */
export function accountKindOf({ cookies }: WebappSession): AccountKind {
  return accountKind(new CookieJar(cookies))
}

/** Tells the service that the session is over. */
export async function logout(
  session: WebappSession,
  { timeoutMs = 10_000, ...config }: HostsConfig & { log?: Logger; timeoutMs?: number } = {},
): Promise<void> {
  await withBrowser(config, timeoutMs, async ({ transport, hosts }) => {
    const call = new Call({}, { timeoutMs, retriesMax: 1 })
    const url = hosts.url('site', '/cgi-bin/logout')
    const headers = { cookie: new CookieJar(session.cookies).header }
    try {
      const { status } = await retry(call, () =>
        transport.fetch({ method: 'GET', url, headers }, call),
      )
      if (status >= 400) throw new WeiyunError('SERVER', `logout: HTTP ${status}`)
    } finally {
      call.end()
    }
  })
}

async function scan(
  login: QrLogin,
  call: Call,
  { onCode, onState, pollMs }: Required<Pick<LoginConfig, 'onCode' | 'onState' | 'pollMs'>>,
): Promise<void> {
  for (let codes = 0; codes < CODES_MAX; codes++) {
    await onCode(await retry(call, () => login.begin(call)))
    let state: LoginState | undefined
    do {
      if (state !== undefined) await call.sleep(pollMs)
      const next = await retry(call, () => login.poll(call))
      if (next !== state) onState(next)
      state = next
    } while (state === 'waiting' || state === 'scanned')
    if (state === 'confirmed') return
  }
  throw new WeiyunError('TIMEOUT', 'nobody scanned the code')
}

async function withBrowser<T>(
  config: HostsConfig & { readonly log?: Logger },
  timeoutMs: number,
  work: (browser: Browser, cookies: BrowserCookies) => Promise<T>,
): Promise<T> {
  const transport = new Transport({ log: config.log ?? silentLogger, timeoutMs })
  const cookies = new BrowserCookies()
  try {
    return await work({ transport, hosts: new ServiceHosts(config), cookies }, cookies)
  } finally {
    await transport.close()
  }
}
