// Listing ahead of a walk. `find` and `rsync` ask for one directory after another, each a round
// trip; once they are seen to walk, the directories that they will come to are listed in the spare
// listing lanes.
import PQueue from 'p-queue'
import type { DirInode } from './inode.ts'
import type { Listings } from './listing.ts'
import type { Tree } from './tree.ts'

/** A directory is a step of a walk when its parent was read so recently, in ms. */
const STEP_MS = 5_000
/** Steps before anything is listed that nobody asked for. */
const STEPS_MIN = 2
/** Without a further step for so long the walk is over, in ms. */
const IDLE_MS = 2_000
const QUEUE_MAX = 1_000
const REMEMBERED_MAX = 256

export class Walk {
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #lanes: () => number
  readonly #queue = new PQueue()
  /** performance.now() at which directories were read, by inode number, oldest first. */
  readonly #read = new Map<number, number>()
  #steps = 0
  #stepMs = 0
  #stopped = false

  constructor({ tree, listings, lanes }: { tree: Tree; listings: Listings; lanes: () => number }) {
    this.#tree = tree
    this.#listings = listings
    this.#lanes = lanes
  }

  /** A program has read a directory. */
  step(dir: DirInode): void {
    const now = performance.now()
    const parentMs = dir.parent === undefined ? undefined : this.#read.get(dir.parent)
    this.#read.delete(dir.ino)
    this.#read.set(dir.ino, now)
    const oldest = this.#read.keys().next().value
    if (this.#read.size > REMEMBERED_MAX && oldest !== undefined) this.#read.delete(oldest)
    if (parentMs === undefined || now - parentMs > STEP_MS) return
    if (now - this.#stepMs > IDLE_MS) this.#steps = 0
    this.#steps++
    this.#stepMs = now
    if (this.#steps < STEPS_MIN) return
    this.#listChildren(dir)
    if (this.#steps === STEPS_MIN && dir.parent !== undefined)
      this.#listChildren(this.#tree.dir(dir.parent))
  }

  /** What is still on its way leads no further. */
  stop(): void {
    this.#stopped = true
    this.#queue.clear()
  }

  #listChildren(dir: DirInode): void {
    this.#queue.concurrency = this.#lanes()
    for (const ino of this.#tree.children(dir).values()) {
      if (this.#queue.size >= QUEUE_MAX) return
      const child = this.#tree.get(ino)
      if (child?.kind === 'dir' && !child.listed) void this.#queue.add(() => this.#list(child))
    }
  }

  async #list(dir: DirInode): Promise<void> {
    if (dir.listed || performance.now() - this.#stepMs > IDLE_MS) return
    // Whoever comes there asks again, and hears why.
    await this.#listings.refresh(dir, 'ahead').catch(() => {})
    if (!this.#stopped) this.#listChildren(dir)
  }
}
