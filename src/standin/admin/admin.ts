// What a test or an operator may do to a running service, as typed methods. Over HTTP:
// endpoint.ts.

import type { Fault } from '../faults.ts'
import type { Counter, JournalEntry } from '../journal.ts'
import type { QrCode, QrCodes, QrState } from '../login/qr-codes.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Controls, Knobs } from '../server.ts'
import { writeSessions } from '../session-files.ts'
import { type Account, DEFAULT_LIMITS, type Limits, type NewAccount } from '../store/accounts.ts'
import type { Mark } from '../store/entries.ts'
import type { Login, LoginKind } from '../store/logins.ts'
import type { Store } from '../store/store.ts'
import { type Bytes, Device, type Listed } from './device.ts'
import { type Dialect, rotate, setExpired } from './sessions.ts'

/** An account by its number; the first one when absent. */
export interface Whose {
  uin?: number | undefined
}

/** Sessions of an account; of all dialects when none is named. */
export interface WhichSessions extends Whose {
  dialect?: Dialect | undefined
}

/** What the phone does with a QR code, and what the code is then. */
const QR_STATES = {
  scan: 'scanned',
  confirm: 'confirmed',
  refuse: 'refused',
  expire: 'expired',
} as const
export type QrAction = keyof typeof QR_STATES
export const QR_ACTIONS = Object.keys(QR_STATES) as QrAction[]

/** A file or directory of an account, by names from the main directory down, joined by `/`. */
export interface Where extends Whose {
  path: string
}

export interface AccountSnapshot {
  uin: number
  nickname: string
  expired: boolean
  totalSpace: number
  usedSpace: number
  fileCount: number
  dirCount: number
  limits: Limits
}

export interface Snapshot {
  accounts: AccountSnapshot[]
  blobs: { count: number; size: number }
  openUploads: number
}

type Loose<T> = { [K in keyof T]?: T[K] | undefined }

export class Admin {
  readonly #store: Store
  readonly #controls: Controls
  readonly #codes: QrCodes

  constructor(store: Store, controls: Controls, codes: QrCodes) {
    this.#store = store
    this.#controls = controls
    this.#codes = codes
  }

  /** Requests after `since`, oldest first. */
  journal(since = 0): JournalEntry[] {
    return this.#controls.journal.entries(since)
  }

  /** Forgets the journal and the counters. */
  clearJournal(): void {
    this.#controls.journal.clear()
  }

  /** Sums by name of request. */
  counters(): Record<string, Counter> {
    return this.#controls.journal.counters()
  }

  knobs(): Knobs {
    return { ...this.#controls.knobs }
  }

  setKnobs(knobs: Loose<Knobs>): void {
    assign(this.#controls.knobs, knobs)
  }

  faults(): (Fault & { hits: number })[] {
    return this.#controls.faults.list()
  }

  /** Replaces the fault rules; the first that hits a request counts. */
  setFaults(faults: readonly Fault[]): void {
    this.#controls.faults.set(faults)
  }

  /**
   * Makes these commands answer `ret` (190012, invalid command, when absent) and all others work
   * again.
   */
  disable(commands: readonly string[], ret: number = RET.BAD_COMMAND): void {
    this.#controls.disabled.clear()
    for (const name of commands) this.#controls.disabled.set(name, ret)
  }

  /** @param account its `kind` is how it logs in to the webapp dialect, 'qq' when absent */
  async addAccount(
    account: NewAccount & { kind?: LoginKind | undefined } = {},
  ): Promise<{ uin: number; sessions: Record<string, string> }> {
    const { uin } = this.#store.addAccount(account)
    return { uin, sessions: await this.sessions({ uin }) }
  }

  /** Writes an account's session files; returns their paths by dialect. */
  sessions(whose: Whose = {}): Promise<Record<string, string>> {
    return writeSessions(this.#store, this.#account(whose))
  }

  /** Ends sessions until they are revived. */
  expireSession({ uin, dialect }: WhichSessions = {}): void {
    setExpired(this.#store, this.#account({ uin }), dialect, true)
  }

  /** The same sessions work again. */
  reviveSession({ uin, dialect }: WhichSessions = {}): void {
    setExpired(this.#store, this.#account({ uin }), dialect, false)
  }

  /** Ends sessions for good and makes new ones; their files are written over the old ones. */
  rotateSession({ uin, dialect }: WhichSessions = {}): Promise<Record<string, string>> {
    rotate(this.#store, this.#account({ uin }), dialect)
    return this.sessions({ uin })
  }

  /** Gives browsers of the webapp dialect a new secret cookie with their next reply. */
  renewCookies(whose: Whose = {}): void {
    for (const login of this.#logins(whose)) this.#store.logins.renew(login)
  }

  /** Every `wyctoken` given out to the account so far is answered with 403. */
  rotateTokens(whose: Whose = {}): void {
    for (const login of this.#logins(whose)) this.#store.logins.rotateToken(login, Date.now())
  }

  /**
   * Plays the phone in front of the QR code that was shown last: scans it, confirms the login of
   * an account, refuses it, or lets it lapse.
   */
  login({ action, uin }: Whose & { action: QrAction }): { kind: QrCode['kind']; state: QrState } {
    const code = this.#codes.pending()
    if (code === undefined) throw new Refusal(RET.BAD_PARAMETER, 'no QR code is waiting')
    this.#codes.set(code, QR_STATES[action], this.#account({ uin }).uin)
    return { kind: code.kind, state: code.state }
  }

  /** Every data URL given out so far answers 403 from now on. */
  expireUrls(): void {
    this.#store.links.expireAll()
  }

  setLimits({ uin, ...limits }: Whose & Loose<Limits>): void {
    const account = this.#account({ uin })
    assign(account.limits, limits)
    this.#store.accounts.save(account)
  }

  setQuota({ uin, totalSpace }: Whose & { totalSpace: number }): void {
    const account = this.#account({ uin })
    account.totalSpace = totalSpace
    this.#store.accounts.save(account)
  }

  put({ uin, path, ...bytes }: Where & Bytes): Promise<Listed> {
    return this.#device({ uin }).put(path, bytes)
  }

  pretend({ uin, path, size, seed }: Where & { size: number; seed: number }): Listed {
    return this.#device({ uin }).pretend(path, size, seed)
  }

  replace({ uin, path, ...bytes }: Where & Bytes): Promise<Listed> {
    return this.#device({ uin }).replace(path, bytes)
  }

  breakOff({ uin, path, size }: Where & { size: number }): Listed {
    return this.#device({ uin }).breakOff(path, size)
  }

  insert({
    uin,
    dir,
    name,
    bytes,
  }: Whose & { dir: string; name: string; bytes?: Bytes | undefined }) {
    return this.#device({ uin }).insert(dir, name, bytes)
  }

  fill({
    uin,
    path,
    count,
    size = 0,
    seed = 1,
    prefix = 'file-',
  }: Where & { count: number } & Loose<{ size: number; seed: number; prefix: string }>) {
    return this.#device({ uin }).fill(path, { count, size, seed, prefix })
  }

  mkdir({ uin, path }: Where): Listed {
    return this.#device({ uin }).mkdir(path)
  }

  rename({ uin, path, name }: Where & { name: string }): void {
    this.#device({ uin }).rename(path, name)
  }

  move({ uin, path, to }: Where & { to: string }): void {
    this.#device({ uin }).move(path, to)
  }

  remove({ uin, path }: Where): void {
    this.#device({ uin }).remove(path)
  }

  kill({ uin, path }: Where): void {
    this.#device({ uin }).kill(path)
  }

  /** Makes an entry odd in the webapp dialect, or ordinary again with ''. */
  mark({ uin, path, mark }: Where & { mark: Mark }): void {
    this.#device({ uin }).mark(path, mark)
  }

  tree({ uin, path = '' }: Whose & { path?: string | undefined } = {}): Listed[] {
    return this.#device({ uin }).list(path)
  }

  read({ uin, path }: Where): Promise<Buffer> {
    return this.#device({ uin }).read(path)
  }

  snapshot(): Snapshot {
    return {
      accounts: this.#store.accounts.all().map((account) => ({
        uin: account.uin,
        nickname: account.nickname,
        expired: account.expired,
        totalSpace: account.totalSpace,
        usedSpace: account.usedSpace,
        fileCount: account.fileCount,
        dirCount: account.dirCount,
        limits: { ...account.limits },
      })),
      blobs: this.#store.blobs.totals(),
      openUploads: this.#store.uploads.openCount(),
    }
  }

  #logins(whose: Whose): Login[] {
    return this.#store.logins.of(this.#account(whose).uin)
  }

  #device(whose: Whose): Device {
    return new Device(this.#store, this.#account(whose))
  }

  #account({ uin }: Whose): Account {
    const { accounts } = this.#store
    const account = uin === undefined ? accounts.first() : accounts.find(uin)
    if (account === undefined) throw new Refusal(RET.BAD_UIN, `no account ${uin}`)
    return account
  }
}

/** Names of the limits that `setLimits` takes. */
export const LIMIT_NAMES = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]

function assign<T extends object>(target: T, changes: Loose<T>): void {
  for (const [name, value] of Object.entries(changes)) {
    if (value !== undefined) Object.assign(target, { [name]: value })
  }
}
