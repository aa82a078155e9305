// The cookies of a webapp session: as text in the session file, as header on the wire, and changed
// by every reply that sets some (protocol notes, webapp 3).
import { WeiyunError } from '../errors.ts'
import { cookiesSet } from '../session.ts'

export class CookieJar {
  readonly #cookies = new Map<string, string>()

  /**
   * From the text of a Cookie header. Of two cookies with one name the first, more specific,
   * counts.
   */
  constructor(header = '') {
    for (const pair of header.split(';')) {
      const equals = pair.indexOf('=')
      const name = pair.slice(0, Math.max(equals, 0)).trim()
      const value = pair.slice(equals + 1).trim()
      if (name !== '' && !this.#cookies.has(name)) this.#cookies.set(name, value)
    }
  }

  /** An empty cookie is none. */
  get(name: string): string | undefined {
    return this.#cookies.get(name) || undefined
  }

  set(name: string, value: string): void {
    this.#cookies.set(name, value)
  }

  delete(name: string): void {
    this.#cookies.delete(name)
  }

  get header(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Takes over what a reply sets. True when that changed anything. */
  merge(setCookie: string | string[] | undefined): boolean {
    let isChanged = false
    for (const [name, value] of cookiesSet(setCookie)) {
      // Anything else could not be sent back as a header.
      if (this.#cookies.get(name) === value || !/^[\x20-\x7e]*$/.test(name + value)) continue
      this.#cookies.set(name, value)
      isChanged = true
    }
    return isChanged
  }
}

/**
 * Cookies that a user took out of a browser: a Cookie header, with or without its name, or a
 * cookies.txt in Netscape's format. Of the latter only what the browser would send to
 * www.weiyun.com. INVALID, without quoting anything, for other text.
 */
export function parsePastedCookies(pasted: string): CookieJar {
  const lines = pasted.split(/\r?\n/).filter((line) => line.trim() !== '')
  const rows = lines.map((line) => line.split('\t')).filter((row) => row.length >= 7)
  if (rows.length > 0) return fromNetscape(rows)
  const [header = '', ...more] = lines
  const text = header.trim().replace(/^cookie:\s*/i, '')
  if (more.length > 0 || !/^[^=;\s]+=/.test(text) || !/^[\x20-\x7e]*$/.test(text)) {
    throw new WeiyunError('INVALID', 'that is neither one Cookie header nor a cookies.txt')
  }
  return new CookieJar(text)
}

/** Domain, with subdomains?, path, secure?, expiry, name, value. */
function fromNetscape(rows: readonly string[][]): CookieJar {
  const jar = new CookieJar()
  for (const [domain = '', , , , , name = '', value = ''] of rows) {
    const host = domain.replace(/^#HttpOnly_/, '').replace(/^\./, '')
    if (host === 'weiyun.com' || host === 'www.weiyun.com') jar.set(name, value.trim())
  }
  if (jar.header === '') throw new WeiyunError('INVALID', 'no cookies of weiyun.com in there')
  return jar
}
