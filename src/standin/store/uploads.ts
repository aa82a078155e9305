// Uploads under way: a session per announced file, from the command that names it until its bytes
// are there (partials.ts) and have the hashes that were announced.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { RET, Refusal } from '../refusal.ts'
import type { Account } from './accounts.ts'
import type { Blobs } from './blobs.ts'
import type { Entries, Entry } from './entries.ts'
import { Partials } from './partials.ts'
import type { Content, Tree } from './tree.ts'

/**
 * Sessions that are done are kept this long, for a client that lost the last reply and sends again.
 */
const DONE_KEEP_MS = 3600 * 1000
/**
 * Largest file taken in one form, which is held in memory; the sheets say only "smaller files" [I].
 */
export const FORM_SIZE_MAX = 128 * 1024 * 1024
/** Lengths of the keys seen on the wire are of this order (vectors). */
const FILE_KEY_BYTES = 20
const CHECK_KEY_BYTES = 160

export interface Upload extends Content {
  /** Hex; names the session. */
  fileKey: string
  /** Hex; a sender proves with it that the upload was announced by a command. */
  checkKey: string
  uin: number
  entry: string
  dir: string
  name: string
  done: 0 | 1
}

export interface Announcement extends Content {
  name: string
  /** What to do about a taken name. */
  onClash: 'rename' | 'overwrite'
}

export interface Announced {
  upload: Upload
  entry: Entry
}

/** What an append came to: `next` is the offset wanted now. */
export interface Progress {
  done: boolean
  next: number
}

/** The bytes that came are not those that were announced. */
export class ContentMismatch extends Error {}
/** The file that the bytes are for is gone. */
export class UploadGone extends Error {}

function statements(db: DatabaseSync) {
  return {
    get: db.prepare('SELECT * FROM uploads WHERE fileKey = ?'),
    same: db.prepare(
      `SELECT * FROM uploads WHERE dir = ? AND name = ? AND sha = ? AND md5 = ? AND size = ?
       AND done = 0 AND sha <> '' ORDER BY startedMs DESC LIMIT 1`,
    ),
    insert: db.prepare(
      `INSERT INTO uploads
       (fileKey, checkKey, uin, entry, dir, name, size, sha, md5, done, startedMs) VALUES
       (:fileKey, :checkKey, :uin, :entry, :dir, :name, :size, :sha, :md5, :done, :startedMs)`,
    ),
    finish: db.prepare('UPDATE uploads SET done = 1 WHERE fileKey = ?'),
    prune: db.prepare('DELETE FROM uploads WHERE done = 1 AND startedMs < ?'),
    open: db.prepare('SELECT count(*) AS count FROM uploads WHERE done = 0'),
  }
}

export class Uploads {
  readonly #sql: ReturnType<typeof statements>
  readonly #partials: Partials
  readonly #blobs: Blobs
  readonly #entries: Entries
  readonly #tree: Tree

  constructor(db: DatabaseSync, dataDir: string, blobs: Blobs, entries: Entries, tree: Tree) {
    this.#sql = statements(db)
    this.#partials = new Partials(join(dataDir, 'partial'))
    this.#blobs = blobs
    this.#entries = entries
    this.#tree = tree
  }

  async open(nowMs: number): Promise<void> {
    this.#sql.prune.run(nowMs - DONE_KEEP_MS)
    await this.#partials.open((key) => this.find(key)?.done === 0)
  }

  find(fileKey: string): Upload | undefined {
    return this.#sql.get.get(fileKey) as unknown as Upload | undefined
  }

  openCount(): number {
    return Number(this.#sql.open.get()?.count)
  }

  /**
   * Announces a file. Content that is here already is in place at once (`done`). Otherwise the
   * entry is listed as broken until the bytes are complete; announcing the same again continues the
   * same upload. An overwritten file keeps its old content until then.
   */
  announce(account: Account, dir: Entry, wanted: Announcement, nowMs: number): Announced {
    const { name, sha, md5, size } = wanted
    const present = this.#isPresent(wanted)
    const before = this.#sql.same.get(dir.id, name, sha, md5, size) as unknown as Upload | undefined
    if (before !== undefined) {
      const entry = this.#entries.get(before.entry)
      if (entry?.recycledMs === null && entry.uin === account.uin) {
        if (!present) return { upload: before, entry }
        return { upload: this.#done(before), entry: this.#fill(account, entry, wanted, nowMs) }
      }
    }
    const entry = this.#place(account, dir, wanted, present, nowMs)
    return { upload: this.#start(account, dir, entry, wanted, present, nowMs), entry }
  }

  /**
   * Takes the bytes at `offset` when they are the next; otherwise only tells which offset is.
   * @throws ContentMismatch when the whole has other hashes than announced: it starts at 0 again
   * @throws UploadGone when the file was deleted meanwhile
   */
  append(
    account: Account,
    fileKey: string,
    offset: number,
    bytes: Buffer,
    nowMs: number,
  ): Promise<Progress> {
    return this.#partials.inTurn(fileKey, async () => {
      const upload = this.find(fileKey)
      if (upload === undefined) {
        await this.#partials.drop(fileKey)
        throw new UploadGone()
      }
      if (upload.done === 1) return { done: true, next: upload.size }
      const next = await this.#partials.append(fileKey, offset, bytes)
      if (next < upload.size) return { done: false, next }
      await this.#complete(account, upload, nowMs)
      return { done: true, next }
    })
  }

  async #complete(account: Account, upload: Upload, nowMs: number): Promise<void> {
    const content = await this.#partials.digest(upload.fileKey)
    const agrees =
      content.size === upload.size &&
      (upload.sha === '' || upload.sha === content.sha) &&
      (upload.md5 === '' || upload.md5 === content.md5)
    if (!agrees) {
      await this.#partials.drop(upload.fileKey)
      throw new ContentMismatch()
    }
    await this.finish(account, upload, this.#partials.path(upload.fileKey), content, nowMs)
  }

  /**
   * Takes over a file that holds exactly the bytes announced.
   * @throws UploadGone when the entry was deleted meanwhile
   */
  async finish(
    account: Account,
    upload: Upload,
    path: string,
    content: Content,
    nowMs: number,
  ): Promise<void> {
    await this.#blobs.adopt(path, content)
    // Read only now: it may have been renamed or deleted while the bytes were on their way.
    const entry = this.#entries.get(upload.entry)
    if (entry === undefined || !this.#tree.isLive(entry)) throw new UploadGone()
    this.#tree.setContent(account, entry, content, nowMs)
    this.#done(upload)
  }

  #isPresent(wanted: Announcement): boolean {
    if (wanted.sha === '') return wanted.size === 0
    if (this.#blobs.has(wanted)) return true
    if (wanted.size === 0 || this.#blobs.md5Of(wanted.sha) !== '') {
      throw new Refusal(RET.WRONG_HASHES, 'SHA-1, MD5 and size do not belong together')
    }
    return false
  }

  /** The entry that the bytes are for: a new one, or the one that will be overwritten. */
  #place(
    account: Account,
    dir: Entry,
    wanted: Announcement,
    present: boolean,
    nowMs: number,
  ): Entry {
    const taken = this.#tree.child(dir, wanted.name)
    if (wanted.onClash === 'overwrite' && taken?.kind === 'file') {
      this.#tree.checkSpace(account, Math.max(0, wanted.size - taken.size))
      return present ? this.#fill(account, taken, wanted, nowMs) : taken
    }
    const name = this.#tree.freeName(account, dir, wanted.name, nowMs)
    const content = present ? this.#content(wanted) : wanted
    const { size, sha, md5 } = content
    return this.#tree.addFile(account, dir, { name, size, sha, md5, complete: present }, nowMs)
  }

  #fill(account: Account, entry: Entry, wanted: Announcement, nowMs: number): Entry {
    return this.#tree.setContent(account, entry, this.#content(wanted), nowMs)
  }

  /**
   * Content that is here, with the hashes that the client may have left out: only an empty file is
   * here without any.
   */
  #content({ size, sha }: Content): Content {
    return sha === '' ? this.#blobs.empty : { size, sha, md5: this.#blobs.md5Of(sha) }
  }

  #start(
    account: Account,
    dir: Entry,
    entry: Entry,
    wanted: Announcement,
    done: boolean,
    nowMs: number,
  ): Upload {
    const { name, size, sha, md5 } = wanted
    const upload: Upload = {
      fileKey: randomBytes(FILE_KEY_BYTES).toString('hex'),
      checkKey: randomBytes(CHECK_KEY_BYTES).toString('hex'),
      uin: account.uin,
      entry: entry.id,
      dir: dir.id,
      name,
      size,
      sha,
      md5,
      done: done ? 1 : 0,
    }
    this.#sql.insert.run({ ...upload, startedMs: nowMs })
    return upload
  }

  #done(upload: Upload): Upload {
    this.#sql.finish.run(upload.fileKey)
    return { ...upload, done: 1 }
  }
}
