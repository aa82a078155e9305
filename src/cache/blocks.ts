// The cache of clean bytes on this disk, by content, so that a file is found again whatever it is
// called now. Nothing in here is an error for the caller, and no wrong byte comes out: every block
// is checked against its CRC when it is read, and one that does not match was never there.
import type { Range } from '../base/extents.ts'
import {
  BLOCK_SIZE,
  blockCount,
  blockLength,
  type ContentId,
  PRESENT,
  type Segment,
} from './segment.ts'
import { SegmentStore, type SegmentStoreOptions } from './segment-store.ts'

export { BLOCK_SIZE, type ContentId } from './segment.ts'

export interface BlockCacheStats {
  /** On disk, in bytes. */
  bytes: number
  files: number
  /** Of the whole cache directory, in bytes. */
  capacity: number
  /** Blocks that were asked for and found, or not. */
  hits: number
  misses: number
}

/** A piece of a file on disk. */
export interface FilePart {
  path: string
  start: number
  length: number
  /** Another one once any of the blocks in it is written anew. */
  sum: number
}

export class BlockCache {
  readonly #store: SegmentStore
  readonly #capacity: number
  #hits = 0
  #misses = 0

  private constructor(store: SegmentStore, capacity: number) {
    this.#store = store
    this.#capacity = capacity
  }

  /** Knows at once what the last process knew, and makes room in `space` when that is asked for. */
  static async open(options: SegmentStoreOptions): Promise<BlockCache> {
    return new BlockCache(await SegmentStore.open(options), options.space.capacity)
  }

  has(content: ContentId, blockIndex: number): boolean {
    return this.#store.find(content, blockIndex)?.state(blockIndex) === PRESENT
  }

  /** The runs of blocks in [first, end) that are not here. */
  missing(content: ContentId, first: number, end: number): Range[] {
    const runs: Range[] = []
    for (let index = first; index < end; index++) {
      if (this.has(content, index)) continue
      const run = runs.at(-1)
      if (run?.[1] === index) run[1]++
      else runs.push([index, index + 1])
    }
    return runs
  }

  get(content: ContentId, blockIndex: number): Promise<Buffer | undefined> {
    return this.#readRun(content, blockIndex, blockIndex + 1)
  }

  /**
   * The bytes of [offset, offset + length) as far as the content goes; undefined unless all are
   * here.
   */
  async read(content: ContentId, offset: number, length: number): Promise<Buffer | undefined> {
    const end = Math.min(offset + length, content.size)
    if (end <= offset) return Buffer.alloc(0)
    const first = Math.floor(offset / BLOCK_SIZE)
    const last = Math.ceil(end / BLOCK_SIZE)
    const runs: Promise<Buffer | undefined>[] = []
    for (let at = first, stop = last; at < last; at = stop) {
      stop = Math.min(last, this.#store.find(content, at)?.end ?? last)
      runs.push(this.#readRun(content, at, stop))
    }
    const buffers = (await Promise.all(runs)).filter((buffer) => buffer !== undefined)
    if (buffers.length < runs.length) return undefined
    const blocks = buffers[1] === undefined ? buffers[0] : Buffer.concat(buffers)
    return blocks?.subarray(offset - first * BLOCK_SIZE, end - first * BLOCK_SIZE)
  }

  /**
   * Keeps a block if there is room; resolves once it can be read, or is known not to be kept.
   * `bytes` must be the whole block (RangeError).
   */
  async put(content: ContentId, blockIndex: number, bytes: Buffer): Promise<void> {
    if (bytes.length !== blockLength(content, blockIndex)) {
      throw new RangeError(
        `block ${blockIndex} of ${content.size} bytes cannot have ${bytes.length}`,
      )
    }
    if (!this.has(content, blockIndex)) await this.#store.put(content, blockIndex, bytes)
  }

  /**
   * Takes over a file that holds the whole content from byte `start` on, by renaming it; `crcs` has
   * the CRC-32 of each block. Leaves the file where it is when the content is here and verified,
   * or on failure. Its room is counted at once, even while the former owner still counts it too.
   */
  async adopt(content: ContentId, path: string, start: number, crcs: Uint32Array): Promise<void> {
    if (this.complete(content) && this.verified(content)) return
    await this.drop(content)
    await this.#store.adopt(content, path, start, crcs)
  }

  /** True when every block is here. */
  complete(content: ContentId): boolean {
    const end = this.#fullSegments(content, 0).at(-1)?.end ?? 0
    return end === blockCount(content)
  }

  /** Where all the bytes are, in order; undefined unless every block is here. */
  parts(content: ContentId): FilePart[] | undefined {
    const parts = this.partsFrom(content, 0)
    const bytes = parts.reduce((sum, { length }) => sum + length, 0)
    return bytes === content.size ? parts : undefined
  }

  /** Where the bytes from `offset` on are, in order, as far as files are full without a gap. */
  partsFrom(content: ContentId, offset: number): FilePart[] {
    return this.#fullSegments(content, Math.ceil(offset / BLOCK_SIZE)).map((segment) => {
      const end = Math.min(segment.end * BLOCK_SIZE, content.size)
      const length = end - segment.first * BLOCK_SIZE
      const path = this.#store.path(segment)
      return { path, start: segment.start, length, sum: segment.sum }
    })
  }

  /** Forgets the blocks that are not on disk as they were put; false when all of them are. */
  async dropDamaged(content: ContentId): Promise<boolean> {
    let isDamaged = false
    for (let index = 0; index < blockCount(content); index++) {
      if ((await this.get(content, index)) === undefined) isDamaged = true
    }
    return isDamaged
  }

  /** Forgets all blocks of a content, for instance because together they turned out wrong. */
  drop(content: ContentId): Promise<void> {
    return this.#store.drop(content)
  }

  /** True when every block is here, and none has changed since `setVerified` was called. */
  verified(content: ContentId): boolean {
    return this.#store.flag(content, 'verified') && this.complete(content)
  }

  /**
   * Notes that all the blocks together have the hash of the content. Where others than those here
   * were hashed, `crcs` has the CRC-32 of each: nothing is noted unless they are the same.
   */
  setVerified(content: ContentId, crcs?: Uint32Array): void {
    if (!this.complete(content)) return
    const isSame =
      crcs === undefined || this.#fullSegments(content, 0).every((segment) => segment.has(crcs))
    if (isSame) this.#store.setFlag(content, 'verified', true)
  }

  /** True for a content that is never evicted. */
  pinned(content: ContentId): boolean {
    return this.#store.flag(content, 'pinned')
  }

  pin(content: ContentId): void {
    this.#store.setFlag(content, 'pinned', true)
  }

  unpin(content: ContentId): void {
    this.#store.setFlag(content, 'pinned', false)
  }

  /** Of the bytes on disk, what is never evicted. Asks the index: not for every read. */
  pinnedBytes(): number {
    return this.#store.pinnedBytes()
  }

  stats(): BlockCacheStats {
    const { bytes, files } = this.#store
    return { bytes, files, capacity: this.#capacity, hits: this.#hits, misses: this.#misses }
  }

  /** Waits for what is under way; from then on everything is a miss. */
  close(): Promise<void> {
    return this.#store.close()
  }

  /** The segments from a block on, in order, up to the first that lacks a block. */
  #fullSegments(content: ContentId, first: number): Segment[] {
    const found: Segment[] = []
    for (let index = first; index < blockCount(content); index = found.at(-1)?.end ?? 0) {
      const segment = this.#store.find(content, index)
      if (!segment?.full) break
      found.push(segment)
    }
    return found
  }

  /** Reads blocks [first, end) of one segment. */
  async #readRun(content: ContentId, first: number, end: number): Promise<Buffer | undefined> {
    const segment = this.#store.find(content, first)
    const bytes = segment && (await this.#readChecked(segment, content, first, end))
    if (bytes === undefined) this.#misses += end - first
    else this.#hits += end - first
    return bytes
  }

  async #readChecked(
    segment: Segment,
    content: ContentId,
    first: number,
    end: number,
  ): Promise<Buffer | undefined> {
    for (let at = first; at < end; at++) if (segment.state(at) !== PRESENT) return undefined
    const bytes = Buffer.allocUnsafe(Math.min(end * BLOCK_SIZE, content.size) - first * BLOCK_SIZE)
    if (!(await this.#store.read(segment, first, bytes))) return undefined
    let good = true
    for (let at = first; at < end; at++) {
      const start = (at - first) * BLOCK_SIZE
      if (segment.matches(at, bytes.subarray(start, start + BLOCK_SIZE))) continue
      this.#store.spoil(segment, at)
      good = false
    }
    return good ? bytes : undefined
  }
}
