// Login by QQ: a code to scan, polls for its state, and a redirect that brings the cookies
// (protocol notes, webapp 4.1).
import type { Call } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import type { Hosts } from '../hosts.ts'
import type { BrowserCookies } from './browser-cookies.ts'
import { oldHash } from './identity.ts'
import type { LoginState, QrCode, QrLogin } from './qr-login.ts'
import { type Browser, type Page, visit } from './visit.ts'

const APPID = '527020901'
const DAID = '372'
const DONE_PAGE = 'https://www.weiyun.com/web/callback/common_qq_login_ok.html?login_succ'
/** Which release of the login page we are [I]. */
const SCRIPT = { js_ver: '23111510', js_type: '1' }

const LOGIN_PAGE = {
  appid: APPID,
  daid: DAID,
  s_url: DONE_PAGE,
  low_login: '1',
  low_login_foreced: '1', // spelled so
  qlogin_auto_login: '1',
  style: '20',
  hide_title: '1',
  target: 'self',
  link_target: 'blank',
  hide_close_icon: '1',
  pt_no_auth: '1',
}

const QR_PLACE = { daid: DAID, pt_3rd_aid: '0', e: '2', l: 'M' }

const STATES: Readonly<Record<string, LoginState>> = {
  0: 'confirmed',
  65: 'expired',
  66: 'waiting',
  67: 'scanned',
}

export class QqLogin implements QrLogin {
  readonly #browser: Browser
  readonly #cookies: BrowserCookies
  #confirmedUrl = ''

  constructor(browser: Browser, cookies: BrowserCookies) {
    this.#browser = browser
    this.#cookies = cookies
  }

  async begin(call: Call): Promise<QrCode> {
    await this.#get('qqLoginPage', '/cgi-bin/xlogin', LOGIN_PAGE, call)
    const image = { s: '3', d: '72', v: '4', t: String(Math.random()) }
    const query = { appid: APPID, ...QR_PLACE, ...image, u1: DONE_PAGE }
    const { bytes } = await this.#get('qqLogin', '/ptqrshow', query, call)
    return { image: bytes }
  }

  async poll(call: Call): Promise<LoginState> {
    const query = {
      u1: DONE_PAGE,
      aid: APPID,
      daid: DAID,
      ptqrtoken: String(oldHash(this.#cookie('qqLogin', 'qrsig'), 0)),
      ptredirect: '0',
      h: '1',
      t: '1',
      g: '1',
      from_ui: '1',
      ptlang: '2052',
      action: `0-0-${Date.now()}`,
      ...SCRIPT,
      login_sig: this.#cookie('qqLoginPage', 'pt_login_sig'),
      pt_uistyle: '40',
      low_login_enable: '1',
      low_login_hour: '720',
    }
    const { bytes } = await this.#get('qqLogin', '/ptqrlogin', query, call)
    const [code = '', , url = '', , message = ''] = callbackArguments(bytes.toString('utf8'))
    const state = STATES[code]
    if (state === undefined) throw new WeiyunError('REFUSED', `QQ refused the login: ${message}`)
    if (state === 'confirmed') this.#confirmedUrl = url
    return state
  }

  async finish(call: Call): Promise<void> {
    const { hosts } = this.#browser
    const url = hosts.named(this.#confirmedUrl)
    if (!hosts.isOurs(url)) throw new WeiyunError('BAD_REPLY', 'QQ names a stranger for its login')
    await visit(this.#browser, url, call, { isSecret: true })
    for (const name of ['uin', 'p_skey']) this.#cookie('site', name)
  }

  #cookie(host: keyof Hosts, name: string): string {
    const value = this.#cookies.get(name, this.#browser.hosts.url(host, '/'))
    if (value === undefined)
      throw new WeiyunError('BAD_REPLY', `the login gave no cookie "${name}"`)
    return value
  }

  async #get(
    host: keyof Hosts,
    path: string,
    query: Record<string, string>,
    call: Call,
  ): Promise<Page> {
    const url = this.#browser.hosts.url(host, path)
    url.search = new URLSearchParams(query).toString()
    const page = await visit(this.#browser, url, call)
    if (page.status === 200) return page
    const code = page.status >= 500 ? 'SERVER' : 'BAD_REPLY'
    throw new WeiyunError(code, `${path}: HTTP ${page.status}`)
  }
}

/** The texts in `ptuiCB('66','0','','0','...', '')`. */
function callbackArguments(script: string): string[] {
  const [, list] = /ptuiCB\((.*)\)/s.exec(script) ?? []
  if (list === undefined)
    throw new WeiyunError('BAD_REPLY', 'QQ does not tell the state of the code')
  return [...list.matchAll(/'((?:[^'\\]|\\.)*)'/g)].map(([, text = '']) =>
    text.replace(/\\(.)/g, '$1'),
  )
}
