// The table of files and directories: rows in, rows out, no rules. The rules are in tree.ts.
import type { DatabaseSync } from 'node:sqlite'

/** What is odd about an entry: not listed, a document without bytes, or not to be read. */
export type Mark = '' | 'hidden' | 'document' | 'blocked'

export interface Entry {
  /** Directory key or file id. */
  id: string
  uin: number
  parent: string | null
  kind: 'dir' | 'file'
  name: string
  note: string
  ctimeMs: number
  mtimeMs: number
  /** When it was deleted; null for what was not, even when it lies below a deleted directory. */
  recycledMs: number | null
  childCount: number
  size: number
  sha: string
  md5: string
  ver: number
  /** 0 while the bytes of an upload are missing. */
  complete: 0 | 1
  /** 1 when its bytes are gone although it is listed. */
  dead: 0 | 1
  mark: Mark
}

/** An entry made now: an empty directory or a complete, empty file, unless fields say otherwise. */
export function newEntry(
  fields: Pick<Entry, 'id' | 'uin' | 'parent' | 'kind' | 'name'> & Partial<Entry>,
  nowMs: number,
): Entry {
  return {
    note: '',
    ctimeMs: nowMs,
    mtimeMs: nowMs,
    recycledMs: null,
    childCount: 0,
    size: 0,
    sha: '',
    md5: '',
    ver: 0,
    complete: 1,
    dead: 0,
    mark: '',
    ...fields,
  }
}

/** What lies in a directory tree, its top included; what was deleted from it earlier is not. */
export interface Subtree {
  fileCount: number
  dirCount: number
  /** Bytes of all its files. */
  size: number
  /** Levels of directories: 1 for a directory without any, 0 for a file. */
  levels: number
}

const COLUMNS: (keyof Entry)[] = [
  'id',
  'uin',
  'parent',
  'kind',
  'name',
  'note',
  'ctimeMs',
  'mtimeMs',
  'recycledMs',
  'childCount',
  'size',
  'sha',
  'md5',
  'ver',
  'complete',
  'dead',
  'mark',
]

const BELOW = `WITH RECURSIVE below(id, kind, size, level) AS (
  SELECT id, kind, size, CASE kind WHEN 'dir' THEN 1 ELSE 0 END FROM entries WHERE id = ?
  UNION ALL
  SELECT e.id, e.kind, e.size, below.level + CASE e.kind WHEN 'dir' THEN 1 ELSE 0 END
  FROM below JOIN entries e ON e.parent = below.id AND e.recycledMs IS NULL
  WHERE below.kind = 'dir')`

function statements(db: DatabaseSync) {
  const sets = COLUMNS.map((column) => `${column} = ?`).join(', ')
  return {
    get: db.prepare('SELECT * FROM entries WHERE id = ?'),
    child: db.prepare('SELECT * FROM entries WHERE parent = ? AND name = ? AND recycledMs IS NULL'),
    children: db.prepare('SELECT * FROM entries WHERE parent = ? AND recycledMs IS NULL'),
    recycled: db.prepare('SELECT * FROM entries WHERE uin = ? AND recycledMs IS NOT NULL'),
    insert: db.prepare(
      `INSERT INTO entries (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`,
    ),
    update: db.prepare(`UPDATE entries SET ${sets} WHERE id = ?`),
    touch: db.prepare(
      `UPDATE entries SET mtimeMs = max(?, mtimeMs + 1), childCount = childCount + ? WHERE id = ?`,
    ),
    subtree: db.prepare(
      `${BELOW} SELECT count(*) FILTER (WHERE kind = 'file') AS fileCount,
       count(*) FILTER (WHERE kind = 'dir') AS dirCount, coalesce(sum(size), 0) AS size,
       coalesce(max(level), 0) AS levels FROM below`,
    ),
    eraseUploads: db.prepare(`${BELOW} DELETE FROM uploads WHERE entry IN (SELECT id FROM below)`),
    erase: db.prepare(`${BELOW} DELETE FROM entries WHERE id IN (SELECT id FROM below)`),
  }
}

export class Entries {
  readonly #sql: ReturnType<typeof statements>

  constructor(db: DatabaseSync) {
    this.#sql = statements(db)
  }

  /** The entry of this key or id, deleted or not. */
  get(id: string): Entry | undefined {
    return this.#sql.get.get(id) as unknown as Entry | undefined
  }

  child(parent: string, name: string): Entry | undefined {
    return this.#sql.child.get(parent, name) as unknown as Entry | undefined
  }

  children(parent: string): Entry[] {
    return this.#sql.children.all(parent) as unknown as Entry[]
  }

  recycled(uin: number): Entry[] {
    return this.#sql.recycled.all(uin) as unknown as Entry[]
  }

  insert(entry: Entry): void {
    this.#sql.insert.run(...COLUMNS.map((column) => entry[column]))
  }

  update(entry: Entry): void {
    this.#sql.update.run(...COLUMNS.map((column) => entry[column]), entry.id)
  }

  /**
   * Notes a change inside a directory: its mtime grows with every one, also within one millisecond.
   */
  touch(dir: string, childrenBy: number, nowMs: number): void {
    this.#sql.touch.run(nowMs, childrenBy, dir)
  }

  subtree(id: string): Subtree {
    return this.#sql.subtree.get(id) as unknown as Subtree
  }

  /** Deletes a subtree for good, with the uploads into it. */
  erase(id: string): void {
    this.#sql.eraseUploads.run(id)
    this.#sql.erase.run(id)
  }
}
