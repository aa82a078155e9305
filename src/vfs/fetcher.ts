// Blocks on their way from the service: each is asked for once, however many readers wait for it.
// Ranges share the account's download slots; a reader who waits takes the slot of read-ahead,
// never the other way.
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

/** One ranged request, in blocks [first, end). */
interface Range {
  readonly source: Source
  readonly first: number
  readonly end: number
  /** Whose read-ahead it is; undefined while a reader waits for it. */
  readonly owner: object | undefined
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
  readonly #writes = new Map<string, Promise<void>>()
  /** Called when a range has arrived whole and its blocks are on disk. */
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

  /** Read-ahead ranges of one owner that are under way. */
  rangesOf(owner: object): number {
    let count = 0
    for (const range of this.#ranges) if (range.owner === owner) count++
    return count
  }

  get busySlots(): number {
    return this.#ranges.size
  }

  /**
   * Starts fetching the blocks of [first, end) that are neither here nor on their way. With an
   * owner it is read-ahead: it starts only while a slot is free, and gives way to readers.
   */
  fetch(source: Source, first: number, end: number, owner?: object): void {
    for (let at = first; at < end; ) {
      if (this.#known(source.content, at)) {
        at++
        continue
      }
      let stop = at + 1
      while (stop < end && !this.#known(source.content, stop)) stop++
      if (owner === undefined) this.#makeRoom()
      else if (this.#ranges.size >= this.#slots()) return
      this.#start(source, at, stop, owner)
      at = stop
    }
  }

  /** Ends the read-ahead of an owner, except what covers blocks [first, end). */
  cancel(owner: object, first = 0, end = 0): void {
    for (const range of this.#ranges) {
      if (range.owner === owner && (range.end <= first || range.first >= end)) range.abort.abort()
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

  /** Forgets what memory holds of a content whose bytes turned out wrong. */
  forget(content: ContentId): void {
    const blocks = Math.ceil(content.size / BLOCK_SIZE)
    for (let index = 0; index < blocks; index++) this.#memory.delete(keyOf(content, index))
  }

  async close(): Promise<void> {
    for (const range of this.#ranges) range.abort.abort()
    await Promise.allSettled(this.#writes.values())
  }

  #known(content: ContentId, index: number): boolean {
    return this.#flights.has(keyOf(content, index)) || this.has(content, index)
  }

  /** Frees a slot for a reader: the read-ahead farthest from its own reader was started last. */
  #makeRoom(): void {
    if (this.#ranges.size < this.#slots()) return
    const victim = [...this.#ranges].findLast((range) => range.owner !== undefined)
    if (victim === undefined) return
    this.#ranges.delete(victim)
    victim.abort.abort()
  }

  #start(source: Source, first: number, end: number, owner: object | undefined): void {
    const range: Range = {
      source,
      first,
      end,
      owner,
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
        this.#arrive(source.content, index, block)
        waiting.get(index)?.resolve(block)
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
    this.onArrived(source)
  }

  async #receive(range: Range, arrived: (index: number, block: Buffer) => void): Promise<void> {
    const { source, first, end, owner } = range
    const offset = first * BLOCK_SIZE
    const length = Math.min(end * BLOCK_SIZE, source.content.size) - offset
    const options = {
      priority: owner === undefined ? 'user' : 'ahead',
      signal: range.abort.signal,
    } as const
    let index = first
    let filled = 0
    // Memory of its own for each block: one that is kept must not keep the network's buffers with
    // it.
    let block = Buffer.allocUnsafeSlow(blockLength(source.content, index))
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
        arrived(index++, block)
        if (index === end) return
        block = Buffer.allocUnsafeSlow(blockLength(source.content, index))
        filled = 0
      }
      if (this.#writes.size > WRITES_MAX) await Promise.race(this.#writes.values())
    }
  }

  #arrive(content: ContentId, index: number, block: Buffer): void {
    const key = keyOf(content, index)
    this.#memory.set(key, block)
    const write = this.#blocks.put(content, index, block).finally(() => {
      this.#writes.delete(key)
      this.#flights.delete(key)
    })
    this.#writes.set(key, write)
  }
}

/** Block writes under way before a download has to wait for the disk: 16 MiB. */
const WRITES_MAX = 256

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
