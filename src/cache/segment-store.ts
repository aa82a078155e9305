// Segments, their files and the room they take, kept in step. A fault in here is told to the log
// and answered as "not there": what is stored can all be had again from the service.
//
// Between two awaits nothing else runs; after one, a segment may be gone (`segment.gone`).
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { crashPoint } from '../base/crash.ts'
import type { Logger } from '../base/log.ts'
import { BlockFiles } from './block-files.ts'
import { type Flag, isDamage } from './block-index.ts'
import {
  ABSENT,
  BLOCK_SIZE,
  type ContentId,
  contentKey,
  PRESENT,
  parseSegmentName,
  SEGMENT_BLOCKS,
  Segment,
  SPOILT,
  segmentName,
  WHOLE,
} from './segment.ts'
import { type OpenedTable, SegmentTable } from './segment-table.ts'
import { PAGE_BYTES, Share, type Space } from './space.ts'

export interface SegmentStoreOptions {
  /** The cache directory: blocks.db and blocks/ are in it. */
  dir: string
  log: Logger
  space: Space
}

const EVICT_FILES_MAX = 1000

export class SegmentStore {
  readonly #log: Logger
  readonly #share: Share
  readonly #table: SegmentTable
  readonly #files: BlockFiles
  #fileCount: number
  #background: Promise<void> = Promise.resolve()
  /** Closed, or the index is damaged: nothing is there. */
  #off = false
  #damaged = false

  private constructor({ dir, log, space }: SegmentStoreOptions, opened: OpenedTable) {
    this.#log = log
    this.#table = opened.table
    this.#files = new BlockFiles(join(dir, 'blocks'))
    this.#fileCount = opened.files
    this.#share = new Share(space)
    this.#share.charge(opened.bytes)
  }

  static async open(options: SegmentStoreOptions): Promise<SegmentStore> {
    const { dir, log, space } = options
    await mkdir(join(dir, 'blocks'), { recursive: true, mode: 0o700 })
    const onFault = (error: unknown) => store.#fault(error)
    const opened = await SegmentTable.open(join(dir, 'blocks.db'), { log, onFault })
    const store = new SegmentStore(options, opened)
    space.evictWith({
      get bytes() {
        return store.bytes
      },
      evict: (bytes) => store.#evict(bytes),
    })
    if (!opened.complete) store.#inBackground(() => store.#sweep())
    // The bound may be lower than it was.
    store.#inBackground(() => space.reserve(0))
    return store
  }

  /** Room taken on disk, in bytes. */
  get bytes(): number {
    return this.#share.bytes
  }

  get files(): number {
    return this.#fileCount
  }

  path(segment: Segment): string {
    return this.#files.path(segment.name)
  }

  /** The segment that has a block, or that has it once it is put. */
  find(content: ContentId, blockIndex: number): Segment | undefined {
    return this.#ask(content, undefined, (key) => this.#table.find(key, blockIndex))
  }

  pinnedBytes(): number {
    return this.#off ? 0 : this.#safely(0, () => this.#table.pinnedBytes())
  }

  flag(content: ContentId, flag: Flag): boolean {
    return this.#ask(content, false, (key) => this.#table.flag(key, flag))
  }

  setFlag(content: ContentId, flag: Flag, value: boolean): void {
    this.#ask(content, undefined, (key) => this.#table.setFlag(key, flag, value))
  }

  /** Fills `bytes` from block `first` on; false if that cannot be. */
  async read(segment: Segment, first: number, bytes: Buffer): Promise<boolean> {
    try {
      const position = segment.position(first)
      await this.#table.using(segment, () => this.#files.read(segment, bytes, position))
      return true
    } catch (error) {
      await this.#lost(error, segment)
      // Here they are for nobody: who asks for them again is to get them from elsewhere.
      const blocks = isShortage(error) ? 0 : Math.ceil(bytes.length / BLOCK_SIZE)
      for (let at = first; at < first + blocks; at++) this.spoil(segment, at)
      return false
    }
  }

  async put(content: ContentId, blockIndex: number, bytes: Buffer): Promise<void> {
    const key = contentKey(content)
    if (this.#off || key === undefined) return
    const crc = crc32(bytes)
    let segment: Segment | undefined
    try {
      const room = Math.ceil(bytes.length / PAGE_BYTES) * PAGE_BYTES
      await this.#share.reserve(room)
      const number = Math.floor(blockIndex / SEGMENT_BLOCKS)
      await this.#files.still(segmentName(key, WHOLE), segmentName(key, number))
      segment = this.#occupy(content, key, blockIndex, room)
      if (segment !== undefined) await this.#write(segment, blockIndex, bytes, crc)
    } catch (error) {
      await this.#lost(error, segment)
    }
  }

  /** Takes over a file that holds the whole content (see `BlockCache.adopt`). */
  async adopt(content: ContentId, path: string, start: number, crcs: Uint32Array): Promise<void> {
    const key = contentKey(content)
    // Of an empty file nothing is ever asked for.
    if (this.#off || key === undefined || content.size === 0) return
    const segment = Segment.create(content, key, WHOLE, start)
    try {
      const end = start + content.size
      await this.#files.move(segment.name, () => this.#takeOver(segment, path, end, crcs))
    } catch (error) {
      this.#fault(error)
      if (segment.bytes > 0) await this.#remove(segment)
    }
  }

  /** Forgets a block that turned out damaged. */
  spoil(segment: Segment, blockIndex: number): void {
    if (segment.gone || segment.state(blockIndex) !== PRESENT) return
    this.#log.warn({ file: segment.name, blockIndex }, 'a cached block is damaged: forgotten')
    this.#safely(undefined, () => this.#unverify(segment))
    segment.mark(blockIndex, SPOILT)
    this.#table.touch(segment)
  }

  /** Removes all segments of a content. */
  async drop(content: ContentId): Promise<void> {
    const segments = this.#ask(content, [], (key) => this.#table.all(key))
    await Promise.all(segments.map((segment) => this.#remove(segment)))
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    if (this.#off && !this.#damaged) return
    this.#off = true
    await this.#background
    await this.#files.close()
    if (this.#damaged) await this.#table.discard()
    else this.#table.close()
  }

  /**
   * Gives the room reserved for a block to the segment that it is to be written to; undefined, with
   * the room released, when there is nothing to write.
   */
  #occupy(content: ContentId, key: string, blockIndex: number, room: number): Segment | undefined {
    const found = this.find(content, blockIndex)
    const state = found?.state(blockIndex) ?? ABSENT
    if (this.#off || state !== ABSENT) {
      this.#share.release(room)
      return state === SPOILT ? found : undefined
    }
    const number = Math.floor(blockIndex / SEGMENT_BLOCKS)
    const segment = found ?? Segment.create(content, key, number)
    segment.bytes += room
    segment.mark(blockIndex, SPOILT)
    if (found === undefined) this.#add(segment)
    return segment
  }

  /** The row comes before the file: no crash leaves a file that nobody knows and counts. */
  #add(segment: Segment): void {
    try {
      this.#table.save(segment)
    } catch (error) {
      this.#share.release(segment.bytes)
      segment.gone = true
      throw error
    }
    this.#fileCount++
    crashPoint('blocks.added')
  }

  async #write(segment: Segment, blockIndex: number, bytes: Buffer, crc: number): Promise<void> {
    await this.#table.using(segment, async () => {
      await this.#files.write(segment, bytes, segment.position(blockIndex))
      crashPoint('blocks.written')
      // A file that holds the whole content may hide this one by now: then nothing changes.
      if (this.#table.find(segment.content, blockIndex) === segment) this.#unverify(segment)
      segment.mark(blockIndex, PRESENT, crc)
    })
  }

  async #takeOver(segment: Segment, path: string, end: number, crcs: Uint32Array): Promise<void> {
    if (this.#off || this.#table.load(segment.content, WHOLE) !== undefined) return
    const { blocks, size } = await stat(path)
    if (size < end || crcs.length !== segment.crcs.length) {
      throw new RangeError('the file to adopt does not hold the content')
    }
    segment.bytes = blocks * 512
    this.#share.charge(segment.bytes)
    this.#add(segment)
    await this.#table.using(segment, async () => {
      await this.#files.bringIn(path, segment.name)
      crashPoint('blocks.adopted')
      segment.created = true
      this.#unverify(segment)
      for (const [index, crc] of crcs.entries()) segment.mark(index, PRESENT, crc)
    })
    if (!segment.gone) this.#table.save(segment)
  }

  /**
   * To be called before a block becomes another: it is not what was verified, also where the flag
   * is left from before a crash.
   */
  #unverify({ content }: Segment): void {
    if (this.#table.flag(content, 'verified')) this.#table.setFlag(content, 'verified', false)
  }

  async #remove(segment: Segment): Promise<void> {
    if (segment.gone) return this.#files.still(segment.name)
    this.#safely(undefined, () => this.#table.remove(segment))
    this.#fileCount--
    crashPoint('blocks.removed')
    await this.#files.remove(segment.name).catch((error) => this.#fault(error))
    this.#share.release(segment.bytes)
  }

  async #evict(bytes: number): Promise<number> {
    let freed = 0
    const removals: Promise<void>[] = []
    this.#safely(undefined, () => {
      for (const segment of this.#off ? [] : this.#table.oldest(EVICT_FILES_MAX)) {
        if (freed >= bytes) return
        freed += segment.bytes
        removals.push(this.#remove(segment))
      }
    })
    await Promise.all(removals)
    return freed
  }

  /** After a crash: removes files without a row, and counts what others took since their last. */
  async #sweep(): Promise<void> {
    for await (const name of this.#files.names()) {
      const { content, number } = parseSegmentName(name) ?? {}
      if (this.#off || content === undefined || number === undefined) return
      if (this.#files.moves(name)) continue
      const segment = this.#table.load(content, number)
      if (segment === undefined) {
        await this.#files.remove(name)
        continue
      }
      const bytes = await this.#files.bytes(name)
      if (segment.gone || bytes <= segment.bytes) continue
      this.#share.charge(bytes - segment.bytes)
      segment.bytes = bytes
      this.#table.save(segment)
    }
  }

  #inBackground(work: () => Promise<void>): void {
    this.#background = this.#background.then(work).catch((error) => this.#fault(error))
  }

  #ask<T>(content: ContentId, fallback: T, ask: (key: string) => T): T {
    const key = contentKey(content)
    if (this.#off || key === undefined) return fallback
    return this.#safely(fallback, () => ask(key))
  }

  #safely<T>(fallback: T, work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.#fault(error)
      return fallback
    }
  }

  async #lost(error: unknown, segment: Segment | undefined): Promise<void> {
    this.#fault(error)
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing && segment !== undefined) await this.#remove(segment)
  }

  /**
   * A damaged index ends the cache until the next start: nobody knows any more what the files hold.
   */
  #fault(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
      this.#log.debug({ err: error }, 'no room to cache a block')
      return
    }
    this.#log.error({ err: error }, 'the block cache is at fault')
    if (!isDamage(error) || this.#damaged) return
    this.#off = true
    this.#damaged = true
    this.#inBackground(async () => {
      await this.#files.clear()
      this.#share.release()
    })
  }
}

/** True for failures that say nothing of the disk: this machine lacks something for now. */
function isShortage(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM'].includes(`${(error as NodeJS.ErrnoException).code}`)
}
