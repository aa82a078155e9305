// Uploads under way: a session per announced file, its bytes in `partial/<file key>` until the last
// has come and the hashes agree. How much has come is the length of that file, so a restart (or a
// kill) resumes where it stopped.
import { createHash, type Hash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { RET, Refusal } from '../refusal.ts'
import type { Account } from './accounts.ts'
import type { Blobs } from './blobs.ts'
import type { Entries, Entry } from './entries.ts'
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

/** An upload that is being written: how far it is, and its running hashes. */
interface Running {
  received: number
  md5: Hash
  sha1: Hash
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
      `INSERT INTO uploads (fileKey, checkKey, uin, entry, dir, name, size, sha, md5, done,
       startedMs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    finish: db.prepare('UPDATE uploads SET done = 1 WHERE fileKey = ?'),
    prune: db.prepare('DELETE FROM uploads WHERE done = 1 AND startedMs < ?'),
    open: db.prepare('SELECT count(*) AS count FROM uploads WHERE done = 0'),
  }
}

export class Uploads {
  readonly #sql: ReturnType<typeof statements>
  readonly #dir: string
  readonly #blobs: Blobs
  readonly #entries: Entries
  readonly #tree: Tree
  readonly #running = new Map<string, Running>()
  /** One append at a time for each upload, in the order of arrival. */
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(db: DatabaseSync, dataDir: string, blobs: Blobs, entries: Entries, tree: Tree) {
    this.#sql = statements(db)
    this.#dir = join(dataDir, 'partial')
    this.#blobs = blobs
    this.#entries = entries
    this.#tree = tree
  }

  async open(nowMs: number): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    this.#sql.prune.run(nowMs - DONE_KEEP_MS)
    for (const key of await readdir(this.#dir)) {
      if (this.find(key)?.done !== 0) await rm(join(this.#dir, key))
    }
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
  async append(
    account: Account,
    upload: Upload,
    offset: number,
    bytes: Buffer,
    nowMs: number,
  ): Promise<Progress> {
    const key = upload.fileKey
    const turn = (this.#queues.get(key) ?? Promise.resolve()).then(() =>
      this.#append(account, key, offset, bytes, nowMs),
    )
    const settled = turn.catch(() => {})
    this.#queues.set(key, settled)
    try {
      return await turn
    } finally {
      if (this.#queues.get(key) === settled) this.#queues.delete(key)
    }
  }

  async #append(
    account: Account,
    key: string,
    offset: number,
    bytes: Buffer,
    nowMs: number,
  ): Promise<Progress> {
    const upload = this.find(key)
    if (upload === undefined) {
      this.#running.delete(key)
      await rm(this.#partial(key), { force: true })
      throw new UploadGone()
    }
    if (upload.done === 1) return { done: true, next: upload.size }
    const running = await this.#load(key)
    if (offset !== running.received) return { done: false, next: running.received }
    try {
      await appendFile(this.#partial(key), bytes)
    } catch (error) {
      // How much of it was written only the file knows.
      this.#running.delete(key)
      throw error
    }
    running.md5.update(bytes)
    running.sha1.update(bytes)
    running.received += bytes.length
    if (running.received < upload.size) return { done: false, next: running.received }
    await this.#complete(account, upload, running, nowMs)
    return { done: true, next: upload.size }
  }

  async #complete(
    account: Account,
    upload: Upload,
    running: Running,
    nowMs: number,
  ): Promise<void> {
    this.#running.delete(upload.fileKey)
    const content = {
      size: running.received,
      sha: running.sha1.digest('hex'),
      md5: running.md5.digest('hex'),
    }
    const agrees =
      content.size === upload.size &&
      (upload.sha === '' || upload.sha === content.sha) &&
      (upload.md5 === '' || upload.md5 === content.md5)
    if (!agrees) {
      await rm(this.#partial(upload.fileKey))
      throw new ContentMismatch()
    }
    await this.#blobs.adopt(this.#partial(upload.fileKey), content)
    const entry = this.#entries.get(upload.entry)
    if (entry === undefined || !this.#tree.isLive(entry)) throw new UploadGone()
    this.#tree.setContent(account, entry, content, nowMs)
    this.#done(upload)
  }

  /**
   * The running state of an upload; after a restart its hashes are computed from the bytes on disk.
   */
  async #load(key: string): Promise<Running> {
    const known = this.#running.get(key)
    if (known !== undefined) return known
    const running: Running = { received: 0, md5: createHash('md5'), sha1: createHash('sha1') }
    const path = this.#partial(key)
    const { size } = await stat(path).catch(() => ({ size: 0 }))
    if (size > 0) {
      for await (const piece of createReadStream(path)) {
        running.md5.update(piece)
        running.sha1.update(piece)
        running.received += piece.length
      }
    }
    this.#running.set(key, running)
    return running
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
    const { fileKey, checkKey, uin } = upload
    this.#sql.insert.run(
      fileKey,
      checkKey,
      uin,
      entry.id,
      dir.id,
      name,
      size,
      sha,
      md5,
      upload.done,
      nowMs,
    )
    return upload
  }

  #done(upload: Upload): Upload {
    this.#sql.finish.run(upload.fileKey)
    return { ...upload, done: 1 }
  }

  #partial(key: string): string {
    return join(this.#dir, key)
  }
}
