// What the account allows, as last heard: limits and quota, kept in the state file so that a mount
// without network knows them. Refreshed in the background when somebody looks; never waited for.
import type { Logger } from '../base/log.ts'
import type { StateFile } from '../cache/state.ts'
import type { Account, Drive, Limits, Quota } from '../weiyun/index.ts'
import { VfsError } from './error.ts'

const META = 'account'
const REFRESH_MS = 60_000
/** Uploads change the figure: it is asked again, but not after each of a thousand. */
const CHANGED_REFRESH_MS = 5_000

/**
 * Until the account was asked once: the smallest that the sheets name (classic.md 4, newcgi.md 7).
 */
const LIMITS: Limits = {
  batchDeleteFilesMax: 10,
  batchDeleteDirsMax: 10,
  batchMoveFilesMax: 10,
  batchMoveDirsMax: 10,
  nameLengthMax: 128,
  depthMax: 25,
  dirEntriesMax: 65_535,
  fileSizeMax: 2 ** 31 - 1,
  downloadsMax: 5,
  uploadsMax: 4,
  listingsMax: 3,
  retriesMax: 3,
}

export class AccountCache {
  readonly #drive: Drive
  readonly #state: StateFile
  readonly #log: Logger
  #account: Account | undefined
  #askedMs = Number.NEGATIVE_INFINITY
  #asking: Promise<Account> | undefined
  #changed = false

  constructor({ drive, state, log }: { drive: Drive; state: StateFile; log: Logger }) {
    this.#drive = drive
    this.#state = state
    this.#log = log
    const saved = state.getMeta(META)
    if (saved !== undefined) this.#account = JSON.parse(saved) as Account
  }

  get limits(): Limits {
    return this.#account?.limits ?? LIMITS
  }

  /** Also asks the service behind, when the figure is old. */
  get quota(): Quota | undefined {
    const goodForMs = this.#changed ? CHANGED_REFRESH_MS : REFRESH_MS
    if (performance.now() - this.#askedMs > goodForMs) this.refresh().catch(() => {})
    return this.#account?.quota
  }

  /** We put so many bytes on the drive: counted at once, and asked for when somebody looks. */
  spent(bytes: number): void {
    this.#changed = true
    const account = this.#account
    if (account === undefined) return
    const { total, used } = account.quota
    this.#account = { ...account, quota: { total, used: Math.min(total, used + bytes) } }
  }

  refresh(): Promise<Account> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<Account> {
    this.#askedMs = performance.now()
    this.#changed = false
    const account = await this.#drive.account()
    if (this.#account !== undefined && this.#account.uin !== account.uin) {
      throw new VfsError('EACCES', 'the session belongs to another account than this cache')
    }
    this.#account = account
    this.#state.setMeta(META, JSON.stringify(account))
    this.#log.debug({ quota: account.quota }, 'account refreshed')
    return account
  }
}
