// Data URLs: signed, good for a while, and for one version of one file. The URL names the content,
// so that a file that is replaced while somebody reads it never turns into a mix of two.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/** What a data URL lets its holder read. */
export interface Link {
  uin: number
  file: string
  sha: string
  expiresMs: number
  /**
   * Who may use it: a holder of the account's session cookies, or of the cookie given out with the
   * link.
   */
  needs: 'session' | 'cookie'
}

/** Name of the cookie that data servers of Weiyun ask for (newcgi.md, section 4). */
export const LINK_COOKIE = 'FTN5K'

export class Links {
  readonly #key: Buffer
  readonly #set: StatementSync
  #epoch: number

  constructor(db: DatabaseSync) {
    const get = db.prepare('SELECT value FROM settings WHERE name = ?')
    this.#set = db.prepare('INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)')
    const stored = get.get('link-key')?.value
    this.#key = stored === undefined ? randomBytes(32) : Buffer.from(String(stored), 'hex')
    if (stored === undefined) this.#set.run('link-key', this.#key.toString('hex'))
    this.#epoch = Number(get.get('link-epoch')?.value ?? 0)
  }

  /** The path segment of a data URL. */
  sign(link: Link): string {
    const { uin, file, sha, expiresMs, needs } = link
    const payload = Buffer.from(JSON.stringify([this.#epoch, uin, file, sha, expiresMs, needs]))
    return payload.toString('hex') + this.#mac('link', payload.toString('hex'))
  }

  /** What this segment stands for; undefined when it is forged, expired or of an earlier epoch. */
  verify(segment: string, nowMs: number): Link | undefined {
    const payload = segment.slice(0, -MAC_CHARS)
    if (!this.#matches('link', payload, segment.slice(-MAC_CHARS))) return undefined
    const [epoch, uin, file, sha, expiresMs, needs] = JSON.parse(
      Buffer.from(payload, 'hex').toString(),
    )
    if (epoch !== this.#epoch || nowMs >= expiresMs) return undefined
    return { uin, file, sha, expiresMs, needs }
  }

  /** Value of the cookie that goes with a segment. */
  cookie(segment: string): string {
    return this.#mac('cookie', segment)
  }

  matchesCookie(segment: string, value: string): boolean {
    return this.#matches('cookie', segment, value)
  }

  /** Ends every link given out so far. */
  expireAll(): void {
    this.#epoch += 1
    this.#set.run('link-epoch', String(this.#epoch))
  }

  #mac(purpose: string, text: string): string {
    return createHmac('sha256', this.#key).update(`${purpose}:${text}`).digest('hex')
  }

  #matches(purpose: string, text: string, mac: string): boolean {
    const expected = Buffer.from(this.#mac(purpose, text))
    const given = Buffer.from(mac)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
}

const MAC_CHARS = 64
