// Dirty bytes: what programs write, in staging files on this disk, until write-back has sent them.
// Writing never asks the service; only filling the gaps of a partly written file does, when it is
// about to be sent.
import PQueue from 'p-queue'
import { ExtentSet, type ReadonlyExtentSet } from '../base/extents.ts'
import type { Logger } from '../base/log.ts'
import type { BlockCache } from '../cache/blocks.ts'
import { digestsOf } from '../cache/digest.ts'
import type { Hasher } from '../cache/hasher.ts'
import type { StagedAbout, StagedDescription, StagedFile, StagingArea } from '../cache/staging.ts'
import type { StateFile } from '../cache/state.ts'
import { isWeiyunError, type UploadSource, WeiyunError } from '../weiyun/index.ts'
import type { Checker } from './checker.ts'
import { isErrno, VfsError } from './error.ts'
import type { Source } from './fetcher.ts'
import type { FileInode, RemoteFile } from './inode.ts'
import type { Sent } from './kernel-pages.ts'
import { type Reader, ReadState } from './reader.ts'
import type { Tree } from './tree.ts'

/** Gaps are filled in steps of this size. */
const FILL_BYTES = 1024 * 1024
/** Up to this size, hashing at once takes less time than asking a thread for it. */
const SMALL_BYTES = 64 * 1024
/** A crash in this time costs the next run one look for a file that is not there. */
const FORGET_MS = 500
/** Staged files looked into at once. */
const LOOKS_MAX = 16

export interface WriterOptions {
  tree: Tree
  state: StateFile
  staging: StagingArea
  blocks: BlockCache
  reader: Reader
  checker: Checker
  hasher: Hasher
  /** The service takes hashes for bytes that it knows (see Drive.features). */
  uploadsByHash: boolean
  /** Where the bytes of a version can be fetched. */
  sourceOf: (version: RemoteFile) => Source
  log: Logger
}

/** What an upload sends, and how to tell afterwards whether it was still the whole truth. */
export interface Snapshot {
  readonly source: UploadSource
  /** CRC-32 of each 64 KiB block; undefined where the bytes never came here. */
  readonly crcs: Uint32Array | undefined
  unchanged(): boolean
}

/** A staged file while somebody works on it. */
interface Use {
  readonly file: Promise<StagedFile>
  users: number
  /** The bytes are saved or given up: whoever comes now starts with a new staged file. */
  retired: boolean
}

export class Writer {
  readonly #tree: Tree
  readonly #state: StateFile
  readonly #staging: StagingArea
  readonly #blocks: BlockCache
  readonly #reader: Reader
  readonly #checker: Checker
  readonly #hasher: Hasher
  readonly uploadsByHash: boolean
  readonly #sourceOf: (version: RemoteFile) => Source
  readonly #log: Logger
  readonly #uses = new Map<FileInode, Use>()
  /** Files whose bytes are on their way from the staging area into the cache. */
  readonly #finishing = new Map<FileInode, Promise<void>>()
  /**
   * Descriptors on their way out: opening the same file again has to wait for what they record
   * last.
   */
  readonly #closing = new Map<FileInode, Promise<void>>()
  /**
   * `writeSeq` of a staged file at its last promise, so that a close without writes costs nothing.
   */
  readonly #promised = new Map<string, number>()

  /** Staged files that are gone, and still on the discard list. */
  readonly #dropped = new Set<string>()
  #dropTimer: NodeJS.Timeout | undefined
  /** Files of an earlier run are looked into (see `#learnBases`). */
  #learning: Promise<void> | undefined
  #areBasesKnown = false
  #isClosed = false

  /** Called when an upload of ours became the version of a file. */
  onSent: (file: FileInode, sent: Sent) => void = () => {}

  constructor(options: WriterOptions) {
    this.#tree = options.tree
    this.#state = options.state
    this.#staging = options.staging
    this.#blocks = options.blocks
    this.#reader = options.reader
    this.#checker = options.checker
    this.#hasher = options.hasher
    this.uploadsByHash = options.uploadsByHash
    this.#sourceOf = options.sourceOf
    this.#log = options.log
  }

  /**
   * A new file is dirty from the start: it has to reach the service even when nothing is written.
   * Returns at once; whoever works on the file next waits for its bytes to have a place, and hears
   * when they cannot.
   */
  create(file: FileInode): void {
    this.#use(file, nothing, async () => {}).catch(() => {})
  }

  /** Gives a dirty file the bytes of a version that the service has, without fetching any. */
  async clone(file: FileInode, version: RemoteFile): Promise<void> {
    await this.#uses.get(file)?.file
    const before = await this.#retire(file)
    await this.#use(
      file,
      () => version,
      (staged) => this.#record(file, staged),
    )
    if (before !== undefined) await this.#drop(before)
  }

  /** Makes a clean file dirty without changing a byte of it, to send it anew. */
  async takeOver(file: FileInode): Promise<void> {
    await this.#use(file, remoteOf, (staged) => this.#record(file, staged))
  }

  async write(file: FileInode, bytes: Buffer, offset: number): Promise<void> {
    await this.#use(file, remoteOf, async (staged) => {
      const { base } = file
      await staged.write(bytes, offset)
      this.#wrote(file, staged)
      if (staged.needsFill) await this.#fill(file, staged, base)
    })
  }

  async truncate(file: FileInode, size: number): Promise<void> {
    if (size === 0 && file.lost) this.giveUpLost(file)
    await this.#use(file, size > 0 ? remoteOf : nothing, async (staged) => {
      await staged.truncate(size)
      this.#wrote(file, staged)
    })
  }

  /**
   * Reads a dirty file: what was written, and the version underneath where nothing was. Undefined:
   * it is clean by now.
   */
  async read(
    file: FileInode,
    state: ReadState,
    offset: number,
    length: number,
  ): Promise<Buffer | undefined> {
    return this.#useDirty(file, async (staged) => {
      // As of now: once the bytes are sent, the file has no base any more.
      const { base } = file
      const end = Math.min(offset + length, staged.size)
      if (end <= offset) return Buffer.alloc(0)
      const gaps = staged.extents.gaps(offset, end)
      const bytes = await staged.read(offset, end - offset)
      for (const [from, to] of gaps) {
        const under = await this.#underneath(base, state, from, to)
        under.copy(bytes, from - offset)
      }
      return bytes
    })
  }

  /**
   * Returns once the bytes written so far are in the journal under the name of now: a killed
   * process cannot lose them. `durable`: nor a power cut. Does nothing for a clean file.
   */
  async promise(file: FileInode, durable = false): Promise<void> {
    // Whoever closes a file hears too that nothing could be written to it.
    if (file.takenAway) await this.#uses.get(file)?.file
    await this.#useDirty(file, async (staged) => {
      if (!file.promised || this.#promised.get(staged.id) !== staged.writeSeq)
        await this.#record(file, staged)
      if (durable) await Promise.all([staged.sync(), this.#state.sync()])
    })
  }

  /**
   * Writes name and times of now into the staging file, so that it can tell them without the state
   * file.
   */
  async describe(file: FileInode): Promise<void> {
    if (file.promised && !file.lost)
      await this.#useDirty(file, (staged) => staged.describe(this.#about(file)))
  }

  /**
   * Takes the bytes as they are, gaps filled and hashed, and hands them to `work`; a clean file
   * has none.
   */
  async snapshot(file: FileInode, work: (snapshot: Snapshot) => Promise<void>): Promise<void> {
    await this.#useDirty(file, async (staged) => {
      const { base } = file
      const isClone = this.#isCopy(base, staged)
      if (!isClone) await this.#fill(file, staged, base)
      const seq = staged.writeSeq
      const unchanged = (): boolean =>
        file.stagedId === staged.id && !staged.writing && staged.writeSeq === seq
      const { size, path, dataStart } = staged
      const small = !isClone && size <= SMALL_BYTES ? await staged.read(0, size) : undefined
      const hashing =
        isClone || small !== undefined
          ? undefined
          : this.#hasher.hash([{ path, start: dataStart, length: size }])
      const hashed =
        small === undefined
          ? await hashing?.catch((error: unknown) => {
              throw unchanged() ? error : new WeiyunError('ABORTED', 'changed while it was hashed')
            })
          : digestsOf(small)
      const source: UploadSource = {
        size,
        sha1: hashed?.sha1 ?? base?.sha1 ?? '',
        md5: hashed?.md5 ?? base?.md5 ?? '',
        file: { path, start: dataStart },
        read: async (offset, length) => {
          // Only a service that does not know its own bytes asks for those of a clone.
          if (isClone) await this.#fill(file, staged, base)
          return small?.subarray(offset, offset + length) ?? staged.read(offset, length)
        },
      }
      return work({ source, crcs: hashed?.crcs, unchanged })
    })
  }

  /** The service has the bytes: the entry is clean, and the bytes become part of the read cache. */
  async finish(file: FileInode, snapshot: Snapshot): Promise<void> {
    const finishing = this.#finish(file, snapshot)
    this.#finishing.set(file, finishing)
    try {
      await finishing
    } finally {
      this.#finishing.delete(file)
    }
  }

  /** Resolves when the bytes that the service has got from here can be read from the cache. */
  async finished(file: FileInode): Promise<void> {
    await this.#finishing.get(file)?.catch(() => {})
  }

  async #finish(file: FileInode, { source, crcs }: Snapshot): Promise<void> {
    const id = await this.#retire(file, (sent) => this.onSent(file, sent))
    if (id === undefined) return
    if (crcs !== undefined) {
      const content = { sha1: source.sha1, size: source.size }
      await this.#blocks.adopt(content, source.file.path, source.file.start, crcs)
      this.#checker.adopted(content, crcs)
    }
    await this.#drop(id)
  }

  /**
   * The file is being removed: after a crash its unsaved bytes must not bring it back. Whoever has
   * it open keeps them.
   */
  renounce(file: FileInode): void {
    if (file.stagedId !== undefined && file.promised) this.#state.discard(file.stagedId)
  }

  /** Drops the unsaved bytes of a removed file. */
  async discard(file: FileInode): Promise<void> {
    await this.#uses.get(file)?.file.catch(() => {}) // it may just be on its way into being
    const id = await this.#retire(file)
    if (id !== undefined) await this.#drop(id)
  }

  /**
   * To be called before the version that the service has of a file goes from there: unsent files
   * that need bytes of it get them now. ABORTED when one that has turned up just now could be
   * waited for instead (see plan.ts).
   */
  async rescue(file: FileInode): Promise<void> {
    if (file.remote === undefined) return
    const isNews = await this.#learnBases()
    const others = this.#tree.bases.over(file)
    if (isNews && others.some(({ isCopy }) => isCopy))
      throw new WeiyunError('ABORTED', 'there is an unsent copy of it')
    for (const other of others) await this.#fetchBase(other)
  }

  /** Lets go of the descriptor of a file that nobody has open any more. */
  async release(file: FileInode): Promise<void> {
    const use = this.#uses.get(file)
    if (use !== undefined) await this.#closeUnused(file, use)
  }

  /** Closes what is open; the bytes stay. */
  async close(): Promise<void> {
    for (const [file, use] of this.#uses) await this.#close(file, use)
    await Promise.all(this.#closing.values())
    this.#isClosed = true
    this.#forgetDropped()
  }

  /** Finishes removals that an earlier run was killed in. */
  async sweep(): Promise<void> {
    for (const id of this.#state.discarded()) await this.#drop(id)
  }

  /** There is something instead of the bytes that are lost, or is going to be. */
  giveUpLost(file: FileInode): void {
    file.lost = false
    file.stagedId = undefined
    file.promised = false
    file.stagedSize = 0
    this.#tree.touch(file)
  }

  async #drop(id: string): Promise<void> {
    this.#promised.delete(id)
    await this.#staging.remove(id)
    this.#dropped.add(id)
    if (this.#isClosed) return
    this.#dropTimer ??= setTimeout(() => this.#forgetDropped(), FORGET_MS).unref()
  }

  /** Together, for one at a time they cost as much as what they stand for. */
  #forgetDropped(): void {
    clearTimeout(this.#dropTimer)
    this.#dropTimer = undefined
    this.#state.transaction(() => {
      for (const id of this.#dropped) this.#state.forgetDiscarded(id)
    })
    this.#dropped.clear()
  }

  /**
   * Parts a file from its unsaved bytes, at once and in one transaction. Returns the id of the
   * staged file, which is on record to be dropped; whoever still works on it goes on with the old
   * one.
   */
  async #retire(
    file: FileInode,
    then: (sent: Sent) => void = () => {},
  ): Promise<string | undefined> {
    const id = file.stagedId
    if (id === undefined) return undefined
    const use = this.#uses.get(file)
    this.#uses.delete(file)
    if (use !== undefined) use.retired = true
    const { base } = file
    file.stagedId = undefined
    file.base = undefined
    file.isCopy = false
    this.#tree.bases.note(file, undefined)
    file.promised = false
    file.stagedSize = 0
    this.#tree.transaction(() => {
      this.#state.discard(id)
      this.#tree.touch(file)
    })
    then({ id, base })
    if (use?.users === 0) await this.#close(file, use)
    return id
  }

  #wrote(file: FileInode, staged: StagedFile): void {
    file.isCopy = false
    file.stagedSize = staged.size
    file.writtenMs = performance.now()
    const now = Date.now()
    file.own.mtime = [Math.floor(now / 1000), (now % 1000) * 1_000_000]
  }

  #about(file: FileInode): StagedAbout {
    const at = (time: readonly [number, number] | undefined): number =>
      time ? time[0] * 1000 + time[1] / 1e6 : file.mtimeMs
    const about: StagedAbout = {
      path: this.#tree.path(file),
      mtimeMs: at(file.own.mtime),
      atimeMs: at(file.own.atime),
      ctimeMs: file.ctimeMs,
      closed: true,
    }
    if (file.own.mode !== undefined) about.mode = file.own.mode
    if (file.base !== undefined) about.base = { ...file.base }
    const replaces = file.remote ?? file.predecessor
    about.extra = replaces === undefined ? null : { sha1: replaces.sha1, size: replaces.size }
    return about
  }

  /** `base`: as it was when the caller began to work on the staged file. */
  async #fill(file: FileInode, staged: StagedFile, base: RemoteFile | undefined): Promise<void> {
    await this.#checkBase(base, staged)
    const state = new ReadState()
    const gaps = staged.extents.gaps(0, staged.size)
    for (const [start, end] of gaps) {
      for (let at = start; at < end; at += FILL_BYTES) {
        const to = Math.min(at + FILL_BYTES, end)
        await staged.fill(await this.#underneath(base, state, at, to), at)
      }
    }
    this.#reader.release(state)
    // From here on the bytes underneath may go: the new version must not need them after a crash.
    if (gaps.length > 0 && file.promised) await staged.describe()
    if (file.stagedId === staged.id) this.#noteBase(file, base, staged)
  }

  async #fetchBase(file: FileInode): Promise<void> {
    try {
      await this.#useDirty(file, async (staged) => {
        await this.#fill(file, staged, file.base)
        // What was safe on the service is to be as safe here.
        await staged.sync()
      })
    } catch (error) {
      // Nobody has them any more.
      if (!isErrno(error, 'ESTALE') && !isWeiyunError(error, 'NOT_FOUND', 'STALE')) throw error
    }
  }

  #noteBase(file: FileInode, base: RemoteFile | undefined, staged: StagedBytes): void {
    file.isCopy = this.#isCopy(base, staged)
    const gaps = staged.extents.gaps(0, Math.min(base?.size ?? 0, staged.size))
    this.#tree.bases.note(file, gaps.length > 0 ? base : undefined)
  }

  #isCopy(base: RemoteFile | undefined, { size, extents }: StagedBytes): boolean {
    return this.uploadsByHash && extents.bytes === 0 && base?.size === size && size > 0
  }

  /**
   * Which version a file needs is known once it was opened in this run. The others are looked into
   * when somebody has to know: true for those who waited for that.
   */
  async #learnBases(): Promise<boolean> {
    if (this.#areBasesKnown) return false
    this.#learning ??= this.#lookIntoUnopened()
    await this.#learning
    this.#areBasesKnown = true
    return true
  }

  async #lookIntoUnopened(): Promise<void> {
    const queue = new PQueue({ concurrency: LOOKS_MAX })
    const look = async (file: FileInode, id: string): Promise<void> => {
      const found = await this.#staging.describe(id).catch(() => undefined)
      await this.#uses.get(file)?.file.catch(() => {}) // it may be opened just now
      const wasOpened = file.stagedId !== id || this.#promised.has(id) || this.#uses.has(file)
      if (wasOpened || found?.base == null) return
      const { size, base } = found
      const extents = ExtentSet.fromJSON(found.extents)
      this.#noteBase(file, base as unknown as RemoteFile, { size, extents })
    }
    const looks = this.#state.withStaged().flatMap((ino) => {
      const file = this.#tree.get(ino)
      const id = file?.kind === 'file' ? file.stagedId : undefined
      if (file?.kind !== 'file' || id === undefined || this.#promised.has(id)) return []
      return [() => look(file, id)]
    })
    await queue.addAll(looks)
  }

  /**
   * What comes from the old version is to be part of a new one: a wrong byte would get a right hash
   * there. Rejects with ESTALE when that version is gone.
   */
  async #checkBase(base: RemoteFile | undefined, staged: StagedFile): Promise<void> {
    const gaps = staged.extents.gaps(0, Math.min(base?.size ?? 0, staged.size))
    if (base === undefined || gaps.length === 0) return
    try {
      await this.#reader.ensureRight(this.#sourceOf(base))
    } catch (error) {
      if (!isWeiyunError(error, 'NOT_FOUND', 'STALE')) throw error
      throw new VfsError('ESTALE', 'the version that was edited in place is gone', { cause: error })
    }
  }

  async #underneath(
    base: RemoteFile | undefined,
    state: ReadState,
    from: number,
    to: number,
  ): Promise<Buffer> {
    const bytes =
      base === undefined
        ? Buffer.alloc(0)
        : await this.#reader.read(this.#sourceOf(base), state, from, to - from)
    return bytes.length === to - from ? bytes : Buffer.concat([bytes], to - from)
  }

  /** Works on the staged file, opening or making it; the bytes of `base` show through a new one. */
  async #use<T>(file: FileInode, base: Base, work: (staged: StagedFile) => Promise<T>): Promise<T> {
    for (;;) {
      const done = await this.#tryUse(file, () => this.#open(file, base), work)
      if (done !== undefined) return done.result
    }
  }

  /** The same, for what only dirty files need. A file may become clean while it is waited for. */
  async #useDirty<T>(
    file: FileInode,
    work: (staged: StagedFile) => Promise<T>,
  ): Promise<T | undefined> {
    // A new file gets its place behind the back of whoever made it.
    if (file.stagedId === undefined && !file.takenAway) await this.#uses.get(file)?.file
    while (file.stagedId !== undefined) {
      const done = await this.#tryUse(file, () => this.#open(file, nothing), work)
      if (done !== undefined) return done.result
    }
    return undefined
  }

  /** Undefined when the bytes were saved or given up before the work could begin. */
  async #tryUse<T>(
    file: FileInode,
    open: () => Promise<StagedFile>,
    work: (staged: StagedFile) => Promise<T>,
  ): Promise<{ result: T } | undefined> {
    const closing = this.#closing.get(file)
    if (closing !== undefined) {
      await closing
      return undefined
    }
    const use = this.#uses.get(file) ?? {
      file: open().then((staged) => {
        this.#noteBase(file, file.base, staged)
        return staged
      }),
      users: 0,
      retired: false,
    }
    this.#uses.set(file, use)
    // Whoever comes later tries anew, unless it is new: then nobody else will tell its maker.
    use.file.catch(() => {
      const isKnown = file.remote !== undefined && !file.takenAway
      if (isKnown && this.#uses.get(file) === use) this.#uses.delete(file)
    })
    use.users++
    try {
      const staged = await use.file
      return use.retired ? undefined : { result: await work(staged) }
    } finally {
      use.users--
      await this.#closeUnused(file, use)
    }
  }

  /**
   * A clean file, or one that nobody has open, needs no descriptor: ten thousand may be waiting.
   */
  async #closeUnused(file: FileInode, use: Use): Promise<void> {
    if (use.users > 0 || !(use.retired || file.opens === 0)) return
    if (this.#uses.get(file) === use) this.#uses.delete(file)
    if (use.retired) return this.#close(file, use)
    const closing = this.#close(file, use).finally(() => this.#closing.delete(file))
    this.#closing.set(file, closing)
    await closing
  }

  async #close(file: FileInode, use: Use): Promise<void> {
    try {
      const staged = await use.file
      // Without a record the bytes could not be taken up again; `truncate` without `open` comes by
      // here.
      try {
        if (!use.retired && this.#promised.get(staged.id) !== staged.writeSeq)
          await this.#record(file, staged)
      } finally {
        await staged.close()
      }
    } catch (error) {
      if (file.lost || file.takenAway) return // there is nothing to close
      this.#log.error(
        { err: error, path: this.#tree.path(file).join('/') },
        'a staged file could not be closed',
      )
    }
  }

  async #record(file: FileInode, staged: StagedFile): Promise<void> {
    // What was removed while open must not describe itself, or a crash would bring it back.
    if (file.parent === undefined) return
    const seq = staged.writeSeq
    await staged.describe(this.#about(file))
    if (file.stagedId !== staged.id) return
    this.#promised.set(staged.id, seq)
    file.promised = true
    this.#tree.touch(file)
  }

  async #open(file: FileInode, baseOf: Base): Promise<StagedFile> {
    const isWhole = file.lost && file.stagedSize === 0
    if (file.stagedId !== undefined && !isWhole) {
      const staged = await this.#staging.open(file.stagedId).catch((error: unknown) => {
        if (!isErrno(error, 'ENOENT')) throw error
        throw new VfsError('EIO', 'its unsent bytes are missing', { cause: error })
      })
      // Counted anew by each object. Bytes may have been appended after the last record.
      if (file.promised && file.stagedSize === staged.size)
        this.#promised.set(staged.id, staged.writeSeq)
      else this.#promised.delete(staged.id)
      file.stagedSize = staged.size
      file.base = staged.description.base as unknown as RemoteFile | undefined
      file.predecessor = predecessorOf(staged.description)
      return staged
    }
    // Nobody would see what is written, and the writer would never know.
    if (file.takenAway) throw new VfsError('ESTALE', 'another device removed or replaced it')
    const base = baseOf(file)
    const staged = await this.#staging.create({ size: base?.size ?? 0 })
    if (base !== baseOf(file) || file.takenAway) {
      // A listing brought another version meanwhile, over which what is written goes, or took the
      // file away.
      await staged.close()
      await this.#staging.remove(staged.id)
      return this.#open(file, baseOf)
    }
    file.base = base
    file.stagedId = staged.id
    file.stagedSize = staged.size
    file.promised = false
    file.lost = false
    this.#tree.touch(file)
    return staged
  }
}

/**
 * The version whose bytes show through a new staged file, as of the moment at which that is made.
 */
type Base = (file: FileInode) => RemoteFile | undefined

/** The part of a staged file that its description tells as well. */
type StagedBytes = { readonly size: number; readonly extents: ReadonlyExtentSet }

const remoteOf: Base = (file) => file.remote
const nothing: Base = () => undefined

/** What `Writer` noted in a staged file of the version that its bytes are to replace. */
export function predecessorOf({ extra }: StagedDescription): FileInode['predecessor'] {
  return (extra ?? undefined) as unknown as FileInode['predecessor']
}
