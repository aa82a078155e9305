// Listings for the drive's own use: to see what became of a command, and what it would hit. Many
// who want to know at once cost one listing.
import { LRUCache } from 'lru-cache'
import { Call, type CallSettings } from '../call.ts'
import type { DirRef, Entry } from '../drive.ts'

/** How long a listing is good enough to guess from; what is done by it is looked at afresh. */
const RECENT_MS = 5_000
const DIRS_MAX = 8

type List = (dir: DirRef, call: Call) => Promise<readonly Entry[]>

interface Asking {
  readonly running: Promise<readonly Entry[]>
  /** For those who came while it ran. */
  next?: Promise<readonly Entry[]>
  /** We changed the directory meanwhile. */
  isOld: boolean
}

export class Views {
  readonly #list: List
  readonly #settings: () => CallSettings
  readonly #recent = new LRUCache<string, readonly Entry[]>({ max: DIRS_MAX, ttl: RECENT_MS })
  readonly #asking = new Map<string, Asking>()

  constructor(list: List, settings: () => CallSettings) {
    this.#list = list
    this.#settings = settings
  }

  /** What the directory held a few seconds ago at most, unless we changed it since. */
  async recent(dir: DirRef, call: Call): Promise<readonly Entry[]> {
    return this.#recent.get(dir.key) ?? this.fresh(dir, call)
  }

  /** What it holds now: the listing begins after this is called. */
  async fresh(dir: DirRef, call: Call): Promise<readonly Entry[]> {
    const asking = this.#asking.get(dir.key)
    if (asking === undefined) return call.join(this.#start(dir, call))
    asking.next ??= asking.running.catch(() => {}).then(() => this.#start(dir, call))
    return call.join(asking.next)
  }

  /** We changed it. */
  forget(...dirs: readonly DirRef[]): void {
    for (const { key } of dirs) {
      this.#recent.delete(key)
      const asking = this.#asking.get(key)
      if (asking !== undefined) asking.isOld = true
    }
  }

  /** The listing serves others too, so the impatience of one of them does not end it. */
  #start(dir: DirRef, { priority }: Call): Promise<readonly Entry[]> {
    const call = new Call({ priority }, this.#settings())
    const asking: Asking = { running: this.#list(dir, call), isOld: false }
    this.#asking.set(dir.key, asking)
    const end = () => {
      call.end()
      if (this.#asking.get(dir.key) === asking) this.#asking.delete(dir.key)
    }
    asking.running.then((entries) => {
      if (!asking.isOld) this.#recent.set(dir.key, entries)
      end()
    }, end)
    return asking.running
  }
}
