// Files kept open, because most reads and writes go to one that was used a moment ago. A file that
// somebody uses stays open until he is done, whatever happens to the pool.
import type { FileHandle } from 'node:fs/promises'

interface Entry {
  opening: Promise<FileHandle>
  users: number
  /** No longer in the pool: the last user closes it. */
  dropped: boolean
}

export class FilePool {
  readonly #max: number
  // Least recently used first.
  readonly #entries = new Map<string, Entry>()
  readonly #busy = new Set<Promise<unknown>>()

  constructor(max: number) {
    this.#max = max
  }

  /** Runs `work` with the file at `path`, which `open` opens if the pool does not have it. */
  async use<T>(
    path: string,
    open: () => Promise<FileHandle>,
    work: (handle: FileHandle) => Promise<T>,
  ): Promise<T> {
    const entry = this.#entries.get(path) ?? { opening: open(), users: 0, dropped: false }
    entry.users++
    this.#entries.delete(path)
    this.#entries.set(path, entry)
    this.#trim()
    const run = entry.opening.then(work)
    this.#busy.add(run)
    try {
      return await run
    } catch (error) {
      // It may be the open that failed, and the next user should try again.
      this.#drop(path, entry)
      throw error
    } finally {
      this.#busy.delete(run)
      entry.users--
      if (entry.dropped) await this.#close(entry)
    }
  }

  /** Closes a file, now or when its last user is done; the next use opens it anew. */
  forget(path: string): void {
    const entry = this.#entries.get(path)
    if (entry !== undefined) this.#drop(path, entry)
  }

  /** Waits for all users, then closes everything. */
  async close(): Promise<void> {
    while (this.#busy.size > 0) await Promise.allSettled(this.#busy)
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    await Promise.all(entries.map((entry) => this.#close(entry)))
  }

  #trim(): void {
    for (const [path, entry] of this.#entries) {
      if (this.#entries.size <= this.#max) return
      if (entry.users === 0) this.#drop(path, entry)
    }
  }

  #drop(path: string, entry: Entry): void {
    if (this.#entries.get(path) === entry) this.#entries.delete(path)
    if (entry.dropped) return
    entry.dropped = true
    if (entry.users === 0) void this.#close(entry)
  }

  async #close(entry: Entry): Promise<void> {
    if (entry.users > 0) return
    // A close that fails is nobody's to hear of: what it did not get to the disk, checksums tell.
    await entry.opening.then((handle) => handle.close()).catch(() => {})
  }
}
