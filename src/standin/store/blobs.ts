// Bytes of files, stored once by content: `blobs/ab/<sha1>`. A blob is written elsewhere and moved
// into place, so what stands under a hash is always whole. Blobs stay when the last file of that
// content goes: the real service knows deleted content by its hash too (seed, "the matching works
// even when you delete the file afterwards").
import { createHash, hash, randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Body } from '../http.ts'
import type { Content } from './tree.ts'

/** Hashed between two turns of the event loop. */
const SLICE_BYTES = 1024 * 1024

export class Blobs {
  /** The content of an empty file, which is always here. */
  readonly empty: Content = { size: 0, sha: hash('sha1', ''), md5: hash('md5', '') }
  readonly #dir: string
  readonly #incoming: string
  readonly #made = new Set<string>()
  /** Seeds of contents that are on no disk, by hash. */
  readonly #pretended = new Map<string, Content & { seed: number }>()
  readonly #select: StatementSync
  readonly #insert: StatementSync
  readonly #countAll: StatementSync

  constructor(db: DatabaseSync, dataDir: string) {
    this.#dir = join(dataDir, 'blobs')
    this.#incoming = join(dataDir, 'incoming')
    this.#select = db.prepare('SELECT md5, size FROM blobs WHERE sha = ?')
    this.#insert = db.prepare('INSERT OR IGNORE INTO blobs (sha, md5, size) VALUES (?, ?, ?)')
    this.#countAll = db.prepare(
      'SELECT count(*) AS count, coalesce(sum(size), 0) AS size FROM blobs',
    )
  }

  /** Prepares the directories. Half-written files of an earlier run go. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    await rm(this.#incoming, { recursive: true, force: true })
    await mkdir(this.#incoming)
    await this.put([])
  }

  /**
   * Whether this content is here, whoever brought it. `md5` may be '' where a dialect does not send
   * it.
   */
  has({ sha, md5, size }: Content): boolean {
    const row = this.#select.get(sha)
    return row !== undefined && row.size === size && (md5 === '' || row.md5 === md5)
  }

  md5Of(sha: string): string {
    return String(this.#select.get(sha)?.md5 ?? '')
  }

  sizeOf(sha: string): number {
    return this.#pretended.get(sha)?.size ?? Number(this.#select.get(sha)?.size ?? 0)
  }

  /** The bytes of [start, end) of a content, for a reply. */
  body(sha: string, start: number, end: number): Body {
    const pretended = this.#pretended.get(sha)
    if (pretended !== undefined) return { seed: pretended.seed, start, size: end - start }
    return { path: this.path(sha), start, size: end - start }
  }

  /** A content of seeded bytes that are never stored, and under hashes that are not theirs. */
  pretend(size: number, seed: number): Content {
    const name = `pretended ${seed} ${size}`
    const content = { size, sha: hash('sha1', name), md5: hash('md5', name) }
    this.#pretended.set(content.sha, { ...content, seed })
    return content
  }

  path(sha: string): string {
    return join(this.#dir, sha.slice(0, 2), sha)
  }

  /** Stores the bytes of `source` and returns what they are. */
  async put(source: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Content> {
    const temp = join(this.#incoming, randomUUID())
    const md5 = createHash('md5')
    const sha1 = createHash('sha1')
    let size = 0
    const file = await open(temp, 'wx')
    try {
      for await (const piece of source) {
        for (let start = 0; start < piece.length; start += SLICE_BYTES) {
          const slice = piece.subarray(start, start + SLICE_BYTES)
          md5.update(slice)
          sha1.update(slice)
          await file.writeFile(slice)
          size += slice.length
          if (start > 0) await nextTurn()
        }
      }
    } finally {
      await file.close()
    }
    const content = { size, sha: sha1.digest('hex'), md5: md5.digest('hex') }
    await this.adopt(temp, content)
    return content
  }

  /** Takes over a file that holds exactly `content`. */
  async adopt(path: string, content: Content): Promise<void> {
    const place = this.path(content.sha)
    const dir = dirname(place)
    if (!this.#made.has(dir)) {
      await mkdir(dir, { recursive: true })
      this.#made.add(dir)
    }
    await rename(path, place)
    this.#insert.run(content.sha, content.md5, content.size)
  }

  totals(): { count: number; size: number } {
    return this.#countAll.get() as { count: number; size: number }
  }
}
