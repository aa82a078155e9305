// The files of the block cache: opened when needed, kept open for a while, brought in and removed.
import { type FileHandle, mkdir, open, opendir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FilePool } from './file-pool.ts'
import { parseSegmentName, type Segment } from './segment.ts'

const OPEN_FILES_MAX = 128

export class BlockFiles {
  readonly #dir: string
  readonly #pool = new FilePool(OPEN_FILES_MAX)
  /** Files that are being brought in or removed, by name. */
  readonly #moves = new Map<string, Promise<void>>()

  constructor(dir: string) {
    this.#dir = dir
  }

  path(name: string): string {
    return join(this.#dir, name.slice(0, 2), name)
  }

  /** Fills `bytes` from `position` on; less when the file ends before. */
  read(segment: Segment, bytes: Buffer, position: number): Promise<void> {
    return this.#use(segment, async (handle) => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done)
        if (bytesRead === 0) return
        done += bytesRead
      }
    })
  }

  write(segment: Segment, bytes: Buffer, position: number): Promise<void> {
    return this.#use(segment, async (handle) => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await handle.write(
          bytes,
          done,
          bytes.length - done,
          position + done,
        )
        done += bytesWritten
      }
    })
  }

  /** Renames a file from elsewhere into the cache. */
  bringIn(path: string, name: string): Promise<void> {
    return this.#inFolder(name, (target) => rename(path, target))
  }

  /** Deletes a file, after whatever moves it now. Who has it open can go on. */
  remove(name: string): Promise<void> {
    this.#pool.forget(this.path(name))
    return this.move(name, () => unlink(this.path(name)).catch(ignoreMissing))
  }

  /**
   * Runs `work`, which changes what lies under a name, after all earlier moves of the same name.
   */
  async move(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#moves.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#moves.set(name, promise)
    try {
      await before
      await work()
    } finally {
      if (this.#moves.get(name) === promise) this.#moves.delete(name)
      resolve()
    }
  }

  moves(name: string): boolean {
    return this.#moves.has(name)
  }

  /** Waits until none of the files is being moved. */
  async still(...names: string[]): Promise<void> {
    const move = () =>
      names.map((name) => this.#moves.get(name)).find((found) => found !== undefined)
    for (let found = move(); found !== undefined; found = move()) await found
  }

  /** Room that a file takes, in bytes; 0 if it is gone. */
  async bytes(name: string): Promise<number> {
    const found = await stat(this.path(name)).catch(ignoreMissing)
    return found === undefined ? 0 : found.blocks * 512
  }

  /** The names of all files that lie here and could be ours. */
  async *names(): AsyncGenerator<string> {
    for await (const entry of await opendir(this.#dir, { recursive: true })) {
      if (entry.isFile() && parseSegmentName(entry.name) !== undefined) yield entry.name
    }
  }

  /** Closes and deletes everything. */
  async clear(): Promise<void> {
    await this.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#pool.close()
    await Promise.all(this.#moves.values())
  }

  #use<T>(segment: Segment, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const flags = segment.created ? 'r+' : 'w+'
    segment.created = true
    const openFile = () => this.#inFolder(segment.name, (path) => open(path, flags, 0o600))
    return this.#pool.use(this.path(segment.name), openFile, work)
  }

  /** Makes the folder of a file when it turns out to be missing. */
  async #inFolder<T>(name: string, work: (path: string) => Promise<T>): Promise<T> {
    const path = this.path(name)
    try {
      return await work(path)
    } catch (error) {
      ignoreMissing(error)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      return work(path)
    }
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
