// Blocks on their way from the service: each is asked for once, however many readers wait for it.
// Ranges share the account's download slots; a reader who waits takes the slot of read-ahead,
// never the other way, and those who read ahead have equal shares.
import { LRUCache } from 'lru-cache'
import { BLOCK_SIZE, type BlockCache, type ContentId } from '../cache/blocks.ts'
import {
  type DirRef,
  type Drive,
  type FileRef,
  isWeiyunError,
  WeiyunError,
} from '../weiyun/index.ts'

/** Where the bytes of one content can be had. */
export interface Source {
  readonly content: ContentId
  readonly file: FileRef
  /** Asked at every fetch: directories move. */
  dir(): DirRef
}

/** Whose read-ahead it is. */
export interface Owner {
  /** Blocks from this one on were given up for somebody else. */
  givenUp(block: number): void
}

/** One ranged request, in blocks [first, end). */
interface Range {
  readonly source: Source
  readonly first: number
  readonly end: number
  readonly owner: Owner | undefined
  /** A reader waits for the blocks before this one; from there on it is read-ahead. */
  readonly urgentEnd: number
  /** The block that comes next. */
  at: number
  readonly abort: AbortController
  /** performance.now() of the last bytes, for those who wait. */
  progressMs: number
}

interface Flight {
  readonly range: Range
  readonly block: Promise<Buffer>
}

export interface FetcherOptions {
  drive: Drive
  blocks: BlockCache
  /** Bound of the blocks held in memory, in bytes, for all files together. */
  memoryBytes: number
  /** Download slots of the account. */
  slots: () => number
}

export class Fetcher {
  readonly #drive: Drive
  readonly #blocks: BlockCache
  readonly #slots: () => number
  readonly #memory: LRUCache<string, Buffer>
  readonly #flights = new Map<string, Flight>()
  readonly #ranges = new Set<Range>()
  /** Who reads in sequence, with performance.now() of his last read, oldest first. */
  readonly #streams = new Map<Owner, number>()
  /** performance.now() when a reader last found all slots taken. */
  #crampedMs = Number.NEGATIVE_INFINITY
  readonly #writes = new Map<string, Promise<void>>()
  #closed = false
  /** Called when a range has ended, whole or not, and what came of it is on disk. */
  onArrived: (source: Source) => void = () => {}

  constructor({ drive, blocks, memoryBytes, slots }: FetcherOptions) {
    this.#drive = drive
    this.#blocks = blocks
    this.#slots = slots
    this.#memory = new LRUCache({
      maxSize: memoryBytes,
      sizeCalculation: (block) => Math.max(1, block.length),
    })
  }

  /** A block that is already here, from memory or disk. */
  async local(content: ContentId, index: number): Promise<Buffer | undefined> {
    return this.#memory.get(keyOf(content, index)) ?? (await this.#blocks.get(content, index))
  }

  has(content: ContentId, index: number): boolean {
    return this.#memory.has(keyOf(content, index)) || this.#blocks.has(content, index)
  }

  flight(content: ContentId, index: number): Flight | undefined {
    return this.#flights.get(keyOf(content, index))
  }

  /** True when one of the blocks of [first, end) is neither here nor on its way. */
  lacks(content: ContentId, first: number, end: number): boolean {
    for (let at = first; at < end; at++) if (!this.#known(content, at)) return true
    return false
  }

  /** Notes that `owner` goes on reading in sequence, which gives him a share of the slots. */
  attend(owner: Owner): void {
    const nowMs = performance.now()
    this.#streams.delete(owner)
    this.#streams.set(owner, nowMs)
    for (const [other, lastMs] of this.#streams) {
      if (nowMs - lastMs < ACTIVE_MS) break
      if (this.#rangesOf(other) === 0) this.#streams.delete(other)
    }
  }

  /** How many read in sequence; 1 at least. */
  get streams(): number {
    return Math.max(1, this.#streams.size)
  }

  /**
   * True when a further range of read-ahead may start, beside `besides` others of the same owner:
   * there is a slot and he has less than his share, or somebody else has more than that.
   */
  mayReadAhead(owner: Owner, besides = 0): boolean {
    const isFree = this.#ranges.size + besides < this.#slots() - this.#kept()
    const share = Math.ceil(this.#slots() / this.streams)
    if (isFree && this.#rangesOf(owner) + besides < share) return true
    return this.#overShare(owner) !== undefined
  }

  /**
   * Starts fetching the blocks of [first, end) that are neither here nor on their way. A reader
   * waits for those before `urgentEnd`; the others are read-ahead of `owner`: they start only while
   * there is a slot for them, and give way to readers. Returns the block up to which that was done.
   */
  fetch(source: Source, first: number, end: number, owner?: Owner, urgentEnd = end): number {
    for (let at = first; at < end; ) {
      if (this.#known(source.content, at)) {
        at++
        continue
      }
      let stop = at + 1
      while (stop < end && !this.#known(source.content, stop)) stop++
      if (this.#ranges.size >= this.#slots()) {
        const isUrgent = at < urgentEnd
        const victim = isUrgent ? this.#leastUrgent() : owner && this.#overShare(owner)
        if (victim !== undefined) this.#giveUp(victim)
        else if (!isUrgent) return at
        if (isUrgent) this.#crampedMs = performance.now()
      }
      this.#start(source, at, stop, owner, urgentEnd)
      at = stop
    }
    return end
  }

  /** Ends the read-ahead of an owner. */
  cancel(owner: Owner): void {
    this.#streams.delete(owner)
    for (const range of this.#ranges) {
      if (range.owner === owner && isAhead(range)) this.#drop(range)
    }
  }

  /** Resolves when the blocks of a content that have arrived are in the cache on disk. */
  async written(content: ContentId): Promise<void> {
    const prefix = keyOf(content, '')
    const writes = [...this.#writes].flatMap(([key, write]) =>
      key.startsWith(prefix) ? [write] : [],
    )
    await Promise.allSettled(writes)
  }

  /** Forgets what memory holds of a content; true when `isRight` says so of all of it. */
  forget(content: ContentId, isRight: (index: number, block: Buffer) => boolean): boolean {
    const blocks = Math.ceil(content.size / BLOCK_SIZE)
    let areRight = true
    for (let index = 0; index < blocks; index++) {
      const key = keyOf(content, index)
      const block = this.#memory.get(key)
      if (block === undefined) continue
      areRight &&= isRight(index, block)
      this.#memory.delete(key)
    }
    return areRight
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const range of this.#ranges) range.abort.abort()
    await Promise.allSettled(this.#writes.values())
  }

  #known(content: ContentId, index: number): boolean {
    return this.#flights.has(keyOf(content, index)) || this.has(content, index)
  }

  /**
   * Slots that read-ahead leaves free. A reader for whom it had to be cut may come back at once,
   * and each cut costs a connection.
   */
  #kept(): number {
    return performance.now() - this.#crampedMs < ACTIVE_MS && this.#slots() > 1 ? 1 : 0
  }

  #rangesOf(owner: Owner): number {
    let count = 0
    for (const range of this.#ranges) if (range.owner === owner) count++
    return count
  }

  /** A range of somebody who has more than his share, while `owner` has less. */
  #overShare(owner: Owner): Range | undefined {
    const own = this.#rangesOf(owner)
    const share = this.#streams.has(owner) ? Math.floor(this.#slots() / this.streams) : 0
    if (own >= share) return undefined
    return this.#farthest((range) => this.#rangesOf(range.owner as Owner) >= own + 2)
  }

  /** Read-ahead of whoever has most of it. */
  #leastUrgent(): Range | undefined {
    const counts = new Map<Owner | undefined, number>()
    for (const range of this.#ranges) {
      if (isAhead(range)) counts.set(range.owner, (counts.get(range.owner) ?? 0) + 1)
    }
    const most = Math.max(...counts.values())
    return this.#farthest((range) => counts.get(range.owner) === most)
  }

  /** Of the read-ahead that fits: that farthest from its own reader was started last. */
  #farthest(fits: (range: Range) => boolean): Range | undefined {
    return [...this.#ranges].findLast((range) => isAhead(range) && fits(range))
  }

  #giveUp(range: Range): void {
    this.#drop(range)
    range.owner?.givenUp(range.at)
  }

  #drop(range: Range): void {
    this.#ranges.delete(range)
    range.abort.abort()
  }

  #start(
    source: Source,
    first: number,
    end: number,
    owner: Owner | undefined,
    urgentEnd: number,
  ): void {
    const range: Range = {
      source,
      first,
      end,
      owner,
      urgentEnd,
      at: first,
      abort: new AbortController(),
      progressMs: performance.now(),
    }
    const waiting = new Map<number, PromiseWithResolvers<Buffer>>()
    for (let index = first; index < end; index++) {
      const deferred = Promise.withResolvers<Buffer>()
      deferred.promise.catch(() => {}) // read-ahead may fail with nobody waiting
      waiting.set(index, deferred)
      this.#flights.set(keyOf(source.content, index), { range, block: deferred.promise })
    }
    this.#ranges.add(range)
    void this.#run(range, waiting)
  }

  async #run(range: Range, waiting: Map<number, PromiseWithResolvers<Buffer>>): Promise<void> {
    const { source, first, end } = range
    try {
      await this.#receive(range, (index, block) => {
        waiting.get(index)?.resolve(this.#arrive(source.content, index, block))
        waiting.delete(index)
      })
      if (waiting.size > 0) throw new WeiyunError('CORRUPT', `blocks ${first} to ${end} came short`)
    } catch (error) {
      for (const [index, deferred] of waiting) {
        this.#flights.delete(keyOf(source.content, index))
        deferred.reject(error)
      }
    }
    // The slot is free, whatever the disk still has to do.
    this.#ranges.delete(range)
    await this.written(source.content)
    if (!this.#closed) this.onArrived(source)
  }

  async #receive(range: Range, arrived: (index: number, block: Buffer) => void): Promise<void> {
    const { source, first, end, urgentEnd } = range
    const offset = first * BLOCK_SIZE
    const length = Math.min(end * BLOCK_SIZE, source.content.size) - offset
    const options = {
      priority: first < urgentEnd ? 'user' : 'ahead',
      signal: range.abort.signal,
    } as const
    let filled = 0
    // Memory of its own for each block: one that is kept must not keep the network's buffers with
    // it.
    let block = Buffer.allocUnsafeSlow(blockLength(source.content, first))
    for await (const chunk of this.#drive.read(
      source.dir(),
      source.file,
      offset,
      length,
      options,
    )) {
      range.progressMs = performance.now()
      for (let at = 0; at < chunk.length; ) {
        const copied = chunk.copy(block, filled, at)
        at += copied
        filled += copied
        if (filled < block.length) continue
        arrived(range.at++, block)
        if (range.at === end) return
        block = Buffer.allocUnsafeSlow(blockLength(source.content, range.at))
        filled = 0
      }
      if (this.#writes.size > WRITES_MAX) await Promise.race(this.#writes.values())
    }
  }

  /** Resolves with the block that is to be shown. */
  #arrive(content: ContentId, index: number, block: Buffer): Buffer | Promise<Buffer> {
    const key = keyOf(content, index)
    if (this.#blocks.has(content, index)) {
      // It came here another way meanwhile, for instance by our own upload, whose bytes are known
      // to be right. These are not.
      this.#flights.delete(key)
      return this.#blocks.get(content, index).then((here) => here ?? block)
    }
    this.#memory.set(key, block)
    const write = this.#blocks.put(content, index, block).finally(() => {
      this.#writes.delete(key)
      this.#flights.delete(key)
    })
    this.#writes.set(key, write)
    return block
  }
}

/** Nobody waits for what is still to come of it. */
function isAhead(range: Range): boolean {
  return range.owner !== undefined && range.at >= range.urgentEnd
}

/** Block writes under way before a download has to wait for the disk: 16 MiB. */
const WRITES_MAX = 256
/** Who has nothing on its way and did not read for so long has no share of the slots, in ms. */
const ACTIVE_MS = 500

export function blockLength(content: ContentId, index: number): number {
  return Math.min(BLOCK_SIZE, content.size - index * BLOCK_SIZE)
}

/** True for failures after which the same block may be asked for again at once. */
export function wasGivenUp(error: unknown): boolean {
  return isWeiyunError(error, 'ABORTED')
}

function keyOf(content: ContentId, index: number | ''): string {
  return `${content.sha1}-${content.size}:${index}`
}
