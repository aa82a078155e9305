// Login by WeChat: a code to scan, long polls for its state, and an exchange of what the phone
// confirmed for cookies (protocol notes, webapp 4.2).
import type { Call } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import type { Hosts } from '../hosts.ts'
import type { BrowserCookies } from './browser-cookies.ts'
import type { LoginState, QrCode, QrLogin } from './qr-login.ts'
import { type Browser, type Page, visit } from './visit.ts'

const STATES: Readonly<Record<string, LoginState>> = {
  402: 'expired',
  404: 'scanned',
  405: 'confirmed',
  408: 'waiting',
}

/** What the service's own page hands to WeChat's. */
interface Begun {
  readonly uuid: string
  readonly appid: string
  readonly gtk: string
}

export class WechatLogin implements QrLogin {
  readonly #browser: Browser
  readonly #cookies: BrowserCookies
  #begun: Begun = { uuid: '', appid: '', gtk: '' }
  #code = ''

  constructor(browser: Browser, cookies: BrowserCookies) {
    this.#browser = browser
    this.#cookies = cookies
  }

  async begin(call: Call): Promise<QrCode> {
    const query = { cmd: 'web_login', no_referer: '1', low_login: '1' }
    const page = await this.#get('user', '/newcgi/web_wx_login.fcg', query, call)
    this.#begun = readPage(page)
    const path = `/connect/qrcode/${this.#begun.uuid}`
    const { bytes, url } = await this.#get('wechat', path, {}, call)
    return { image: bytes, url: url.href }
  }

  async poll(call: Call): Promise<LoginState> {
    const query = { uuid: this.#begun.uuid }
    const { bytes } = await this.#get('wechatPoll', '/connect/l/qrconnect', query, call)
    const script = bytes.toString('utf8')
    const [, number = ''] = /wx_errcode\s*=\s*(\d+)/.exec(script) ?? []
    if (number === '')
      throw new WeiyunError('BAD_REPLY', 'WeChat does not tell the state of the code')
    const state = STATES[number]
    if (state === undefined) throw new WeiyunError('REFUSED', 'WeChat refused the login')
    if (state === 'confirmed') this.#code = /wx_code\s*=\s*['"]([^'"]+)/.exec(script)?.[1] ?? ''
    return state
  }

  async finish(call: Call): Promise<void> {
    const { appid, gtk } = this.#begun
    const query = { g_tk: gtk, appid, action: 'web_login', code: this.#code }
    await this.#get('user', '/newcgi/weixin_oauth20.fcg', query, call)
    const site = this.#browser.hosts.url('site', '/')
    for (const name of ['openid', 'access_token']) {
      if (this.#cookies.get(name, site) === undefined) {
        throw new WeiyunError('BAD_REPLY', `the login gave no cookie "${name}"`)
      }
    }
  }

  /** Paths name the code, and whoever has that can ask for its state: they are not logged. */
  async #get(
    host: keyof Hosts,
    path: string,
    query: Record<string, string>,
    call: Call,
  ): Promise<Page> {
    const url = this.#browser.hosts.url(host, path)
    url.search = new URLSearchParams(query).toString()
    const page = await visit(this.#browser, url, call, { isSecret: true })
    if (page.status === 200) return page
    const code = page.status >= 500 ? 'SERVER' : 'BAD_REPLY'
    throw new WeiyunError(code, `login by WeChat: HTTP ${page.status}`)
  }
}

/**
 * The notes tell what the page names, not how it is written: links and scripts are both taken [I].
 */
function readPage({ bytes, url }: Page): Begun {
  const text = `${url.search}\n${bytes.toString('utf8')}`
  const find = (pattern: RegExp, what: string) => {
    const [, value] = pattern.exec(text) ?? []
    if (value !== undefined) return value
    throw new WeiyunError('BAD_REPLY', `the WeChat login page names no ${what}`)
  }
  return {
    uuid: find(/\/connect\/qrcode\/([\w=-]+)/, 'code'),
    appid: find(/\bappid["']?\s*[=:]\s*["']?(\w+)/, 'appid'),
    gtk: find(/\bg_tk["']?\s*[=:]\s*["']?(\d+)/, 'g_tk'),
  }
}
