// Cookies of a login, which wanders over several hosts: each goes back only where it came from, so
// that the keys of a Tencent login at large end up neither on Weiyun's servers nor in the session
// file.
import { cookiesSet } from '../session.ts'
import { CookieJar } from './cookies.ts'
import type { Cookies } from './visit.ts'

interface Stored {
  readonly name: string
  readonly value: string
  readonly domain: string
  readonly withSubdomains: boolean
}

export class BrowserCookies implements Cookies {
  readonly #stored = new Map<string, Stored>()

  take(setCookie: string | string[] | undefined, { hostname }: URL): void {
    for (const line of [setCookie ?? []].flat()) {
      const named = /;\s*domain=\.?([^;\s]+)/i.exec(line)?.[1]?.toLowerCase()
      const domain = named ?? hostname
      if (!isWithin(hostname, domain)) continue // not theirs to set
      for (const [name, value] of cookiesSet(line)) {
        const withSubdomains = named !== undefined
        this.#stored.set(`${domain} ${name}`, { name, value, domain, withSubdomains })
      }
    }
  }

  headerFor(url: URL): string {
    return this.jarFor(url).header
  }

  get(name: string, url: URL): string | undefined {
    return this.jarFor(url).get(name)
  }

  /** What a browser would send there. */
  jarFor({ hostname }: URL): CookieJar {
    const jar = new CookieJar()
    for (const { name, value, domain, withSubdomains } of this.#stored.values()) {
      if (withSubdomains ? isWithin(hostname, domain) : hostname === domain) jar.set(name, value)
    }
    return jar
  }
}

function isWithin(hostname: string, domain: string): boolean {
  return hostname === domain || hostname.endsWith(`.${domain}`)
}
