// The bytes of uploads that are not complete, one file each in `partial/`. How much has come is the
// length of that file, so a restart (or a kill) resumes where it stopped.
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Content } from './tree.ts'

/** How far an upload is, and its running hashes. */
interface Running {
  size: number
  md5: Hash
  sha1: Hash
}

export class Partials {
  readonly #dir: string
  readonly #running = new Map<string, Running>()
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Deletes the files of those uploads that are not wanted any more. */
  async open(isWanted: (key: string) => boolean): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    for (const key of await readdir(this.#dir)) {
      if (!isWanted(key)) await this.drop(key)
    }
  }

  path(key: string): string {
    return join(this.#dir, key)
  }

  /** Runs work on one upload after the other, in the order of the calls. */
  async inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#queues.get(key) ?? Promise.resolve()).then(work)
    const settled = turn.catch(() => {})
    this.#queues.set(key, settled)
    try {
      return await turn
    } finally {
      if (this.#queues.get(key) === settled) this.#queues.delete(key)
    }
  }

  /** Takes the bytes when they belong at the end; returns how many there are then. In turn only. */
  async append(key: string, offset: number, bytes: Buffer): Promise<number> {
    const running = await this.#load(key)
    if (offset !== running.size) return running.size
    try {
      await appendFile(this.path(key), bytes)
    } catch (error) {
      // How much of it was written only the file knows.
      this.#running.delete(key)
      throw error
    }
    running.md5.update(bytes)
    running.sha1.update(bytes)
    running.size += bytes.length
    return running.size
  }

  /** What has come so far, as the content of a file; ends the running state. */
  async digest(key: string): Promise<Content> {
    const { size, md5, sha1 } = await this.#load(key)
    this.#running.delete(key)
    return { size, sha: sha1.digest('hex'), md5: md5.digest('hex') }
  }

  async drop(key: string): Promise<void> {
    this.#running.delete(key)
    await rm(this.path(key), { force: true })
  }

  /** After a restart the hashes are computed from the bytes on disk. */
  async #load(key: string): Promise<Running> {
    const known = this.#running.get(key)
    if (known !== undefined) return known
    const running: Running = { size: 0, md5: createHash('md5'), sha1: createHash('sha1') }
    const { size } = await stat(this.path(key)).catch(() => ({ size: 0 }))
    if (size > 0) {
      for await (const piece of createReadStream(this.path(key))) {
        running.md5.update(piece)
        running.sha1.update(piece)
        running.size += piece.length
      }
    }
    this.#running.set(key, running)
    return running
  }
}
