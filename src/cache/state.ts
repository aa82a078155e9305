// The state file: what this mount knows of the drive and what it still owes to the service, in one
// SQLite database. A row is an inode. It says where users of this mount see the entry (parent,
// name), where the service has it (rparent, rname, rid), and which unsaved bytes belong to it
// (staged). The difference between the two places is the journal, with what was begun and not heard
// of again (resume, strays): no list of pending work could disagree with it. Statements are
// synchronous: a caller's row is in the database when a call returns.
import { type FileHandle, open } from 'node:fs/promises'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { crashPoint } from '../base/crash.ts'
import { breakSeal, seal } from './seal.ts'

/** Layout of the tables below; a file with a higher number is refused, an older one migrated. */
const STATE_VERSION = 2
/** SQLite's own mark of whose file it is; here with the version in it once more. */
const APPLICATION_ID = 0x57590000

export type Seconds = readonly [seconds: number, nanoseconds: number]

/** Attributes that the drive has no place for; they live here and survive remounts. */
export interface OwnAttrs {
  mode?: number
  uid?: number
  gid?: number
  atime?: Seconds
  mtime?: Seconds
  /** Base64 by name. */
  xattrs?: Record<string, string>
  /**
   * The shown name is made up, because another entry of the directory is shown under the real one.
   */
  alias?: true
}

/** One row, as it is stored. `null` means "not there". */
export interface InodeRow {
  ino: number
  kind: 'file' | 'dir'
  parent: number | null
  name: string
  rparent: number | null
  rname: string | null
  rid: string | null
  rversion: string | null
  rsize: number | null
  sha1: string | null
  md5: string | null
  rctime: number | null
  rmtime: number | null
  /** Directories: 1 once the children in this table are a complete listing. */
  listed: number
  stamp: string | null
  own: string | null
  /** Staging id of unsaved bytes. */
  staged: string | null
  /** 1 once close(2) or fsync(2) promised the staged bytes to a program. */
  promised: number
  /** Size of the staged content. */
  size: number | null
  /**
   * Milliseconds since 1970 at which the oldest unsaved change was made; null when all is saved.
   */
  changed: number | null
  error: string | null
  resume: string | null
  localonly: number
  /** JSON: inode numbers of the directories to which a move was begun and not heard of again. */
  strays: string | null
}

const COLUMNS = [
  'ino',
  'kind',
  'parent',
  'name',
  'rparent',
  'rname',
  'rid',
  'rversion',
  'rsize',
  'sha1',
  'md5',
  'rctime',
  'rmtime',
  'listed',
  'stamp',
  'own',
  'staged',
  'promised',
  'size',
  'changed',
  'error',
  'resume',
  'localonly',
  'strays',
] as const satisfies (keyof InodeRow)[]

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE inode (
  ino INTEGER PRIMARY KEY, kind TEXT NOT NULL, parent INTEGER, name TEXT NOT NULL,
  rparent INTEGER, rname TEXT, rid TEXT, rversion TEXT, rsize INTEGER, sha1 TEXT, md5 TEXT,
  rctime INTEGER, rmtime INTEGER, listed INTEGER NOT NULL, stamp TEXT, own TEXT,
  staged TEXT, promised INTEGER NOT NULL, size INTEGER, changed INTEGER, error TEXT, resume TEXT,
  localonly INTEGER NOT NULL, strays TEXT
);
CREATE UNIQUE INDEX inode_place ON inode (parent, name) WHERE parent IS NOT NULL;
CREATE INDEX inode_rplace ON inode (rparent, rname) WHERE rparent IS NOT NULL;
CREATE UNIQUE INDEX inode_rid ON inode (rid) WHERE rid IS NOT NULL;
CREATE INDEX inode_changed ON inode (ino) WHERE changed IS NOT NULL;
CREATE INDEX inode_staged ON inode (staged) WHERE staged IS NOT NULL;
CREATE TABLE discard (staged TEXT PRIMARY KEY) WITHOUT ROWID;
`
const TO_VERSION_2 = 'ALTER TABLE inode ADD COLUMN strays TEXT;'

// Not INSERT OR REPLACE: that would answer a clash of places by silently deleting the other row.
const ASSIGN = COLUMNS.filter((column) => column !== 'ino')
  .map((column) => `${column} = excluded.${column}`)
  .join()
const SAVE = `INSERT INTO inode (${COLUMNS.join()}) VALUES (${COLUMNS.map(() => '?').join()})
  ON CONFLICT (ino) DO UPDATE SET ${ASSIGN}`

/** In an index, each of which costs a page when SQLite is told to set its columns, to whatever. */
const INDEXED = ['parent', 'name', 'rparent', 'rname', 'rid', 'staged', 'changed'] as const
const OTHERS = COLUMNS.filter((column) => column !== 'ino' && !isIndexed(column))
const UPDATE = `UPDATE inode SET ${OTHERS.map((column) => `${column} = ?`).join()}
  WHERE ino = ? AND ${INDEXED.map((column) => `${column} IS ?`).join(' AND ')}`

function isIndexed(column: keyof InodeRow): boolean {
  return (INDEXED as readonly string[]).includes(column)
}

/** The file cannot be used by this version, though nothing is wrong with it. */
export class StateError extends Error {
  /** As with the cache directory: written by a later version. */
  readonly code = 'TOO_NEW'
}

export class StateFile {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #statements = new Map<string, StatementSync>()
  #wal: Promise<FileHandle> | undefined

  private constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
  }

  /**
   * Opens or creates. Rejects with StateError for a file of a newer version, and with whatever
   * SQLite throws for a damaged one: the caller sets such a file aside and rebuilds from staging.
   */
  static async open(path: string): Promise<StateFile> {
    const sealed = await breakSeal(path)
    if (sealed === 'broken') throw new Error(`${path} is not as it was closed`)
    const db = new DatabaseSync(path)
    try {
      // Exclusive: one process for one state, and no shared-memory file that a crash could leave
      // behind.
      db.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL',
      )
      // The disk is waited for when the log is brought into the file, and much of it is written
      // over again: seldom, then. 16 MiB.
      db.exec('PRAGMA wal_autocheckpoint = 4000')
      const version = versionOf(db)
      if (version > STATE_VERSION) {
        throw new StateError(`${path} was written by a newer version (${version}) of weiyun-mount`)
      }
      if (version < STATE_VERSION) {
        const change = version === 0 ? SCHEMA : TO_VERSION_2
        db.exec(`BEGIN; ${change} ${MARK} COMMIT`)
      }
      if (sealed === 'none') checkStructure(db, path)
      return new StateFile(db, path)
    } catch (error) {
      db.close()
      throw error
    }
  }

  /**
   * Runs `work` in one transaction: all of it is in the file, or nothing. Within another one it is
   * part of that.
   */
  transaction<T>(work: () => T): T {
    if (this.#db.isTransaction) return work()
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      crashPoint('state:before-commit')
      this.#db.exec('COMMIT')
      crashPoint('state:after-commit')
      return result
    } catch (error) {
      this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /** `isKnown`: there is a row of it, and often the same in every column that has an index. */
  save(row: InodeRow, isKnown: boolean): void {
    const values = (columns: readonly (keyof InodeRow)[]) => columns.map((column) => row[column])
    const isSaved = isKnown && this.#run(UPDATE, ...values(OTHERS), row.ino, ...values(INDEXED))
    if (!isSaved) this.#run(SAVE, ...values(COLUMNS))
  }

  remove(ino: number): void {
    this.#run('DELETE FROM inode WHERE ino = ?', ino)
  }

  get(ino: number): InodeRow | undefined {
    return this.#get('SELECT * FROM inode WHERE ino = ?', ino)
  }

  /** Entries that users of the mount see in a directory. */
  childrenOf(parent: number): InodeRow[] {
    return this.#all('SELECT * FROM inode WHERE parent = ?', parent)
  }

  childNamed(parent: number, name: string): InodeRow | undefined {
    return this.#get('SELECT * FROM inode WHERE parent = ? AND name = ?', parent, name)
  }

  /** Entries that the service has in a directory, wherever users of the mount see them. */
  remoteChildrenOf(rparent: number): InodeRow[] {
    return this.#all('SELECT * FROM inode WHERE rparent = ?', rparent)
  }

  byRemoteId(rid: string): InodeRow | undefined {
    return this.#get('SELECT * FROM inode WHERE rid = ?', rid)
  }

  /** The entry that the service has in a directory under a name. */
  byRemotePlace(rparent: number, rname: string): InodeRow | undefined {
    return this.#get('SELECT * FROM inode WHERE rparent = ? AND rname = ?', rparent, rname)
  }

  /** Ids of all staged files that a row knows. */
  staged(): Set<string> {
    const rows = this.#all<{ staged: string }>('SELECT staged FROM inode WHERE staged IS NOT NULL')
    return new Set(rows.map((row) => row.staged))
  }

  /** Numbers of all inodes that have one. */
  withStaged(): number[] {
    const rows = this.#all<{ ino: number }>('SELECT ino FROM inode WHERE staged IS NOT NULL')
    return rows.map((row) => row.ino)
  }

  /** Every row that differs from what the service has, oldest first. */
  pending(): InodeRow[] {
    return this.#all('SELECT * FROM inode WHERE changed IS NOT NULL ORDER BY changed, ino')
  }

  lastIno(): number {
    return Number(
      this.#get<{ last: number | null }>('SELECT max(ino) AS last FROM inode')?.last ?? 0,
    )
  }

  /**
   * Remembers that staged bytes are not wanted any more, in the transaction that stops wanting
   * them.
   */
  discard(staged: string): void {
    this.#run('INSERT OR IGNORE INTO discard VALUES (?)', staged)
  }

  discarded(): string[] {
    return this.#all<{ staged: string }>('SELECT staged FROM discard').map((row) => row.staged)
  }

  forgetDiscarded(staged: string): void {
    this.#run('DELETE FROM discard WHERE staged = ?', staged)
  }

  getMeta(key: string): string | undefined {
    return this.#get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key)?.value
  }

  removeMeta(key: string): void {
    this.#run('DELETE FROM meta WHERE key = ?', key)
  }

  setMeta(key: string, value: string): void {
    this.#run('INSERT OR REPLACE INTO meta VALUES (?, ?)', key, value)
  }

  /**
   * Resolves once all that was saved before the call would survive a power cut. The write-ahead
   * log is synced through a descriptor of its own, in the thread pool: the event loop never waits
   * for the disk.
   */
  async sync(): Promise<void> {
    this.#wal ??= open(`${this.#path}-wal`, 'r+')
    await (await this.#wal).datasync()
  }

  async close(): Promise<void> {
    await (await this.#wal)?.close()
    this.#statements.clear()
    this.#db.close()
    // Without one the next start looks through the whole structure, as after a crash.
    await seal(this.#path).catch(() => {})
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** True when a row was changed. */
  #run(sql: string, ...values: (string | number | null)[]): boolean {
    return this.#prepare(sql).run(...values).changes > 0
  }

  #get<T = InodeRow>(sql: string, ...values: (string | number | null)[]): T | undefined {
    return this.#prepare(sql).get(...values) as T | undefined
  }

  #all<T = InodeRow>(sql: string, ...values: (string | number | null)[]): T[] {
    return this.#prepare(sql).all(...values) as T[]
  }
}

/**
 * What can be said of a state file from outside, while a mount may use it: the file itself,
 * without the log beside it. `url` is its file: URL. Changes nothing.
 */
export function inspectState(url: URL): 'sound' | 'damaged' | 'too-new' | 'missing' {
  const immutable = new URL(url)
  immutable.searchParams.set('immutable', '1')
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(immutable, { readOnly: true })
    if (versionOf(db) > STATE_VERSION) return 'too-new'
    return db.prepare('PRAGMA quick_check(1)').get()?.quick_check === 'ok' ? 'sound' : 'damaged'
  } catch (error) {
    return (error as { errcode?: number }).errcode === SQLITE_CANTOPEN ? 'missing' : 'damaged'
  } finally {
    db?.close()
  }
}

const MARK = `
  PRAGMA user_version = ${STATE_VERSION};
  PRAGMA application_id = ${APPLICATION_ID + STATE_VERSION};`

/**
 * Throws where the two records of it differ: a flipped bit is no newer version. Files without the
 * second one are new or older.
 */
function versionOf(db: DatabaseSync): number {
  const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
  const id = Number(db.prepare('PRAGMA application_id').get()?.application_id)
  const isSound = id === 0 ? version <= STATE_VERSION : id === APPLICATION_ID + version
  if (!isSound) throw new Error('the version is damaged')
  return version
}

/** Values that somebody will parse: `meta` has JSON, or nothing. */
const ILLEGIBLE = `
SELECT (SELECT count(*) FROM meta WHERE value <> '' AND NOT json_valid(value))
  + (SELECT count(*) FROM inode WHERE own IS NOT NULL AND NOT json_valid(own))
  + (SELECT count(*) FROM inode WHERE resume IS NOT NULL AND NOT json_valid(resume))
  + (SELECT count(*) FROM inode WHERE strays IS NOT NULL AND NOT json_valid(strays))
  + (SELECT count(*) FROM inode WHERE kind NOT IN ('dir', 'file')) AS count
`

/**
 * Looks through the file for what SQLite or we would stumble over: not for what is merely wrong.
 * Indexes are held against their rows (a second for 200,000 of them): one that is wrong is met
 * much later, in the middle of a change, or hides an entry.
 */
function checkStructure(db: DatabaseSync, path: string): void {
  const found = db.prepare('PRAGMA integrity_check(1)').get()?.integrity_check
  if (found !== 'ok') throw new Error(`${path} is damaged: ${String(found)}`)
  const illegible = Number(db.prepare(ILLEGIBLE).get()?.count)
  if (illegible > 0) throw new Error(`${path} is damaged: ${illegible} values cannot be read`)
}

const SQLITE_CANTOPEN = 14
