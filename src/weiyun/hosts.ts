// Where the parts of the service live, and which addresses named in its replies we are willing to
// go to.
import { WeiyunError } from './errors.ts'

/** Base URLs; paths of the protocol are appended to them. */
export interface Hosts {
  /** JSONP commands of the classic dialect. */
  readonly web: string
  /** `/wy_down.fcg`, which answers with the address of a file's bytes. */
  readonly download: string
  /** `/newcgi/...`. */
  readonly user: string
  /** `/getface`. */
  readonly avatar: string
  /** `/disk`, `/webapp/json`, `/api/v3`, `/cgi-bin/logout` of the webapp dialect. */
  readonly site: string
  /** `/ftnup_v2/weiyun`, where the webapp dialect sends files. */
  readonly upload: string
  /** Login by QQ: the page that begins it, and everything after. */
  readonly qqLoginPage: string
  readonly qqLogin: string
  /** Login by WeChat: the QR code, the long poll, and renewal. */
  readonly wechat: string
  readonly wechatPoll: string
  readonly wechatApi: string
}

/**
 * The names that the site uses over TLS (protocol notes, newcgi 1). The first clients used plain
 * http on `web.cgi.weiyun.com`, `download.cgi.weiyun.com` and `user.weiyun.com`; every request
 * carries the session.
 */
export const HOSTS: Hosts = {
  web: 'https://user.weiyun.com/oldcgi',
  download: 'https://user.weiyun.com/download',
  user: 'https://user.weiyun.com',
  avatar: 'https://ssl.ptlogin2.weiyun.com',
  site: 'https://www.weiyun.com',
  upload: 'https://upload.weiyun.com',
  qqLoginPage: 'https://ssl.xui.ptlogin2.weiyun.com',
  qqLogin: 'https://ssl.ptlogin2.weiyun.com',
  wechat: 'https://open.weixin.qq.com',
  wechatPoll: 'https://lp.open.weixin.qq.com',
  wechatApi: 'https://api.weixin.qq.com',
}

/** Data servers by a name that is good for http only; over TLS they have another (newcgi 1). */
const OLD_DATA_SERVER = /^([\w-]+)\.([\w-]+)\.ftn\.qq\.com$/

export interface HostsConfig {
  /** One base URL for every host; the path tells them apart. */
  readonly service?: string | undefined
  readonly hosts?: Partial<Hosts> | undefined
}

export class ServiceHosts {
  readonly #bases: Hosts
  readonly #names: ReadonlySet<string>
  readonly #loopbackOnly: boolean

  constructor({ service, hosts }: HostsConfig) {
    const defaults = service === undefined ? HOSTS : everyHost(service)
    this.#bases = { ...defaults, ...hosts }
    const urls = Object.values(this.#bases).map((base) => parseUrl(base))
    this.#names = new Set(urls.map((url) => url.hostname))
    this.#loopbackOnly = urls.every(isLoopback)
  }

  url(host: keyof Hosts, path: string): URL {
    return new URL(this.#bases[host].replace(/\/+$/, '') + path)
  }

  /** The data server that a reply names by bare host and port: TLS exactly on 443 (classic 1). */
  dataServer(host: string, port: number, path: string): URL {
    return this.named(`${port === 443 ? 'https' : 'http'}://${host}:${port}${path}`)
  }

  /**
   * An address that came in a reply. Only http and https, and a service on this machine cannot
   * send us off it: a test or a demo never reaches the real one.
   */
  named(address: string, base?: URL): URL {
    const url = URL.canParse(address, base?.href) ? new URL(address, base?.href) : undefined
    if (url === undefined || !isHttp(url)) {
      throw new WeiyunError('BAD_REPLY', 'the service named an address that is not http or https')
    }
    if (this.#loopbackOnly && !isLoopback(url)) {
      throw new WeiyunError('BAD_REPLY', `the local service named another machine: ${url.hostname}`)
    }
    const [, rack, area] = OLD_DATA_SERVER.exec(url.hostname) ?? []
    if (url.protocol === 'https:' && rack !== undefined) {
      url.hostname = `${rack}-${area}-ftn.weiyun.com`
    }
    return url
  }

  /**
   * Whether the session's cookies may go there: the service's own hosts, not wherever a reply
   * points.
   */
  isOurs(url: URL): boolean {
    if (this.#names.has(url.hostname)) return true
    return this.#loopbackOnly ? isLoopback(url) : /\.(weiyun|qq)\.com$/.test(url.hostname)
  }
}

function everyHost(service: string): Hosts {
  const entries = Object.keys(HOSTS).map((host) => [host, service] as const)
  return Object.fromEntries(entries) as Record<keyof Hosts, string>
}

function parseUrl(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (url === undefined || !isHttp(url)) {
    throw new WeiyunError('INVALID', `not an http or https URL: ${base}`)
  }
  return url
}

function isHttp(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:'
}

function isLoopback(url: URL): boolean {
  return /^(localhost|\[::1\]|127(\.\d+){3})$/.test(url.hostname)
}
