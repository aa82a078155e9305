// Open files: the table of handles, and what system calls on a handle do. A handle reads one
// version of a file from open to close, unless programs on this machine write to the file: then
// everybody sees the writing.
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isWeiyunError } from '../weiyun/index.ts'
import type { AccountCache } from './account.ts'
import type { Checker } from './checker.ts'
import { VfsError } from './error.ts'
import type { Source } from './fetcher.ts'
import type { FileInode, RemoteFile } from './inode.ts'
import type { CachePolicy, KernelPages, Pages, Sent } from './kernel-pages.ts'
import { type Reader, ReadState } from './reader.ts'
import { isContent } from './remote.ts'
import type { Tree } from './tree.ts'
import type { WriteBack } from './writeback.ts'
import type { Writer } from './writer.ts'

/** How often it is looked whether a file that is being moved has arrived. */
const MOVE_POLL_MS = 50

export interface Opened extends CachePolicy {
  fh: number
}

interface Handle {
  readonly file: FileInode
  readonly writable: boolean
  readonly read: ReadState
  /** The version read as long as nobody here writes. */
  version: RemoteFile | undefined
  wrote: boolean
  /** What the kernel has under its path. */
  readonly pages: Pages
  /** It reads and writes through those. */
  readonly cached: boolean
}

export interface FilesOptions {
  tree: Tree
  reader: Reader
  checker: Checker
  writer: Writer
  writeBack: WriteBack
  account: AccountCache
  pages: KernelPages
  sourceOf: (version: RemoteFile) => Source
  /** Longest wait without progress, in ms. */
  timeoutMs: number
  /** `fsync` waits for the service, not for the disk alone. */
  fsyncRemote: boolean
  /** `close` waits for the upload and reports its failure. */
  closeUploads: boolean
}

export class Files {
  readonly #options: FilesOptions
  readonly #handles = new Map<number, Handle>()
  #lastFh = 0

  constructor(options: FilesOptions) {
    this.#options = options
  }

  async open(path: string, file: FileInode, flags: number): Promise<Opened> {
    const writable = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0
    file.opens++
    if (writable) file.writers++
    const version = file.remote
    const { pages, policy } = this.#options.pages.open(path, file, version)
    const handle: Handle = {
      file,
      writable,
      read: new ReadState(),
      version,
      wrote: false,
      pages,
      cached: !policy.directIo,
    }
    // From here on, although the kernel may have pages of it from before: they prove wrong
    // together.
    if (version !== undefined) handle.read.spoiled = this.#options.checker.spoiledSoFar(version)
    const fh = ++this.#lastFh
    this.#handles.set(fh, handle)
    try {
      if (writable && (flags & constants.O_TRUNC) !== 0) await this.#truncate(file, 0)
      if ((flags & constants.O_TRUNC) !== 0) handle.wrote = true
    } catch (error) {
      await this.release(fh)
      throw error
    }
    return { fh, ...policy }
  }

  /** The first handle of a file that was just made. */
  async create(path: string, file: FileInode, flags: number): Promise<Opened> {
    const opened = await this.open(path, file, flags & ~constants.O_TRUNC)
    this.#handle(opened.fh).wrote = true
    this.#options.writer.create(file)
    return opened
  }

  inodeOf(fh: number): FileInode {
    return this.#handle(fh).file
  }

  /** The size to show to whoever asks by a handle. */
  async sizeOf(fh: number): Promise<number> {
    const { file, pages } = this.#handle(fh)
    await this.#options.pages.showableOf(pages, file)
    return this.#options.pages.shownSizeOf(pages, file)
  }

  async read(fh: number, offset: number, length: number): Promise<Buffer> {
    const handle = this.#handle(fh)
    const { file } = handle
    for (;;) {
      const place = file.remote
      try {
        return await this.#read(handle, offset, length)
      } catch (error) {
        if (!isWeiyunError(error, 'NOT_FOUND', 'STALE')) throw error
        if (await this.#isElsewhere(file, place)) continue
        // Whoever opens it now is to find what the service has instead.
        if (place !== undefined) this.#options.writeBack.onDoubt(place.parent)
        throw new VfsError('ESTALE', 'the version that was opened is gone', { cause: error })
      }
    }
  }

  /**
   * Whether a file that was not found has another place on the service by now: while write-back is
   * at work on it, the service may have moved it without our having heard.
   */
  async #isElsewhere(file: FileInode, place: RemoteFile | undefined): Promise<boolean> {
    const endMs = performance.now() + this.#options.timeoutMs
    while (file.busy && file.remote === place && performance.now() < endMs)
      await sleep(MOVE_POLL_MS)
    return file.remote !== place
  }

  async #read(handle: Handle, offset: number, length: number): Promise<Buffer> {
    const { file, read, pages, cached } = handle
    const dirty = await this.#options.writer.read(file, read, offset, length)
    if (dirty !== undefined) return dirty
    await this.#options.writer.finished(file)
    const wanted = handle.version ?? file.remote
    if (wanted === undefined) return Buffer.alloc(0)
    if (cached && offset + length > wanted.size) await this.#options.pages.end(pages)
    return this.#options.reader.read(this.#options.sourceOf(wanted), read, offset, length)
  }

  async write(fh: number, bytes: Buffer, offset: number): Promise<void> {
    const handle = this.#handle(fh)
    if (!handle.writable) throw new VfsError('EBADF', 'not open for writing')
    const { file } = handle
    this.#checkSize(file, offset + bytes.length)
    this.#options.writeBack.interrupt(file)
    handle.wrote = true
    await this.#options.writer.write(file, bytes, offset)
  }

  async truncateFile(file: FileInode, size: number): Promise<void> {
    await this.#truncate(file, size)
    await this.#flush(file)
  }

  async truncate(fh: number, size: number): Promise<void> {
    const handle = this.#handle(fh)
    handle.wrote = true
    await this.#truncate(handle.file, size)
  }

  async flush(fh: number): Promise<void> {
    const handle = this.#handle(fh)
    if (handle.wrote) await this.#flush(handle.file)
  }

  async fsync(fh: number): Promise<void> {
    const { file } = this.#handle(fh)
    await this.#options.writer.promise(file, true)
    if (this.#options.fsyncRemote) await this.#uploaded(file)
  }

  async release(fh: number): Promise<void> {
    const { file, writable, wrote, read, pages, cached } = this.#handle(fh)
    this.#handles.delete(fh)
    this.#options.reader.release(read)
    file.opens--
    if (writable) file.writers--
    if (cached) this.#options.pages.release(pages)
    if (file.opens > 0) {
      // What was mapped into memory may be written after close(2).
      if (wrote && file.parent !== undefined) await this.#options.writer.promise(file)
      if (writable && file.writers === 0 && file.changedMs !== undefined)
        this.#options.writeBack.poke(file)
      return
    }
    if (file.parent === undefined) await this.#options.writer.discard(file)
    await this.#options.writer.release(file)
    // There was no room for so much as its header, as its writer has heard.
    const neverWas = file.stagedId === undefined && file.remote === undefined
    if (neverWas && file.parent !== undefined) this.#options.tree.detach(file)
    else if (file.parent === undefined) this.#options.tree.settle(file)
    else if (file.changedMs !== undefined) this.#options.writeBack.poke(file)
  }

  /**
   * Makes an empty new file a copy of a clean one without moving a byte: it is sent by the hashes
   * of the listing. Returns its size, or undefined where bytes have to be copied after all.
   */
  async clone(from: number, to: number, length: number): Promise<number | undefined> {
    const { writer } = this.#options
    const source = this.#handle(from)
    const target = this.#handle(to)
    const version = source.file.remote
    const isNew = target.file.remote === undefined && target.file.size === 0
    // Where bytes are to be sent, or never will be, they are only safe once they are here.
    if (!writer.uploadsByHash || target.file.localOnly) return undefined
    if (version === undefined || source.file.stagedId !== undefined || !isNew || !target.writable)
      return undefined
    // What the handle reads may be an older version, which the service does not have any more.
    if (source.version !== undefined && !isSameVersion(source.version, version)) return undefined
    if (version.sha1 === '' || version.size === 0 || version.size > length) return undefined
    this.#checkSize(target.file, version.size)
    target.wrote = true
    await writer.clone(target.file, version)
    return version.size
  }

  /** Our own upload made a new version of a file: whoever has it open reads on in that. */
  sent(file: FileInode, what: Sent): void {
    for (const handle of this.#handles.values()) {
      if (handle.file !== file) continue
      handle.version = file.remote
      handle.read.spoiled = undefined
    }
    this.#options.pages.sent(file, what)
    // It counts as used from now on.
    this.#unsent = Math.max(0, this.#unsent - file.size)
  }

  async #truncate(file: FileInode, size: number): Promise<void> {
    this.#checkSize(file, size)
    this.#options.writeBack.interrupt(file)
    await this.#options.writer.truncate(file, size)
  }

  async #flush(file: FileInode): Promise<void> {
    await this.#options.writer.promise(file)
    if (this.#options.closeUploads && !file.localOnly) await this.#uploaded(file)
  }

  async #uploaded(file: FileInode): Promise<void> {
    if (file.parent === undefined || file.localOnly) return
    await this.#options.writeBack.settled((inode) => inode === file, {
      idleMs: this.#options.timeoutMs,
    })
  }

  #checkSize(file: FileInode, size: number): void {
    const { account } = this.#options
    if (size <= file.size || file.localOnly) return
    if (size > account.limits.fileSizeMax)
      throw new VfsError('EFBIG', 'larger than any file the account may hold')
    const growth = size - file.size
    const quota = account.quota
    const fits = (forMs?: number): boolean =>
      quota === undefined || growth <= quota.total - quota.used - this.unsentBytes(forMs)
    // What was removed a moment ago has made room: only a sum of now may refuse.
    if (!fits() && !fits(0)) throw new VfsError('ENOSPC', 'the drive is full')
    // Counts at once: in the time until the sum is worked out again a fast writer fills any drive.
    this.#unsent += growth
  }

  /** Bytes that wait to be sent, and will take room on the drive; the sum may be `forMs` old. */
  unsentBytes(forMs = UNSENT_FOR_MS): number {
    if (performance.now() - this.#unsentMs < forMs) return this.#unsent
    this.#unsentMs = performance.now()
    this.#unsent = 0
    for (const inode of this.#options.tree.pending()) {
      if (inode.kind === 'file' && inode.stagedId !== undefined) this.#unsent += inode.size
    }
    return this.#unsent
  }

  #unsent = 0
  #unsentMs = Number.NEGATIVE_INFINITY

  #handle(fh: number): Handle {
    const handle = this.#handles.get(fh)
    if (handle === undefined) throw new VfsError('EBADF', 'no such handle')
    return handle
  }
}

function isSameVersion(one: RemoteFile, other: RemoteFile): boolean {
  return one.id === other.id && isContent(one, other)
}

/** The sum of what waits is worked out at most so often. */
const UNSENT_FOR_MS = 500
