// Accounts of the local service: who they are, the secrets of their sessions, their limits and
// totals. All of them are held in memory and written through, so that a request costs no query for
// its account.
import { randomBytes, randomInt } from 'node:crypto'
import type { DatabaseSync, StatementSync } from 'node:sqlite'

/**
 * What an account allows; the defaults are the seed's `query_user` reply (classic.md, section 4).
 */
export const DEFAULT_LIMITS = {
  batchDeleteFilesMax: 50,
  batchDeleteDirsMax: 10,
  batchMoveFilesMax: 50,
  batchMoveDirsMax: 10,
  batchRestoreFilesMax: 10,
  batchRestoreDirsMax: 10,
  entriesMax: 200_000,
  dirEntriesMax: 65_535,
  depthMax: 25,
  nameCharsMax: 128,
  pathCharsMax: 1024,
  /** 50 GiB (webapp.md, section 8); the classic generation ends earlier. */
  fileSizeMax: 50 * 1024 ** 3,
  downloadTasksMax: 5,
  uploadTasksMax: 10,
  listTasksMax: 3,
  retriesMax: 3,
}
export type Limits = typeof DEFAULT_LIMITS

const DEFAULT_TOTAL_SPACE = 12_094_627_905_536
const FIRST_UIN = 2_100_000_001

/** Tails of the system directories' keys, the same for everyone (newcgi.md, section 7). */
const ROOT_TAIL = 'f338fdcb41c5dfa52b9ed888'
const MAIN_TAIL = 'f0a739ae12b58dcd423dce4a'

/** Secrets and half-secrets of a session, for every dialect. */
export interface Credentials {
  email: string
  skey: string
  ptcz: string
  pgvInfo: string
  pgvPvid: string
}

/** Counters of an account: `usedSpace` in bytes, the others in live entries. */
export interface Totals {
  usedSpace: number
  fileCount: number
  dirCount: number
}

export interface Account extends Totals {
  readonly uin: number
  readonly nickname: string
  credentials: Credentials
  expired: boolean
  limits: Limits
  totalSpace: number
  readonly ctimeMs: number
  mtimeMs: number
}

export interface NewAccount {
  nickname?: string | undefined
  email?: string | undefined
  totalSpace?: number | undefined
}

/** First 8 characters of every key of an account: its uin, 32 bits little-endian, in hex. */
export function keyPrefix(uin: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(uin)
  return bytes.toString('hex')
}

export const rootKey = (uin: number): string => keyPrefix(uin) + ROOT_TAIL
export const mainKey = (uin: number): string => keyPrefix(uin) + MAIN_TAIL
export const newDirKey = (uin: number): string => keyPrefix(uin) + randomBytes(12).toString('hex')

export class Accounts {
  readonly #byUin = new Map<number, Account>()
  readonly #insert: StatementSync
  readonly #update: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare(
      `INSERT INTO accounts (uin, nickname, credentials, expired, limits, totalSpace, usedSpace,
       fileCount, dirCount, ctimeMs, mtimeMs) VALUES (?, ?, ?, 0, '{}', ?, 0, 0, 0, ?, ?)`,
    )
    this.#update = db.prepare(
      `UPDATE accounts SET credentials = ?, expired = ?, limits = ?, totalSpace = ?, usedSpace = ?,
       fileCount = ?, dirCount = ?, mtimeMs = ? WHERE uin = ?`,
    )
    for (const row of db.prepare('SELECT * FROM accounts ORDER BY uin').all()) {
      const account = {
        ...row,
        credentials: JSON.parse(String(row.credentials)),
        limits: { ...DEFAULT_LIMITS, ...JSON.parse(String(row.limits)) },
        expired: row.expired === 1,
      } as unknown as Account
      this.#byUin.set(account.uin, account)
    }
  }

  all(): Account[] {
    return [...this.#byUin.values()]
  }

  find(uin: number): Account | undefined {
    return this.#byUin.get(uin)
  }

  /** The account made first: the one that callers mean when they name none. */
  first(): Account | undefined {
    return this.all()[0]
  }

  /** Adds an account, without its directories: those are the tree's. */
  add({ nickname, email, totalSpace = DEFAULT_TOTAL_SPACE }: NewAccount, nowMs: number): Account {
    const uin = FIRST_UIN + this.#byUin.size
    const account: Account = {
      uin,
      nickname: nickname ?? `user ${uin}`,
      credentials: newCredentials(email ?? `${uin}@qq.com`),
      expired: false,
      limits: { ...DEFAULT_LIMITS },
      totalSpace,
      usedSpace: 0,
      fileCount: 0,
      dirCount: 0,
      ctimeMs: nowMs,
      mtimeMs: nowMs,
    }
    const secrets = JSON.stringify(account.credentials)
    this.#insert.run(uin, account.nickname, secrets, totalSpace, nowMs, nowMs)
    this.#byUin.set(uin, account)
    return account
  }

  /**
   * Moves the counters by these amounts. The last step of a transaction: a rollback would not undo
   * it.
   */
  count(account: Account, by: Partial<Totals>, nowMs: number): void {
    account.usedSpace += by.usedSpace ?? 0
    account.fileCount += by.fileCount ?? 0
    account.dirCount += by.dirCount ?? 0
    account.mtimeMs = nowMs
    this.save(account)
  }

  /** A new `skey`: whoever holds the old one is logged out. */
  rotate(account: Account): void {
    account.credentials = { ...account.credentials, skey: newSkey() }
    account.expired = false
    this.save(account)
  }

  save(account: Account): void {
    this.#update.run(
      JSON.stringify(account.credentials),
      account.expired ? 1 : 0,
      JSON.stringify(account.limits),
      account.totalSpace,
      account.usedSpace,
      account.fileCount,
      account.dirCount,
      account.mtimeMs,
      account.uin,
    )
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

function newSkey(): string {
  return `@${Array.from({ length: 9 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')}`
}

function newCredentials(email: string): Credentials {
  const digits = () => String(randomInt(1e9, 1e10))
  return {
    email,
    skey: newSkey(),
    ptcz: randomBytes(32).toString('hex'),
    pgvInfo: `ssid=s${digits()}`,
    pgvPvid: digits(),
  }
}
