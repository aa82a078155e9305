// One hard bound for all that lies in the cache directory: clean blocks and staged bytes. Room is
// asked for before a byte is written, so that a full disk is an answer and not an accident.
import { statfs } from 'node:fs/promises'

/** Who can give room back: the block cache, whose bytes can be had again from the service. */
export interface Evictor {
  /** What it could give back at most. */
  readonly bytes: number
  /**
   * Gives back about `bytes` (through `Space.release`) and says how much it was; 0: nothing can go.
   */
  evict(bytes: number): Promise<number>
}

export interface SpaceOptions {
  /** Any directory on the file system that holds the cache. */
  dir: string
  /** The bound, in bytes. */
  capacity: number
  /** What is always left free on the file system, in bytes. */
  marginBytes?: number
}

/** Disk space is given out in such units. */
export const PAGE_BYTES = 4096

const MARGIN_BYTES = 64 * 1024 * 1024
const MEASURED_FOR_MS = 1000
/** Evicting a little more than was asked for spares the next writers the wait. */
const EVICT_BYTES_MAX = 32 * 1024 * 1024
const EVICT_SHARE = 1 / 256

export class Space {
  readonly capacity: number
  readonly #dir: string
  readonly #marginBytes: number
  #used = 0
  #evictor: Evictor | undefined
  #counts: Promise<void>[] = []
  #queue: Promise<void> = Promise.resolve()
  // The file system's free bytes when last looked at, less what was reserved since.
  #free = 0
  #measuredAtMs = Number.NEGATIVE_INFINITY

  constructor({ dir, capacity, marginBytes = MARGIN_BYTES }: SpaceOptions) {
    this.#dir = dir
    this.capacity = capacity
    this.#marginBytes = marginBytes
  }

  /** Bytes reserved or charged now. */
  get used(): number {
    return this.#used
  }

  evictWith(evictor: Evictor): void {
    this.#evictor = evictor
  }

  /**
   * Lets no reservation pass before `count` has charged what was found on disk; it must not reject.
   */
  waitFor(count: Promise<void>): void {
    this.#counts.push(count)
  }

  /**
   * Reserves at once if that needs neither eviction nor a look at the disk, which is nearly always;
   * else returns false and `reserve` has to be awaited.
   */
  tryReserve(bytes: number): boolean {
    if (this.#counts.length > 0 || this.#stale || this.#missing(bytes) > 0) return false
    this.charge(bytes)
    return true
  }

  /** Reserves, making room if need be. Rejects with code ENOSPC when there is none to be made. */
  reserve(bytes: number): Promise<void> {
    const done = this.#queue.then(() => this.#makeRoom(bytes))
    this.#queue = done.catch(() => {})
    return done
  }

  /** Counts bytes that are on disk already, or that must be written whatever the bound says. */
  charge(bytes: number): void {
    this.#used += bytes
    this.#free -= bytes
  }

  release(bytes: number): void {
    this.charge(-bytes)
  }

  async #makeRoom(bytes: number): Promise<void> {
    await Promise.all(this.#counts)
    this.#counts = []
    for (;;) {
      if (this.#stale) await this.#measure()
      if (this.tryReserve(bytes)) return
      const missing = this.#missing(bytes)
      if (missing <= 0) continue
      // What cannot be reached anyway must not cost the cache its content.
      if (this.#evictor === undefined || missing > this.#evictor.bytes) throw this.#full(bytes)
      const extra = Math.min(this.capacity * EVICT_SHARE, EVICT_BYTES_MAX)
      if ((await this.#evictor.evict(Math.max(missing, extra))) === 0) throw this.#full(bytes)
    }
  }

  get #stale(): boolean {
    return performance.now() - this.#measuredAtMs > MEASURED_FOR_MS
  }

  /** How much too little there is for `bytes` more; 0 or less: they fit. */
  #missing(bytes: number): number {
    return bytes + Math.max(this.#used - this.capacity, this.#marginBytes - this.#free)
  }

  async #measure(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir)
    this.#free = bavail * bsize
    this.#measuredAtMs = performance.now()
  }

  #full(bytes: number): Error {
    const cache = `${this.#used} of ${this.capacity} bytes used`
    const disk = `${this.#free} free on the file system`
    return Object.assign(new Error(`no room for ${bytes} bytes in the cache: ${cache}, ${disk}`), {
      code: 'ENOSPC',
    })
  }
}

/**
 * What one holder (a staged file, the block cache) takes of the space, so that it can be given back
 * whole.
 */
export class Share {
  readonly #space: Space
  #bytes = 0

  constructor(space: Space) {
    this.#space = space
  }

  get bytes(): number {
    return this.#bytes
  }

  /** As `Space.reserve`, without a wait where there need not be one. */
  async reserve(bytes: number): Promise<void> {
    if (!this.#space.tryReserve(bytes)) await this.#space.reserve(bytes)
    this.#bytes += bytes
  }

  /** As `Space.charge`. */
  charge(bytes: number): void {
    this.#space.charge(bytes)
    this.#bytes += bytes
  }

  /** Gives back `bytes`, or everything. */
  release(bytes = this.#bytes): void {
    this.charge(-bytes)
  }
}
