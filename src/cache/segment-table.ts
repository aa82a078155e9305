// Segments in memory over their index on disk: rows are loaded when asked for and written back
// together, a second later at most. There is never more than one object of a segment.
import { LRUCache } from 'lru-cache'
import type { Logger } from '../base/log.ts'
import { BlockIndex, type Flag, type OpenedIndex } from './block-index.ts'
import { SEGMENT_BLOCKS, Segment, segmentName, WHOLE } from './segment.ts'

const FLUSH_MS = 1000
/** Memory for segments that are in step with the index (about 1.3 KiB each), in bytes. */
const KNOWN_BYTES_MAX = 16 * 1024 * 1024

export interface SegmentTableOptions {
  log: Logger
  onFault: (error: unknown) => void
}

export type OpenedTable = { table: SegmentTable } & Omit<OpenedIndex, 'index' | 'newest'>

export class SegmentTable {
  readonly #index: BlockIndex
  readonly #onFault: (error: unknown) => void
  /** By name; `false` is known not to be in the index. */
  readonly #known = new LRUCache<string, Segment | false>({
    maxSize: KNOWN_BYTES_MAX,
    sizeCalculation: (segment) => (segment === false ? 100 : 300 + 5 * segment.states.length),
  })
  /** In use, or newer than their rows: these must not be loaded a second time. */
  readonly #held = new Map<string, Segment>()
  #flushTimer: NodeJS.Timeout | undefined
  #clock: number

  private constructor(index: BlockIndex, newest: number, onFault: (error: unknown) => void) {
    this.#index = index
    this.#clock = newest
    this.#onFault = onFault
  }

  /** What is wrong with the index later, in the background, is told to `onFault`. */
  static async open(path: string, { log, onFault }: SegmentTableOptions): Promise<OpenedTable> {
    const { index, newest, ...found } = await BlockIndex.open(path, (error) =>
      log.error({ err: error }, 'the index of the block cache is unusable: it starts empty'),
    )
    return { table: new SegmentTable(index, newest, onFault), ...found }
  }

  /**
   * The segment that holds a block or is there to hold it: the whole content, if there is such a
   * file.
   */
  find(content: string, blockIndex: number): Segment | undefined {
    return this.load(content, WHOLE) ?? this.load(content, Math.floor(blockIndex / SEGMENT_BLOCKS))
  }

  load(content: string, number: number): Segment | undefined {
    const name = segmentName(content, number)
    const known = this.#held.get(name) ?? this.#known.get(name)
    if (known !== undefined) return known || undefined
    const row = this.#index.load(content, number)
    const segment = row && Segment.fromRow(row)
    this.#known.set(name, segment ?? false)
    return segment
  }

  /** All segments of a content. */
  all(content: string): Segment[] {
    const numbers = this.#index.numbers(content)
    return numbers
      .map((number) => this.load(content, number))
      .filter((segment) => segment !== undefined)
  }

  /** Those used longest ago that are not pinned, oldest first. */
  *oldest(limit: number): Generator<Segment> {
    this.flush()
    for (const { content, number } of this.#index.oldest(limit)) {
      const segment = this.load(content, number)
      if (segment !== undefined) yield segment
    }
  }

  /** Records a segment at once, for what a crash must not undo. */
  save(segment: Segment): void {
    segment.used = ++this.#clock
    segment.dirty = true
    this.#index.save([segment])
    segment.dirty = false
    this.#known.set(segment.name, segment)
  }

  /** Marks a segment as used now; what changed in it is recorded soon. */
  touch(segment: Segment): void {
    if (segment.gone) return
    segment.used = ++this.#clock
    this.#held.set(segment.name, segment)
    this.#flushTimer ??= setTimeout(() => this.#flushLater(), FLUSH_MS).unref()
  }

  /** Runs `work` while the segment stays the one object of its kind. */
  async using<T>(segment: Segment, work: () => Promise<T>): Promise<T> {
    segment.users++
    this.touch(segment)
    try {
      return await work()
    } finally {
      segment.users--
      this.touch(segment)
    }
  }

  /** Forgets a segment. Who still uses the object sees `gone`. */
  remove(segment: Segment): void {
    segment.gone = true
    this.#held.delete(segment.name)
    this.#known.set(segment.name, false)
    this.#index.remove(segment.content, segment.number)
  }

  /** As far as it was saved. */
  pinnedBytes(): number {
    return this.#index.pinnedBytes()
  }

  flag(content: string, flag: Flag): boolean {
    return this.#index.flag(content, flag)
  }

  setFlag(content: string, flag: Flag, value: boolean): void {
    // The rows that it speaks of come first: no crash leaves it beside older ones.
    if (value) this.flush()
    this.#index.setFlag(content, flag, value)
  }

  flush(): void {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    this.#index.save(this.#held.values())
    for (const segment of this.#held.values()) {
      segment.dirty = false
      this.#known.set(segment.name, segment)
      if (segment.users === 0) this.#held.delete(segment.name)
    }
  }

  close(): void {
    this.flush()
    this.#index.close()
  }

  /** Gives up a damaged index. */
  async discard(): Promise<void> {
    clearTimeout(this.#flushTimer)
    await this.#index.discard()
  }

  #flushLater(): void {
    this.#flushTimer = undefined
    try {
      this.flush()
    } catch (error) {
      this.#onFault(error)
    }
  }
}
