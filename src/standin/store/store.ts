// Everything that the local service keeps, in one directory: `metadata.sqlite`, `blobs/`,
// `partial/`, `pieces/`, `sessions/`. Neutral between the dialects: what one writes, the others
// list.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { type Account, Accounts, type NewAccount } from './accounts.ts'
import { Blobs } from './blobs.ts'
import { openDatabase, type Transaction, transactions } from './database.ts'
import { Entries } from './entries.ts'
import { Links } from './links.ts'
import { type LoginKind, Logins } from './logins.ts'
import { Pieces } from './pieces.ts'
import { Tree } from './tree.ts'
import { Uploads } from './uploads.ts'

export class Store {
  readonly dataDir: string
  readonly accounts: Accounts
  readonly logins: Logins
  readonly tree: Tree
  readonly blobs: Blobs
  readonly uploads: Uploads
  readonly pieces: Pieces
  readonly links: Links
  readonly #db: DatabaseSync
  readonly #transaction: Transaction

  private constructor(dataDir: string, db: DatabaseSync) {
    this.dataDir = dataDir
    this.#db = db
    this.#transaction = transactions(db)
    const entries = new Entries(db)
    this.accounts = new Accounts(db)
    this.logins = new Logins(db)
    this.tree = new Tree(entries, this.accounts, this.#transaction)
    this.blobs = new Blobs(db, dataDir)
    this.uploads = new Uploads(db, dataDir, this.blobs, entries, this.tree)
    this.pieces = new Pieces(db, dataDir, this.uploads)
    this.links = new Links(db)
  }

  /** Opens or creates the directory. Refused while another process has it open. */
  static async open(dataDir: string): Promise<Store> {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const db = openDatabase(join(dataDir, 'metadata.sqlite'))
    try {
      const store = new Store(dataDir, db)
      await store.blobs.open()
      await store.uploads.open(Date.now())
      await store.pieces.open()
      return store
    } catch (error) {
      db.close()
      throw error
    }
  }

  /** @param kind how it logs in to the site of today */
  addAccount({ kind = 'qq', ...wanted }: NewAccount & { kind?: LoginKind | undefined }): Account {
    const nowMs = Date.now()
    return this.#transaction(() => {
      const account = this.accounts.add(wanted, nowMs)
      this.tree.addAccount(account, nowMs)
      this.logins.start(account.uin, kind, nowMs)
      return account
    })
  }

  close(): void {
    this.#db.close()
  }
}
