// The bytes of uploads that come in blocks and in any order, one file each in `pieces/`, with the
// list of blocks that are there. Both survive a restart; a block is listed only once it is written.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { constants, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Account } from './accounts.ts'
import type { Upload, Uploads } from './uploads.ts'

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
    add: db.prepare('INSERT OR IGNORE INTO pieces (fileKey, block) VALUES (?, ?)'),
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

  plan(fileKey: string): Plan | undefined {
    const row = this.#sql.plan.get(fileKey)
    if (row === undefined) return undefined
    return { blockSize: Number(row.blockSize), states: JSON.parse(String(row.states)) }
  }

  /** The blocks that are here. */
  arrived(fileKey: string): Set<number> {
    return new Set(this.#sql.pieces.all(fileKey).map(({ block }) => Number(block)))
  }

  /** Stores one block; its bytes have been judged. */
  async write(fileKey: string, block: number, offset: number, bytes: Buffer): Promise<void> {
    const file = await open(join(this.#dir, fileKey), constants.O_WRONLY | constants.O_CREAT)
    try {
      await file.write(bytes, 0, bytes.length, offset)
    } finally {
      await file.close()
    }
    this.#sql.add.run(fileKey, block)
  }

  /**
   * Puts a file whose blocks are all here into the tree.
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
    const { fileKey, sha, size } = upload
    const path = join(this.#dir, fileKey)
    // The SHA-1 is proven by the states that every block was judged by.
    const md5 = createHash('md5')
    for await (const piece of createReadStream(path)) md5.update(piece)
    await this.#uploads.finish(account, upload, path, { size, sha, md5: md5.digest('hex') }, nowMs)
    this.#sql.drop.run(fileKey)
  }
}
