// The index of the block cache: which blocks are on disk, with their checksums, in one SQLite file.
// Losing it only empties the cache, so commits are not synced one by one; but it never lies about a
// segment that it knows, beyond what the checksums catch.
import { rm } from 'node:fs/promises'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Segment, SegmentRow } from './segment.ts'

/** Layout of the tables below. Any other number: the index is dropped and made anew. */
const INDEX_VERSION = 1

const SCHEMA = `
  CREATE TABLE segment (
    content TEXT NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL, bytes INTEGER NOT NULL,
    used INTEGER NOT NULL, states BLOB NOT NULL, crcs BLOB NOT NULL, PRIMARY KEY (content, number));
  CREATE INDEX segment_by_use ON segment (used, bytes);
  CREATE TABLE content (
    content TEXT PRIMARY KEY,
    verified INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE shutdown (clean INTEGER NOT NULL);
  INSERT INTO shutdown VALUES (0);
  PRAGMA user_version = ${INDEX_VERSION};`

export type Flag = 'verified' | 'pinned'

/** An index, and what it said when it was opened. */
export interface OpenedIndex {
  index: BlockIndex
  /** Room taken by all segments, in bytes, and their number. */
  bytes: number
  files: number
  /** The highest `used` of all. */
  newest: number
  /**
   * False when the index is new, or when the last process did not close it: files may have been
   * left out.
   */
  complete: boolean
}

export class BlockIndex {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #statements = new Map<string, StatementSync>()

  private constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
  }

  /** Opens the index at `path`, or makes a new one where there is none that can be used. */
  static async open(path: string, onLost: (error: unknown) => void): Promise<OpenedIndex> {
    try {
      return BlockIndex.#openOnce(path)
    } catch (error) {
      onLost(error)
      await removeDatabase(path)
      return BlockIndex.#openOnce(path)
    }
  }

  static #openOnce(path: string): OpenedIndex {
    const db = new DatabaseSync(path)
    try {
      // Exclusive: the cache directory has its own lock, and these would be taken for every row.
      db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL')
      db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000')
      const index = new BlockIndex(db, path)
      const version = index.#number('PRAGMA user_version')
      if (version === 0) db.exec(`BEGIN; ${SCHEMA} COMMIT`)
      else if (version !== INDEX_VERSION) throw new Error(`index of version ${version}`)
      const complete = index.#number('SELECT clean FROM shutdown') === 1
      db.exec('UPDATE shutdown SET clean = 0')
      const sum = index
        .#prepare('SELECT sum(bytes) AS bytes, count(*) AS files, max(used) AS newest FROM segment')
        .get()
      const { bytes, files, newest } = sum as Record<string, number | null>
      return { index, complete, bytes: bytes ?? 0, files: files ?? 0, newest: newest ?? 0 }
    } catch (error) {
      db.close()
      throw error
    }
  }

  load(content: string, number: number): SegmentRow | undefined {
    const select = 'SELECT * FROM segment WHERE content = ? AND number = ?'
    return this.#prepare(select).get(content, number) as SegmentRow | undefined
  }

  /** Numbers of the segments of a content. */
  numbers(content: string): number[] {
    const rows = this.#prepare('SELECT number FROM segment WHERE content = ?').all(content)
    return rows.map(({ number }) => Number(number))
  }

  /** The segments used longest ago that are not pinned, oldest first. */
  oldest(limit: number): { content: string; number: number }[] {
    const rows = this.#prepare(
      `SELECT content, number FROM segment
       WHERE content NOT IN (SELECT content FROM content WHERE pinned) ORDER BY used LIMIT ?`,
    ).all(limit)
    return rows as { content: string; number: number }[]
  }

  /** Writes what changed of the segments, in one transaction. */
  save(segments: Iterable<Segment>): void {
    const touch = this.#prepare('UPDATE segment SET used = ? WHERE content = ? AND number = ?')
    const write = this.#prepare('INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)')
    this.#db.exec('BEGIN')
    try {
      for (const segment of segments) {
        const { content, number, start, bytes, used, states, crcs } = segment.toRow()
        if (segment.dirty) write.run(content, number, start, bytes, used, states, crcs)
        else touch.run(used, content, number)
      }
      this.#db.exec('COMMIT')
    } catch (error) {
      // Some failures have undone it already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /** Forgets a segment, and before it that the content was ever verified. */
  remove(content: string, number: number): void {
    this.setFlag(content, 'verified', false)
    this.#prepare('DELETE FROM segment WHERE content = ? AND number = ?').run(content, number)
  }

  /** Room taken by pinned segments. */
  pinnedBytes(): number {
    return this.#number(
      `SELECT coalesce(sum(bytes), 0) FROM segment
       WHERE content IN (SELECT content FROM content WHERE pinned)`,
    )
  }

  flag(content: string, flag: Flag): boolean {
    const select = `SELECT ${flag} AS flag FROM content WHERE content = ?`
    return this.#prepare(select).get(content)?.flag === 1
  }

  setFlag(content: string, flag: Flag, value: boolean): void {
    if (value) {
      const insert = `INSERT INTO content (content, ${flag}) VALUES (?, 1)`
      this.#prepare(`${insert} ON CONFLICT DO UPDATE SET ${flag} = 1`).run(content)
    } else {
      this.#prepare(`UPDATE content SET ${flag} = 0 WHERE content = ? AND ${flag}`).run(content)
      const unused = 'DELETE FROM content WHERE content = ? AND NOT verified AND NOT pinned'
      this.#prepare(unused).run(content)
    }
  }

  close(): void {
    this.#db.exec('UPDATE shutdown SET clean = 1')
    this.#db.close()
  }

  /** Gives up an index that turned out damaged, so that the next process starts with a new one. */
  async discard(): Promise<void> {
    this.#db.close()
    await removeDatabase(this.#path)
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #number(sql: string): number {
    return Number(Object.values(this.#prepare(sql).get() ?? {})[0])
  }
}

/** True when an error says that the file itself is unusable (SQLITE_CORRUPT, SQLITE_NOTADB). */
export function isDamage(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  return errcode !== undefined && [11, 26].includes(errcode & 0xff)
}

async function removeDatabase(path: string): Promise<void> {
  await Promise.all(['', '-wal', '-shm'].map((end) => rm(path + end, { force: true })))
}
