// The metadata of the local service: one SQLite file, its tables, and transactions. Bytes are in
// blobs.ts.
import { DatabaseSync } from 'node:sqlite'

/** Bump when the tables change: an older data directory is refused instead of misread. */
const SCHEMA_VERSION = 2

const SCHEMA = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE accounts (
  uin INTEGER PRIMARY KEY,
  nickname TEXT NOT NULL,
  credentials TEXT NOT NULL,      -- JSON, see Credentials
  expired INTEGER NOT NULL,       -- 1: the session is dead until it is revived or rotated
  limits TEXT NOT NULL,           -- JSON, see Limits
  totalSpace INTEGER NOT NULL,
  usedSpace INTEGER NOT NULL,     -- files in the recycle bin count, as on the real service
  fileCount INTEGER NOT NULL,     -- live entries only
  dirCount INTEGER NOT NULL,
  ctimeMs INTEGER NOT NULL,
  mtimeMs INTEGER NOT NULL
) STRICT;

-- Files and directories together, so that siblings clash whatever they are [I].
CREATE TABLE entries (
  id TEXT PRIMARY KEY,            -- directory key or file id
  uin INTEGER NOT NULL,
  parent TEXT,                    -- NULL for the root
  kind TEXT NOT NULL,             -- 'dir' or 'file'
  name TEXT NOT NULL,
  note TEXT NOT NULL,
  ctimeMs INTEGER NOT NULL,
  mtimeMs INTEGER NOT NULL,
  recycledMs INTEGER,             -- set on what was deleted itself, not on what lies below it
  childCount INTEGER NOT NULL,
  size INTEGER NOT NULL,
  sha TEXT NOT NULL,
  md5 TEXT NOT NULL,
  ver INTEGER NOT NULL,
  complete INTEGER NOT NULL,      -- 0: an upload that has not arrived
  dead INTEGER NOT NULL,          -- 1: listed, but its bytes are gone
  mark TEXT NOT NULL              -- see Mark in entries.ts
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entries_live ON entries (parent, name) WHERE recycledMs IS NULL;
CREATE INDEX entries_recycled ON entries (uin, recycledMs) WHERE recycledMs IS NOT NULL;

CREATE TABLE blobs (
  sha TEXT PRIMARY KEY,
  md5 TEXT NOT NULL,
  size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
  fileKey TEXT PRIMARY KEY,
  checkKey TEXT NOT NULL,
  uin INTEGER NOT NULL,
  entry TEXT NOT NULL,            -- the file that the bytes are for
  dir TEXT NOT NULL,
  name TEXT NOT NULL,             -- as asked for, which the entry's may differ from
  size INTEGER NOT NULL,
  sha TEXT NOT NULL,              -- '' when the client did not say
  md5 TEXT NOT NULL,
  done INTEGER NOT NULL,
  startedMs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_name ON uploads (dir, name);
CREATE INDEX uploads_entry ON uploads (entry);

-- Uploads that come in pieces, in any order: how they are cut, and which blocks are here.
CREATE TABLE plans (
  fileKey TEXT PRIMARY KEY REFERENCES uploads ON DELETE CASCADE,
  blockSize INTEGER NOT NULL,
  states TEXT NOT NULL            -- JSON: SHA-1 state after each block, the digest last
) STRICT, WITHOUT ROWID;
CREATE TABLE pieces (
  fileKey TEXT NOT NULL REFERENCES plans ON DELETE CASCADE,
  block INTEGER NOT NULL,
  PRIMARY KEY (fileKey, block)
) STRICT, WITHOUT ROWID;

-- Browsers that are logged in to the site of today; the older generation's sessions are accounts'.
CREATE TABLE logins (
  id TEXT PRIMARY KEY,
  uin INTEGER NOT NULL,
  kind TEXT NOT NULL,             -- 'qq', 'weixin' or 'openid'
  cookies TEXT NOT NULL,          -- JSON: those that stay as they are
  secrets TEXT NOT NULL,          -- JSON: values of the cookie that proves it, the newest last
  token TEXT NOT NULL,            -- wyctoken, '' before the first
  tokenMs INTEGER NOT NULL,
  expired INTEGER NOT NULL
) STRICT;
`

/**
 * Opens or creates the file. A second process on the same file is refused by SQLite ("database is
 * locked").
 */
export function openDatabase(file: string): DatabaseSync {
  const db = new DatabaseSync(file)
  // A power cut may cost this service its data; a killed process may not.
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
  const version = db.prepare('PRAGMA user_version').get()?.user_version
  if (version === 0) {
    db.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
  } else if (version !== SCHEMA_VERSION) {
    db.close()
    throw new Error(`local service data of version ${version}, this program has ${SCHEMA_VERSION}`)
  }
  return db
}

/** Runs `work` in one transaction; transactions do not nest. */
export type Transaction = <T>(work: () => T) => T

export function transactions(db: DatabaseSync): Transaction {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  return (work) => {
    begin.run()
    try {
      const result = work()
      commit.run()
      return result
    } catch (error) {
      rollback.run()
      throw error
    }
  }
}
