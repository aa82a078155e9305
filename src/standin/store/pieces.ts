// The bytes of uploads that come in blocks and in any order, one file each in `pieces/`, with the
// list of blocks that are there. Both survive a restart; a block is listed only once it is written.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { constants, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Account } from './accounts.ts'
import { ContentMismatch, type Upload, type Uploads } from './uploads.ts'

/** How a file is cut into blocks, and the SHA-1 state after each; the last is the file's digest. */
export interface Plan {
  blockSize: number
  states: string[]
}

function statements(db: DatabaseSync) {
  return {
    plan: db.prepare('SELECT blockSize, states FROM plans WHERE fileKey = ?'),
    pieces: db.prepare('SELECT block FROM pieces WHERE fileKey = ?'),
    begin: db.prepare('INSERT INTO plans (fileKey, blockSize, states) VALUES (?, ?, ?)'),
    drop: db.prepare('DELETE FROM plans WHERE fileKey = ?'),
    add: db.prepare(
      `INSERT OR IGNORE INTO pieces (fileKey, block)
       SELECT fileKey, :block FROM plans WHERE fileKey = :fileKey AND blockSize = :blockSize`,
    ),
  }
}

export class Pieces {
  readonly #sql: ReturnType<typeof statements>
  readonly #dir: string
  readonly #uploads: Uploads
  /** Files being put together; a piece that is sent twice must not do it twice. */
  readonly #finishing = new Map<string, Promise<void>>()

  constructor(db: DatabaseSync, dataDir: string, uploads: Uploads) {
    this.#sql = statements(db)
    this.#dir = join(dataDir, 'pieces')
    this.#uploads = uploads
  }

  /** Deletes the files of those uploads that are done or gone. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    for (const key of await readdir(this.#dir)) {
      if (this.#uploads.find(key)?.done !== 0) await rm(join(this.#dir, key))
    }
  }

  /** Blocks that came earlier under the same plan stay; under another they count no more. */
  begin(fileKey: string, { blockSize, states }: Plan): void {
    const text = JSON.stringify(states)
    const known = this.#sql.plan.get(fileKey)
    if (known?.blockSize === blockSize && known.states === text) return
    this.#sql.drop.run(fileKey)
    this.#sql.begin.run(fileKey, blockSize, text)
  }

  /** The blocks that are here. */
  arrived(fileKey: string): Set<number> {
    return new Set(this.#sql.pieces.all(fileKey).map(({ block }) => Number(block)))
  }

  /** Stores one block; its bytes have been judged by this plan, which may be another by now. */
  async write(fileKey: string, plan: Plan, block: number, bytes: Buffer): Promise<void> {
    const { blockSize } = plan
    const file = await open(join(this.#dir, fileKey), constants.O_WRONLY | constants.O_CREAT)
    try {
      await file.write(bytes, 0, bytes.length, block * blockSize)
    } finally {
      await file.close()
    }
    this.#sql.add.run({ fileKey, block, blockSize })
  }

  /**
   * Puts a file whose blocks are all here into the tree.
   * @throws ContentMismatch when the whole is not what was announced: none of it counts any more
   * @throws UploadGone when it was deleted meanwhile
   */
  async finish(account: Account, upload: Upload, nowMs: number): Promise<void> {
    const { fileKey } = upload
    let work = this.#finishing.get(fileKey)
    if (work === undefined) {
      work = this.#finish(account, upload, nowMs).finally(() => this.#finishing.delete(fileKey))
      this.#finishing.set(fileKey, work)
    }
    await work
  }

  async #finish(account: Account, upload: Upload, nowMs: number): Promise<void> {
    const { fileKey, size } = upload
    const path = join(this.#dir, fileKey)
    const hashes = { sha: createHash('sha1'), md5: createHash('md5') }
    for await (const piece of createReadStream(path)) {
      hashes.sha.update(piece)
      hashes.md5.update(piece)
    }
    const content = { size, sha: hashes.sha.digest('hex'), md5: hashes.md5.digest('hex') }
    if (content.sha !== upload.sha || content.md5 !== (upload.md5 || content.md5)) {
      this.#sql.drop.run(fileKey)
      throw new ContentMismatch()
    }
    await this.#uploads.finish(account, upload, path, content, nowMs)
    this.#sql.drop.run(fileKey)
  }
}
