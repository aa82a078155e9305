// The bytes of one dirty file: a sparse file on this disk that holds what was written, knows which
// ranges that is, and describes itself well enough to be taken up again without any other record.
//
// Promises: `extents` never names a byte that is not on disk as written. Operations on overlapping
// ranges happen in the order of the calls; all others run in parallel. What `describe` has written
// stays readable whatever happens to the next description.
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDir } from '../base/atomic.ts'
import { crashPoint } from '../base/crash.ts'
import { ExtentSet, type ReadonlyExtentSet } from '../base/extents.ts'
import { RangeLock } from './range-lock.ts'
import { PAGE_BYTES, type Share } from './space.ts'
import {
  DATA_START,
  encodeSlot,
  readSlot,
  type Slot,
  type StagedAbout,
  type StagedDescription,
  slotStart,
} from './staged-header.ts'

/**
 * With more ranges than this the owner should fill gaps, before the description outgrows its slot.
 */
export const EXTENTS_MAX = 1000

/** What the caller of `create` has reserved: the first page of each slot. */
export const HEADER_BYTES = 2 * PAGE_BYTES

/** What the area hands over with a file. */
export interface StagedFileParts {
  id: string
  path: string
  handle: FileHandle
  share: Share
  onClose: () => void
}

export class StagedFile {
  readonly id: string
  readonly path: string
  readonly dataStart = DATA_START
  readonly #handle: FileHandle
  readonly #share: Share
  readonly #onClose: () => void
  readonly #extents: ExtentSet
  readonly #lock = new RangeLock()
  // Pages of the file on disk, header included, that the share accounts for.
  readonly #paid = new ExtentSet()
  readonly #about: StagedAbout
  #size: number
  // Of the newest slot, and of the newest one that a power cut cannot take away.
  #sequence: number
  #safeSequence: number
  /** The file on disk may still be longer than `#size`, by bytes that are not to come back. */
  #cutting = false
  #describing: Promise<void> = Promise.resolve()
  #writeSeq = 0
  #nameIsSafe = false

  private constructor(parts: StagedFileParts, { sequence, description }: Slot) {
    const { size, extents, ...about } = description
    this.id = parts.id
    this.path = parts.path
    this.#handle = parts.handle
    this.#share = parts.share
    this.#onClose = parts.onClose
    this.#about = about
    this.#size = size
    this.#sequence = sequence
    // For all we know, the last process made the older slot safe and not the newer.
    this.#safeSequence = sequence - 1
    this.#extents = ExtentSet.fromJSON(extents)
  }

  /** A new one, not described yet. `size` is that of the base, whose bytes show through; else 0. */
  static create(parts: StagedFileParts, size: number): StagedFile {
    const now = Date.now()
    const about = { path: [], mtimeMs: now, atimeMs: now, ctimeMs: now, closed: false }
    const description = { ...about, size, extents: [] }
    const file = new StagedFile(parts, { sequence: 0, description, cutting: false })
    for (const start of [slotStart(0), slotStart(1)]) file.#paid.add(start, start + PAGE_BYTES)
    return file
  }

  /**
   * Takes up a file of `fileBytes` where its last process left it, appended bytes included.
   * Rejects with code EIO when it has no description, or lacks bytes that the description names (a
   * power cut before `sync`).
   */
  static async reopen(parts: StagedFileParts, fileBytes: number): Promise<StagedFile> {
    const slot = await readSlot(parts.handle, fileBytes)
    if (slot === undefined) throw unusable(parts.id, 'has no readable description')
    const file = new StagedFile(parts, slot)
    const dataBytes = fileBytes - DATA_START
    const { end } = file.#extents
    if (end > 0 && dataBytes < end) throw unusable(parts.id, 'lacks bytes that it should have')
    if (slot.cutting) {
      await parts.handle.truncate(DATA_START + file.size)
      await file.describe()
    }
    for (const [start, end] of file.#extents) file.#paid.add(...file.#pages(start, end))
    return file
  }

  get size(): number {
    return this.#size
  }

  /** What is written. */
  get extents(): ReadonlyExtentSet {
    return this.#extents
  }

  /**
   * Counts up when a change of bytes or size begins and again when it ends. Who finds the same
   * value later, and `writing` false at the first look, knows that nothing changed in between.
   */
  get writeSeq(): number {
    return this.#writeSeq
  }

  /** True while a change is under way. */
  get writing(): boolean {
    return this.#lock.busy
  }

  /** True when the description is about to outgrow its slot: fetch gaps and `fill` them. */
  get needsFill(): boolean {
    return this.#extents.ranges > EXTENTS_MAX
  }

  /** What `describe` would record now. */
  get description(): StagedDescription {
    return { ...this.#about, size: this.#size, extents: this.#extents.toJSON() }
  }

  /**
   * Writes all of `buffer`; what lies between the old end and `offset` counts as written zeros.
   * Rejects with code ENOSPC, before anything is written, when there is no room.
   */
  write(buffer: Buffer, offset: number): Promise<void> {
    return this.#change(offset, offset + buffer.length, () =>
      this.#put(buffer, offset, (until) => {
        this.#extents.add(Math.min(this.#size, offset), until)
        this.#size = Math.max(this.#size, until)
      }),
    )
  }

  /** Writes bytes of the base, only where nothing was written and only below `size`. */
  fill(buffer: Buffer, offset: number): Promise<void> {
    return this.#lock.run(offset, offset + buffer.length, async () => {
      const end = Math.min(offset + buffer.length, this.#size)
      for (const [from, to] of this.#extents.gaps(offset, end)) {
        const part = buffer.subarray(from - offset, to - offset)
        await this.#put(part, from, (until) => this.#extents.add(from, until))
      }
    })
  }

  /**
   * Reads [offset, offset + length) as far as the file goes. Only written bytes mean anything: ask
   * for what `extents` covers.
   */
  read(offset: number, length: number): Promise<Buffer> {
    const work = async () => {
      const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.#size - offset)))
      for (let done = 0; done < buffer.length; ) {
        const at = DATA_START + offset + done
        const { bytesRead } = await this.#handle.read(buffer, done, buffer.length - done, at)
        if (bytesRead > 0) {
          done += bytesRead
          continue
        }
        // Below `size`, but nothing was written so far out: the base shows through there.
        if (this.#extents.end > offset + done) throw unusable(this.id, 'lacks bytes that it had')
        return buffer.fill(0, done)
      }
      return buffer
    }
    return this.#lock.run(offset, offset + length, work, true)
  }

  /** Shrinks or grows; what is gained counts as written zeros. */
  truncate(size: number): Promise<void> {
    return this.#change(0, Number.POSITIVE_INFINITY, () =>
      size < this.#size ? this.#shrink(size) : this.#grow(size),
    )
  }

  /**
   * Records the state on disk, with what `change` tells anew; what it leaves out stays as it was.
   * A killed process cannot lose the record; a power cut can, until `sync`. Rejects with RangeError
   * when there are too many ranges for a slot (heed `needsFill`); the record before stays.
   */
  describe(change: Partial<StagedAbout> = {}): Promise<void> {
    Object.assign(this.#about, change)
    return this.#record()
  }

  /** Resolves once all that was written and described before would survive a power cut. */
  async sync(): Promise<void> {
    crashPoint('staging.sync')
    const sequence = this.#sequence
    await this.#handle.datasync()
    this.#safeSequence = sequence
    if (!this.#nameIsSafe) await syncDir(dirname(this.path))
    this.#nameIsSafe = true
    crashPoint('staging.synced')
  }

  /** Waits for what is under way. The bytes stay where they are. */
  async close(): Promise<void> {
    await this.#lock.run(0, Number.POSITIVE_INFINITY, () => this.#describing)
    await this.#handle.close()
    this.#onClose()
  }

  async #change(start: number, end: number, work: () => Promise<void>): Promise<void> {
    this.#writeSeq++
    try {
      await this.#lock.run(start, end, work)
    } finally {
      this.#writeSeq++
    }
  }

  // The new size is on record before the bytes go: the other way round, a crash in between would
  // leave a record of bytes that are gone. `cutting` tells them from bytes appended after the
  // record.
  async #shrink(size: number): Promise<void> {
    const before = this.#size
    const gaps = this.#extents.gaps(0, before)
    this.#size = size
    this.#extents.clip(size)
    this.#cutting = true
    try {
      if (this.#sequence > 0) await this.#record()
      crashPoint('staging.truncate')
      await this.#handle.truncate(DATA_START + size)
      crashPoint('staging.truncated')
    } catch (error) {
      this.#size = before
      this.#extents.add(0, before)
      for (const [start, end] of gaps) this.#extents.remove(start, end)
      throw error
    } finally {
      this.#cutting = false
      if (this.#sequence > 0) await this.#record()
    }
    this.#paid.clip(this.#pages(0, DATA_START + size)[1])
    const { blocks } = await this.#handle.stat()
    this.#share.charge(blocks * 512 - this.#share.bytes)
  }

  async #grow(size: number): Promise<void> {
    crashPoint('staging.truncate')
    await this.#handle.truncate(DATA_START + size)
    crashPoint('staging.truncated')
    this.#extents.add(this.#size, size)
    this.#size = size
  }

  #record(): Promise<void> {
    const recorded = this.#describing.then(() => this.#writeSlot())
    this.#describing = recorded.catch(() => {})
    return recorded
  }

  async #writeSlot(): Promise<void> {
    // Counted only once written, so that a failed slot is tried again and the good one stays.
    const sequence = this.#sequence + 1
    const slot = encodeSlot({ sequence, description: this.description, cutting: this.#cutting })
    const start = slotStart(sequence)
    // The slot that a sync made safe is not written over before the other one is as safe.
    if (sequence > 2 && this.#safeSequence === sequence - 2) {
      await this.#handle.datasync()
      this.#safeSequence = sequence - 1
    }
    // Without asking for room: a description is worth more than the bound.
    this.#share.charge(this.#unpaid(start, start + slot.length))
    this.#paid.add(...this.#pages(start, start + slot.length))
    crashPoint('staging.describe')
    await this.#writeAll(slot, start, () => {})
    this.#sequence = sequence
    crashPoint('staging.described')
  }

  /** Writes data; `written` hears how far it came, also when it fails midway. */
  async #put(data: Buffer, offset: number, written: (until: number) => void): Promise<void> {
    const start = DATA_START + offset
    const unpaid = this.#unpaid(start, start + data.length)
    if (unpaid > 0) await this.#share.reserve(unpaid)
    this.#paid.add(...this.#pages(start, start + data.length))
    crashPoint('staging.write')
    await this.#writeAll(data, start, (done) => written(offset + done))
    crashPoint('staging.written')
  }

  async #writeAll(data: Buffer, start: number, written: (done: number) => void): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.#handle.write(
        data,
        done,
        data.length - done,
        start + done,
      )
      if (bytesWritten === 0) throw unusable(this.id, 'takes no more bytes')
      done += bytesWritten
      written(done)
    }
  }

  /** What the pages of a range will take on disk beyond what is accounted for. */
  #unpaid(start: number, end: number): number {
    return this.#paid
      .gaps(...this.#pages(start, end))
      .reduce((sum, [from, to]) => sum + to - from, 0)
  }

  #pages(start: number, end: number): [start: number, end: number] {
    return [Math.floor(start / PAGE_BYTES) * PAGE_BYTES, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES]
  }
}

function unusable(id: string, reason: string): Error {
  return Object.assign(new Error(`staged file ${id} ${reason}`), { code: 'EIO' })
}
