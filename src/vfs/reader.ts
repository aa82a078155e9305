// Clean bytes: what programs read of a version that the service has. Decides how far to read
// ahead, and waits for blocks.
import { hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BLOCK_SIZE, type BlockCache, type ContentId } from '../cache/blocks.ts'
import { crcsOf } from '../cache/digest.ts'
import { contentKey } from '../cache/segment.ts'
import { isWeiyunError } from '../weiyun/index.ts'
import type { Checker } from './checker.ts'
import { isErrno, VfsError } from './error.ts'
import { type Fetcher, type Owner, type Source, wasGivenUp } from './fetcher.ts'

const MiB = 1024 * 1024
/** Files up to this size are fetched whole and checked before a byte of them is shown. */
const WHOLE_BYTES_MAX = MiB
/** What a first read fetches at least. */
const WINDOW_BYTES_MIN = 128 * 1024
/** Read-ahead of one handle at its fastest: two rounds of ranges for every slot. */
const WINDOW_BYTES_MAX = 160 * MiB
/** The same where the disk keeps nothing: all streams together must leave room in memory. */
const UNKEPT_WINDOW_BYTES_MAX = 48 * MiB
/**
 * Long ranges make the round trip before each of them cheap: 16 MiB at 8 MiB/s and 40 ms is 98 %.
 */
const RANGE_BYTES_MAX = 16 * MiB
const RANGE_BYTES_MIN = 256 * 1024
/** The same near the end of a file, where ranges would else become shorter than a round trip. */
const END_RANGE_BYTES_MIN = MiB
/**
 * With more readers than slots there is no read-ahead; instead each request goes on for so long
 * behind what is wanted, or round trips would be most of the time.
 */
const CROWDED_BYTES = 512 * 1024
/**
 * The window is this many times what was read in one piece so far, and more once it is clear that
 * somebody streams.
 */
const WINDOW_GROWTH = 4
const STREAM_GROWTH = 16
/** The kernel reads ahead by itself and may ask out of order: this far off is still sequential. */
const SKIP_BYTES_MAX = MiB
/** After so many jumps a handle reads at random, until it has read this much in one piece. */
const JUMPS_MAX = 3
const CALM_BYTES = MiB

/** After a read in vain, the next one within this time, in ms, waits no longer than that. */
const AGAIN_MS = 2_000
const AGAIN_TIMEOUT_MS = 250
/** A wait that took so much longer than it may, in ms, was not one. */
const SLEPT_MS = 1_000

/** How often a read tries to get a block, with pauses, in ms, that grow by so much. */
const ATTEMPTS_MAX = 8
const PAUSE_MS = 10

/** A content is fetched for a check in pieces of this size. */
const CHECKED_BYTES = MiB

/** What one open handle remembers between reads. */
export class ReadState implements Owner {
  /** End of the last read. */
  next = 0
  /** Bytes read in one piece up to `next`. */
  run = 0
  jumps = 0
  /** End of what was asked for ahead. */
  frontier = 0
  /**
   * How often the content had arrived wrong before the first byte was given out; see
   * `Reader.#judge`.
   */
  spoiled: number | undefined
  /** performance.now() when a read had waited in vain; undefined after one that had not. */
  timedOutMs: number | undefined

  givenUp(block: number): void {
    this.frontier = Math.min(this.frontier, block * BLOCK_SIZE)
  }
}

export interface ReaderOptions {
  fetcher: Fetcher
  blocks: BlockCache
  checker: Checker
  slots: () => number
  /** A read without a byte of progress for this long is ETIMEDOUT. */
  timeoutMs: number
}

export class Reader {
  readonly #fetcher: Fetcher
  readonly #blocks: BlockCache
  readonly #slots: () => number
  readonly #timeoutMs: number
  readonly #checker: Checker

  constructor(options: ReaderOptions) {
    this.#fetcher = options.fetcher
    this.#blocks = options.blocks
    this.#slots = options.slots
    this.#checker = options.checker
    this.#timeoutMs = options.timeoutMs
  }

  /** The bytes [offset, offset + length) as far as the content goes. */
  async read(wanted: Source, state: ReadState, offset: number, length: number): Promise<Buffer> {
    const source = identified(wanted)
    const { content } = source
    const end = Math.min(offset + length, content.size)
    if (end <= offset) return Buffer.alloc(0)
    if (content.size <= WHOLE_BYTES_MAX && source === wanted)
      return (await this.#whole(source, state)).subarray(offset, end)
    state.spoiled ??= this.#checker.spoiledSoFar(content)
    this.#plan(source, state, offset, end)
    const bytes = await this.#collect(source, state, offset, end)
    if (end === content.size) {
      await this.#fetcher.written(content)
      await this.#checker.check(content)
    }
    this.#judge(content, state)
    return bytes
  }

  /**
   * Fetches a content whole and checks it, for its bytes are to go into another one. Rejects with
   * EIO when it arrived wrong. What the cache cannot hold at once is taken as it comes.
   */
  async ensureRight(source: Source): Promise<void> {
    if (this.#blocks.verified(source.content)) return
    const state = new ReadState()
    try {
      for (let at = 0; at < source.content.size; at += CHECKED_BYTES)
        await this.read(source, state, at, CHECKED_BYTES)
    } finally {
      this.release(state)
    }
  }

  /** Ends read-ahead of a handle that closes. */
  release(state: ReadState): void {
    this.#fetcher.cancel(state)
  }

  /**
   * A handle that was given bytes of a content which proved wrong must not end its reading in
   * peace.
   */
  #judge(content: ContentId, state: ReadState): void {
    if (state.spoiled === this.#checker.spoiledSoFar(content)) return
    throw new VfsError('EIO', 'the bytes that arrived do not match the hash in the listing')
  }

  /**
   * A small file in one piece, checked before a byte of it is shown; fetched once more when it is
   * wrong.
   */
  async #whole(source: Source, state: ReadState): Promise<Buffer> {
    const { content } = source
    for (let attempt = 0; attempt < 2; attempt++) {
      // That it is so by now may be due to others than the blocks that came from the service.
      const wasVerified = this.#blocks.verified(content)
      this.#fetcher.fetch(source, 0, Math.ceil(content.size / BLOCK_SIZE))
      const bytes = await this.#collect(source, state, 0, content.size)
      if (wasVerified && this.#blocks.verified(content)) return bytes
      if (hash('sha1', bytes) === content.sha1) {
        await this.#fetcher.written(content)
        this.#blocks.setVerified(content, crcsOf(bytes))
        return bytes
      }
      // Right by now, if it came here another way.
      if (!this.#blocks.verified(content)) await this.#checker.spoil(content)
    }
    throw new VfsError('EIO', 'the bytes that arrived twice do not match the hash in the listing')
  }

  #plan(source: Source, state: ReadState, offset: number, end: number): void {
    const first = Math.floor(offset / BLOCK_SIZE)
    const last = Math.ceil(end / BLOCK_SIZE)
    const isJump = this.#advance(state, offset, end)
    const atRandom = state.jumps >= JUMPS_MAX && state.run < CALM_BYTES
    // Read-ahead begins with the read after that: cut by another jump it costs a connection.
    if (isJump || atRandom) {
      this.#fetcher.fetch(source, first, last)
      return
    }
    const { size } = source.content
    const blocks = Math.ceil(size / BLOCK_SIZE)
    // One read more may be all that it is: nobody gives up anything for that.
    if (state.run > WINDOW_BYTES_MIN) this.#fetcher.attend(state)
    const { streams } = this.#fetcher
    const growth = state.run < CALM_BYTES ? WINDOW_GROWTH : STREAM_GROWTH
    const window = Math.max(
      Math.min(state.run * growth, this.#windowMax(source.content) / streams),
      WINDOW_BYTES_MIN,
    )
    // Shorter towards the end, so that all slots finish at about the same time.
    const rangeBytes = (): number => {
      const left = size - state.frontier
      const share = Math.min(window, left) / this.#slots()
      const min = left < window ? END_RANGE_BYTES_MIN : RANGE_BYTES_MIN
      return Math.min(Math.max(share, min), RANGE_BYTES_MAX)
    }
    state.frontier = Math.max(state.frontier, end)
    if (this.#fetcher.lacks(source.content, first, last)) {
      const isCrowded = streams > this.#slots()
      const isLastSlot = !this.#fetcher.mayReadAhead(state, 1)
      const extra = isLastSlot ? Math.min(window, isCrowded ? CROWDED_BYTES : rangeBytes()) : 0
      const to = Math.min(Math.ceil((end + extra) / BLOCK_SIZE), blocks)
      this.#fetcher.fetch(source, first, to, state, isCrowded ? to : last)
    }
    const wanted = Math.min(state.next + window, size)
    while (state.frontier < wanted && this.#fetcher.mayReadAhead(state)) {
      const from = Math.floor(state.frontier / BLOCK_SIZE)
      const to = Math.min(Math.ceil((state.frontier + rangeBytes()) / BLOCK_SIZE), blocks)
      const reached = this.#fetcher.fetch(source, from, to, state, from)
      if (reached === from) return
      state.frontier = reached * BLOCK_SIZE
    }
  }

  /** True for a jump. */
  #advance(state: ReadState, offset: number, end: number): boolean {
    const near =
      offset >= state.next - SKIP_BYTES_MAX &&
      offset <= Math.max(state.next + SKIP_BYTES_MAX, state.frontier)
    if (near) {
      state.run += Math.max(0, end - Math.max(offset, state.next))
      state.next = Math.max(state.next, end)
      if (state.run >= CALM_BYTES) state.jumps = 0
      return false
    }
    state.jumps++
    state.run = 0
    state.next = end
    state.frontier = end
    this.#fetcher.cancel(state)
    return true
  }

  /** Read-ahead must not push its own blocks out of the cache before they are read. */
  #windowMax(content: ContentId): number {
    if (contentKey(content) === undefined) return UNKEPT_WINDOW_BYTES_MAX
    return Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, this.#blocks.stats().capacity / 4))
  }

  async #collect(source: Source, state: ReadState, offset: number, end: number): Promise<Buffer> {
    const first = Math.floor(offset / BLOCK_SIZE)
    const last = Math.ceil(end / BLOCK_SIZE)
    const parts: Buffer[] = []
    for (let index = first; index < last; index++) {
      const block = await this.#block(source, state, index)
      const from = index === first ? offset - index * BLOCK_SIZE : 0
      const to = index === last - 1 ? end - index * BLOCK_SIZE : block.length
      parts.push(from === 0 && to === block.length ? block : block.subarray(from, to))
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  async #block(source: Source, state: ReadState, index: number): Promise<Buffer> {
    const { content } = source
    for (let attempt = 0; ; attempt++) {
      const here = await this.#fetcher.local(content, index)
      if (here !== undefined) return here
      if (this.#fetcher.flight(content, index) === undefined)
        this.#fetcher.fetch(source, index, index + 1)
      const flight = this.#fetcher.flight(content, index)
      if (flight === undefined) {
        // It came meanwhile; or the disk has it and does not give it, for want of file handles.
        if (attempt >= ATTEMPTS_MAX) throw new VfsError('EIO', 'the cache cannot be read just now')
        if (attempt > 0) await sleep(attempt * PAUSE_MS)
        continue
      }
      try {
        return await this.#wait(flight.block, state, () => flight.range.progressMs)
      } catch (error) {
        // Read-ahead that somebody else cancelled, or that had no patience: a waiting reader asks
        // himself, once.
        const again =
          attempt === 0
            ? index >= flight.range.urgentEnd
            : attempt < ATTEMPTS_MAX && wasGivenUp(error)
        if (!again) throw error
      }
    }
  }

  /**
   * The kernel asks once more for what it did not get, and the program waits for both: the second
   * wait is short.
   */
  async #wait<T>(promise: Promise<T>, state: ReadState, progressMs: () => number): Promise<T> {
    const startMs = performance.now()
    const isAgain = state.timedOutMs !== undefined && startMs - state.timedOutMs < AGAIN_MS
    const timeoutMs = isAgain ? Math.min(AGAIN_TIMEOUT_MS, this.#timeoutMs) : this.#timeoutMs
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<never>((_, reject) => {
      const check = (): void => {
        const idleMs = performance.now() - Math.max(startMs, progressMs())
        if (idleMs >= timeoutMs) reject(new VfsError('ETIMEDOUT', 'no byte arrived in time'))
        else timer = setTimeout(check, timeoutMs - idleMs + 1)
      }
      timer = setTimeout(check, timeoutMs)
    })
    try {
      const result = await Promise.race([promise, limit])
      state.timedOutMs = undefined
      return result
    } catch (error) {
      // A machine that slept has not waited.
      const hasSlept = performance.now() - startMs > timeoutMs + SLEPT_MS
      if (!hasSlept && (isErrno(error, 'ETIMEDOUT') || isWeiyunError(error, 'TIMEOUT')))
        state.timedOutMs = performance.now()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * A content that is listed without a hash is known by whose version it is. It cannot be checked,
 * and the disk does not keep what it could give to somebody else.
 */
function identified(source: Source): Source {
  const { content, file } = source
  if (contentKey(content) !== undefined) return source
  return { ...source, content: { sha1: `${file.id}@${file.version}`, size: content.size } }
}
