// The file system: a method for each system call that names a path, and the life of the parts
// behind it. Paths come in and end here; everything further down knows inodes.
import { setMaxListeners } from 'node:events'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../base/log.ts'
import { BlockCache } from '../cache/blocks.ts'
import { lockCacheDir, openCacheDir } from '../cache/cachedir.ts'
import { Hasher } from '../cache/hasher.ts'
import { Space } from '../cache/space.ts'
import { StagingArea } from '../cache/staging.ts'
import type { StateFile } from '../cache/state.ts'
import {
  type DirRef,
  type Drive,
  type Session,
  type Traffic,
  WeiyunError,
} from '../weiyun/index.ts'
import { AccountCache } from './account.ts'
import {
  getXattr,
  listXattrs,
  type Ownership,
  removeXattr,
  type Stat,
  type StatFs,
  setXattr,
  statFsOf,
  statOf,
  type Timespec,
} from './attr.ts'
import { NoRoot, VfsError } from './error.ts'
import { Fetcher, type Source } from './fetcher.ts'
import { Files, type Opened } from './files.ts'
import type { DirInode, FileInode, Inode, RemoteFile } from './inode.ts'
import { Keep, type KeepAction, type KeepCall, type KeepProgress } from './keep.ts'
import { Listings } from './listing.ts'
import { localOnlyMatcher } from './local-only.ts'
import { checkName, isTooLong, toShown } from './names.ts'
import { Reader } from './reader.ts'
import { noteClosed, openState, recover } from './recover.ts'
import { Steps } from './steps.ts'
import { Tree } from './tree.ts'
import { Walk } from './walk.ts'
import { type Connection, WriteBack } from './writeback.ts'
import { Writer } from './writer.ts'

export type { Stat, Timespec } from './attr.ts'
export type { Opened } from './files.ts'
export type { KeepAction, KeepProgress } from './keep.ts'

/** Blocks held in memory for all open files together, in bytes. */
const MEMORY_BYTES = 64 * 1024 * 1024
/** Longest wait of a call that needs a listing, in ms. */
const METADATA_MS = 10_000
/** At the end, how long replies to commands under way are waited for, in ms. */
const LAST_REPLY_MS = 2_000
const RENAME_NOREPLACE = 1
/** libfuse renames a file to this when it is removed while open. */
const HIDDEN = /^\.fuse_hidden[0-9a-f]+$/u
/**
 * A file manager that finds no trash folder deletes for good, which on the drive is the recycle
 * bin.
 */
const TRASH = /^\.Trash(?:-\d+)?$/u

export interface VfsOptions extends Ownership {
  dirTtlMs: number
  /** Quiet time before an upload, in ms; 0: close(2) waits for it. */
  writeBackMs: number
  fsync: 'local' | 'remote'
  /** Folder of the drive to show, `/` for all of it. */
  root: string
  readOnly: boolean
  /** Shell patterns of names that never leave this machine. */
  localOnly: readonly string[]
  cacheSize: number
  /** Longest wait of a call without progress, in ms. */
  timeoutMs: number
}

export interface VfsParts {
  drive: Drive
  stateDir: string
  cacheDir: string
  log: Logger
  options: VfsOptions
}

export interface PendingEntry {
  path: string
  size: number
  /** Bytes of it that the service has. */
  sent: number
  state: 'open' | 'waiting' | 'uploading' | 'removing' | 'error'
  /** Bytes a second since this attempt began to send; absent while nothing is on its way. */
  rate?: number
  error?: string
  /** Name of the failure, for those who want to say it in other words; unknown after a restart. */
  code?: string
  /** Seconds since the oldest unsaved change. */
  age: number
}

export interface VfsStatus {
  pid: number
  state: 'ready' | 'draining'
  pending: PendingEntry[]
  quota?: { total: number; used: number }
  /** Sizes in bytes; `hits` and `misses` count blocks of 64 KiB that were asked for. */
  cache: { bytes: number; capacity: number; pinned: number; hits: number; misses: number }
  traffic: Traffic
  session: Connection
}

export interface Left {
  files: number
  bytes: number
}

/** An entry of a directory, as readdir(3) shows it. */
export interface DirItem {
  name: string
  stat: Stat
}

export class Vfs {
  readonly #parts: VfsParts
  readonly #state: StateFile
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #walk: Walk
  readonly #account: AccountCache
  readonly #space: Space
  readonly #blocks: BlockCache
  readonly #staging: StagingArea
  readonly #hasher: Hasher
  readonly #fetcher: Fetcher
  readonly #writer: Writer
  readonly #writeBack: WriteBack
  readonly #keep: Keep
  readonly #isLocalOnly: (name: string) => boolean
  readonly #release: () => void
  readonly #sent = new Map<FileInode, Sending>()
  /** Files removed while open, by the names under which libfuse goes on asking for them. */
  readonly #hidden = new Map<string, FileInode>()
  readonly #ending = new AbortController()
  #rooting: Promise<void> | undefined
  #draining = false
  #isRecovered = false
  readonly files: Files

  private constructor(parts: VfsParts, opened: OpenedCache) {
    const { drive, log, options } = parts
    const { state, space, blocks, staging, hasher, release } = opened
    this.#parts = parts
    this.#state = state
    this.#space = space
    this.#blocks = blocks
    this.#staging = staging
    this.#hasher = hasher
    this.#release = release
    const tree = new Tree(state, drive.features)
    const account = new AccountCache({ drive, state, log })
    const slots = (): number => account.limits.downloadsMax
    const ending = this.#ending.signal
    setMaxListeners(0, ending)
    const listings = new Listings({ tree, drive, ttlMs: options.dirTtlMs, ending, log })
    const fetcher = new Fetcher({ drive, blocks, memoryBytes: MEMORY_BYTES, slots })
    const reader = new Reader({ fetcher, blocks, hasher, slots, timeoutMs: options.timeoutMs, log })
    const sourceOf = (version: RemoteFile): Source => this.#sourceOf(version)
    const writer = new Writer({
      tree,
      state,
      staging,
      blocks,
      reader,
      hasher,
      uploadsByHash: drive.features.uploadsByHash,
      sourceOf,
      log,
    })
    const onProgress = (file: FileInode, sent: number): void => {
      this.#noteSent(file, sent)
      this.#writeBack.progress()
    }
    const steps = new Steps({ tree, listings, writer, drive, ending, onProgress })
    const writeBack = new WriteBack({
      tree,
      steps,
      limits: () => account.limits,
      quietMs: options.writeBackMs,
      log,
    })
    const files = new Files({
      tree,
      reader,
      writer,
      writeBack,
      account,
      sourceOf,
      timeoutMs: options.timeoutMs,
      fsyncRemote: options.fsync === 'remote',
      closeUploads: options.writeBackMs === 0,
    })
    const ensure = (dir: DirInode): Promise<void> => this.#ensure(dir)
    this.#keep = new Keep({ tree, reader, blocks, ensure, sourceOf, slots })
    listings.onOutcome = (error) => writeBack.heard(error)
    listings.onFound = (file) => writer.giveUpLost(file)
    listings.isReachable = () => writeBack.connection !== 'unreachable'
    writer.onSent = (file) => {
      this.#sent.delete(file)
      account.spent(file.size)
      files.sent(file)
    }
    writeBack.onFull = () => void account.refresh().catch(() => {})
    writeBack.onExpired = () =>
      void account.refresh().then(
        () => writeBack.heard(undefined),
        () => {},
      )
    writeBack.onDoubt = (ino) => {
      const dir = tree.dir(ino)
      listings.renew(dir, 'background').catch(() => {})
    }
    this.#tree = tree
    this.#account = account
    this.#listings = listings
    this.#walk = new Walk({ tree, listings, lanes: () => account.limits.listingsMax })
    this.#fetcher = fetcher
    this.#writer = writer
    this.#writeBack = writeBack
    this.files = files
    this.#isLocalOnly = localOnlyMatcher(options.localOnly)
  }

  /**
   * Opens state and caches, takes up what an earlier run left unsent, and is ready to serve:
   * without network and without a valid session too, if the drive was seen before. Rejects when
   * nothing can be served.
   */
  static async open(parts: VfsParts): Promise<Vfs> {
    const opened = await openCache(parts)
    const vfs = new Vfs(parts, opened)
    try {
      await recover({
        tree: vfs.#tree,
        state: vfs.#state,
        staging: vfs.#staging,
        writer: vfs.#writer,
        log: parts.log,
      })
      vfs.#isRecovered = true
      await vfs.#findRoot()
      vfs.#writeBack.start()
      return vfs
    } catch (error) {
      await vfs.close()
      throw error
    }
  }

  /** How long a listing is taken as true, in ms: no cache above may keep it longer. */
  get ttlMs(): number {
    return this.#parts.options.dirTtlMs
  }

  /** Called with the path of an entry that changed without the kernel knowing. */
  set onInvalid(report: (path: string) => void) {
    this.#tree.onInvalid = (dir, name) => report(`/${[...this.#tree.path(dir), name].join('/')}`)
  }

  async getattr(path: string): Promise<Stat> {
    const inode = await this.#resolve(path)
    if (inode.kind === 'file') inode.unseen = false
    return this.#stat(inode)
  }

  getattrOf(fh: number): Stat {
    return statOf(this.files.inodeOf(fh), this.#parts.options, this.files.sizeOf(fh))
  }

  async readdir(path: string): Promise<DirItem[]> {
    const dir = await this.#resolveDir(path)
    await this.#ensure(dir)
    this.#walk.step(dir)
    return [...this.#tree.children(dir)].flatMap(([name, ino]) => {
      const inode = this.#tree.get(ino)
      return inode === undefined ? [] : [{ name, stat: this.#stat(inode) }]
    })
  }

  /**
   * Rejects with ESTALE, once, when another device changed the content since its attributes were
   * asked for: whoever opens it is to ask for them first, as the kernel then does by itself.
   */
  async open(path: string, flags: number): Promise<Opened> {
    if ((flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0) this.#checkWritable()
    const file = await this.#resolveFile(path)
    if (file.unseen) {
      // The kernel may still have the old size, and would cut the new bytes to it.
      file.unseen = false
      throw new VfsError('ESTALE', 'changed since its attributes were asked for')
    }
    return this.files.open(file, flags)
  }

  async create(path: string, mode: number, flags: number): Promise<Opened> {
    this.#checkWritable()
    const { dir, name } = await this.#resolveParent(path)
    const present = await this.#child(dir, name)
    if (present?.kind === 'dir') throw new VfsError('EISDIR', 'is a directory')
    if (present !== undefined) {
      if ((flags & constants.O_EXCL) !== 0) throw new VfsError('EEXIST', 'exists')
      return this.files.open(present, flags)
    }
    this.#checkNew(dir, name)
    const file = this.#tree.create('file', dir, name)
    file.localOnly = this.#isLocalOnly(name)
    this.#setMode(file, mode)
    return this.files.create(file, flags)
  }

  async truncate(path: string, size: number): Promise<void> {
    this.#checkWritable()
    await this.files.truncateFile(await this.#resolveFile(path), size)
  }

  async mkdir(path: string, mode: number): Promise<void> {
    this.#checkWritable()
    const { dir, name } = await this.#resolveParent(path)
    if ((await this.#child(dir, name)) !== undefined) throw new VfsError('EEXIST', 'exists')
    if (TRASH.test(name)) throw new VfsError('EPERM', 'the drive has a recycle bin of its own')
    this.#checkNew(dir, name)
    if (this.#tree.path(dir).length >= this.#account.limits.depthMax) {
      throw new VfsError('ENAMETOOLONG', 'deeper than the drive allows')
    }
    const made = this.#tree.create('dir', dir, name)
    this.#setMode(made, mode)
    this.#tree.save(made)
    await this.#settleIfStrict(made)
  }

  async unlink(path: string): Promise<void> {
    this.#checkWritable()
    const inode = await this.#resolve(path)
    if (inode.kind === 'dir') throw new VfsError('EISDIR', 'is a directory')
    if (this.#hidden.delete(baseName(path))) return
    await this.#unlink(inode)
  }

  async rmdir(path: string): Promise<void> {
    this.#checkWritable()
    const dir = await this.#resolveDir(path)
    if (dir === this.#tree.root) throw new VfsError('EBUSY', 'the root of the mount')
    await this.#checkEmpty(dir)
    this.#tree.detach(dir)
    await this.#settleIfStrict(dir)
  }

  async rename(from: string, to: string, flags: number): Promise<void> {
    this.#checkWritable()
    if ((flags & ~RENAME_NOREPLACE) !== 0)
      throw new VfsError('EINVAL', 'only RENAME_NOREPLACE is supported')
    const inode = await this.#resolve(from)
    const { dir, name } = await this.#resolveParent(to)
    if (inode.kind === 'file' && HIDDEN.test(name)) {
      this.#hidden.set(name, inode)
      return this.#unlink(inode)
    }
    const victim = await this.#child(dir, name)
    if (victim === inode) return
    if (victim !== undefined && (flags & RENAME_NOREPLACE) !== 0)
      throw new VfsError('EEXIST', 'exists')
    if (inode.kind === 'dir' && this.#tree.isBelow(dir, inode))
      throw new VfsError('EINVAL', 'into itself')
    if (victim !== undefined) await this.#checkReplaceable(inode, victim)
    if (victim === undefined || dir.ino !== inode.parent) this.#checkNew(dir, name)
    // While we waited the place may have changed hands.
    const isStale = this.#tree.lookup(dir, name) !== victim || inode.parent === undefined
    if (isStale) return this.rename(from, to, flags)
    this.#tree.transaction(() => {
      if (victim !== undefined) this.#detach(victim)
      if (inode.kind === 'file') this.#setLocalOnly(inode, this.#isLocalOnly(name))
      this.#tree.place(inode, dir, name)
    })
    if (victim?.kind === 'file') await this.#discardUnsent(victim)
    if (inode.kind === 'file') await this.#writer.describe(inode)
    await this.#settleIfStrict(inode)
  }

  async statfs(): Promise<StatFs> {
    const { limits } = this.#account
    return statFsOf(this.#account.quota, this.files.unsentBytes(), limits.nameLengthMax, 200_000)
  }

  async chmod(path: string | null, fh: number, mode: number): Promise<void> {
    const inode = await this.#target(path, fh)
    inode.own.mode = mode & 0o7777
    await this.#saveOwn(inode)
  }

  /** An id of -1 (unsigned 32 bits) stays as it is. */
  async chown(path: string | null, fh: number, uid: number, gid: number): Promise<void> {
    const inode = await this.#target(path, fh)
    if (uid !== 0xffffffff && uid !== -1) inode.own.uid = uid
    if (gid !== 0xffffffff && gid !== -1) inode.own.gid = gid
    await this.#saveOwn(inode)
  }

  /** `undefined` leaves a time as it is. */
  async utimens(
    path: string | null,
    fh: number,
    atime: Timespec | undefined,
    mtime: Timespec | undefined,
  ): Promise<void> {
    const inode = await this.#target(path, fh)
    if (atime !== undefined) inode.own.atime = [atime.seconds, atime.nanoseconds]
    if (mtime !== undefined) inode.own.mtime = [mtime.seconds, mtime.nanoseconds]
    await this.#saveOwn(inode)
  }

  async getxattr(path: string, name: string): Promise<Buffer> {
    // Asked for by the kernel before every write (security.capability).
    if (!name.startsWith('user.')) throw new VfsError('ENODATA', 'no such attribute')
    const inode = await this.#resolve(path)
    return getXattr(inode, name, this.#stateOf(inode))
  }

  async listxattr(path: string): Promise<string[]> {
    const inode = await this.#resolve(path)
    return listXattrs(inode, this.#stateOf(inode))
  }

  async setxattr(path: string, name: string, value: Buffer, flags: number): Promise<void> {
    this.#checkWritable()
    const inode = await this.#resolve(path)
    setXattr(inode, name, value, flags)
    await this.#saveOwn(inode)
  }

  async removexattr(path: string, name: string): Promise<void> {
    this.#checkWritable()
    const inode = await this.#resolve(path)
    removeXattr(inode, name)
    await this.#saveOwn(inode)
  }

  status(): VfsStatus {
    const quota = this.#account.quota
    return {
      pid: process.pid,
      state: this.#draining ? 'draining' : 'ready',
      pending: this.#tree.pending().map((inode) => this.#pendingEntry(inode)),
      ...(quota !== undefined && { quota }),
      cache: this.#cacheStatus(),
      traffic: this.#parts.drive.traffic,
      session: this.#writeBack.connection,
    }
  }

  /**
   * Waits until everything below a path (all without one) is on the service; rejects with what
   * stands in the way.
   */
  async sync(path?: string): Promise<void> {
    const top = path === undefined ? this.#tree.root : await this.#resolve(path)
    const isBelow = (inode: Inode): boolean => top === this.#tree.root || this.#isWithin(inode, top)
    // A file that was not closed yet goes as it is.
    for (const inode of this.#tree.pending().filter(isBelow)) {
      if (inode.kind === 'file' && !inode.lost) await this.#writer.promise(inode)
    }
    await this.#writeBack.settled(isBelow)
  }

  /** Sends what is pending for at most `timeoutMs`; what is left goes on at the next mount. */
  async drain({
    timeoutMs,
    onProgress,
  }: {
    timeoutMs: number
    onProgress: (left: Left) => void
  }): Promise<Left> {
    this.#draining = true
    const timer = setInterval(() => onProgress(this.#left()), 200)
    try {
      await this.#writeBack.settled((inode) => inode.error === undefined, {
        signal: AbortSignal.timeout(timeoutMs),
      })
    } catch (error) {
      this.#parts.log.info({ err: error }, 'not everything was sent')
    } finally {
      clearInterval(timer)
    }
    return this.#left()
  }

  /** Asks the service for a directory (the root without a path) now. */
  async refresh(path?: string): Promise<void> {
    const dir = path === undefined ? this.#tree.root : await this.#resolveDir(path)
    await this.#listings.renew(dir)
  }

  /** Warms, pins, unpins or frees what is at and below a path. */
  async keep(action: KeepAction, path: string, call: KeepCall): Promise<KeepProgress> {
    return this.#keep.run(action, await this.#resolve(path), call)
  }

  useSession(session: Session): void {
    this.#parts.drive.useSession(session)
    this.#writeBack.resume()
    this.#account.refresh().catch(() => {})
  }

  async close(): Promise<void> {
    this.#walk.stop()
    const stopped = this.#writeBack.stop()
    await Promise.race([stopped, sleep(LAST_REPLY_MS, undefined, { ref: false })])
    this.#ending.abort()
    await stopped
    await this.#writer.close()
    await this.#fetcher.close()
    this.#listings.close()
    this.#tree.close()
    if (this.#isRecovered) noteClosed(this.#state)
    await this.#blocks.close()
    await this.#hasher.close()
    await this.#state.close()
    this.#release()
  }

  // --- paths

  async #resolve(path: string): Promise<Inode> {
    const hidden = this.#hidden.get(baseName(path))
    if (hidden !== undefined) return hidden
    const names = path.split('/').filter((name) => name !== '')
    let at: Inode = this.#tree.root
    for (const [index, name] of names.entries()) {
      if (at.kind !== 'dir') throw new VfsError('ENOTDIR', 'not a directory')
      const child: Inode | undefined = await this.#child(at, name, index === names.length - 1)
      if (child === undefined) {
        if (isTooLong(name)) throw new VfsError('ENAMETOOLONG', 'no entry can be called so')
        throw new VfsError('ENOENT', 'no such file or directory')
      }
      at = child
    }
    return at
  }

  /**
   * On the way to something deeper a known entry is taken as it is: its own directory will tell.
   */
  async #child(dir: DirInode, name: string, isLast = true): Promise<Inode | undefined> {
    const known = dir.listed ? this.#tree.lookup(dir, name) : undefined
    if (known !== undefined && (!isLast || this.#listings.isFresh(dir))) return known
    await this.#ensure(dir)
    return this.#tree.lookup(dir, name)
  }

  async #ensure(dir: DirInode): Promise<void> {
    if (this.#listings.rootRef === undefined && !dir.listed) await this.#findRoot()
    await this.#listings.ensure(dir, Math.min(METADATA_MS, this.#parts.options.timeoutMs))
  }

  async #resolveDir(path: string): Promise<DirInode> {
    const inode = await this.#resolve(path)
    if (inode.kind !== 'dir') throw new VfsError('ENOTDIR', 'not a directory')
    return inode
  }

  async #resolveFile(path: string): Promise<FileInode> {
    const inode = await this.#resolve(path)
    if (inode.kind !== 'file') throw new VfsError('EISDIR', 'is a directory')
    return inode
  }

  async #resolveParent(path: string): Promise<{ dir: DirInode; name: string }> {
    const name = baseName(path)
    return { dir: await this.#resolveDir(path.slice(0, -name.length - 1)), name }
  }

  async #target(path: string | null, fh: number): Promise<Inode> {
    this.#checkWritable()
    return path === null ? this.files.inodeOf(fh) : this.#resolve(path)
  }

  /**
   * Finds the directory that is to be the root of the mount, once; later runs know it from the
   * state file.
   */
  #findRoot(): Promise<void> {
    this.#rooting ??= this.#askRoot().catch((error: unknown) => {
      this.#rooting = undefined
      throw error
    })
    return this.#rooting
  }

  async #askRoot(): Promise<void> {
    const { root } = this.#parts.options
    const saved = this.#state.getMeta(`root:${root}`)
    if (saved !== undefined) {
      this.#listings.rootRef = JSON.parse(saved) as DirRef
      this.#account.refresh().catch((error: unknown) => {
        this.#parts.log.warn({ err: error }, 'the service cannot be asked: serving what is known')
      })
      return
    }
    let { mainDir: at } = await this.#account.refresh()
    for (const name of root.split('/').filter((part) => part !== '')) {
      const listing = await this.#parts.drive.list(at)
      const entries = listing === 'unchanged' ? [] : listing.entries
      const found = entries.find((entry) => entry.kind === 'dir' && toShown(entry.name) === name)
      if (found?.kind !== 'dir') throw new NoRoot(root)
      at = { key: found.key, parentKey: at.key }
    }
    this.#listings.rootRef = at
    this.#state.setMeta(`root:${root}`, JSON.stringify(at))
  }

  // --- checks

  #checkWritable(): void {
    if (this.#parts.options.readOnly) throw new VfsError('EROFS', 'mounted read-only')
  }

  #checkNew(dir: DirInode, name: string): void {
    const { limits } = this.#account
    if (!this.#isLocalOnly(name)) checkName(name, limits.nameLengthMax)
    if (this.#tree.children(dir).size >= limits.dirEntriesMax)
      throw new VfsError('ENOSPC', 'the directory is full')
  }

  async #checkEmpty(dir: DirInode): Promise<void> {
    await this.#ensure(dir)
    if (this.#tree.children(dir).size > 0) throw new VfsError('ENOTEMPTY', 'not empty')
  }

  async #checkReplaceable(inode: Inode, victim: Inode): Promise<void> {
    if (inode.kind === 'dir' && victim.kind === 'file')
      throw new VfsError('ENOTDIR', 'a file is in the way')
    if (inode.kind === 'file' && victim.kind === 'dir')
      throw new VfsError('EISDIR', 'a directory is in the way')
    if (victim.kind === 'dir') await this.#checkEmpty(victim)
  }

  // --- small parts

  #stat(inode: Inode): Stat {
    const size = inode.kind === 'file' ? this.files.shownSize(inode) : undefined
    return statOf(inode, this.#parts.options, size)
  }

  #setMode(inode: Inode, mode: number): void {
    const { umask } = this.#parts.options
    const permissions = mode & 0o7777
    if (permissions !== ((inode.kind === 'dir' ? 0o777 : 0o666) & ~umask))
      inode.own.mode = permissions
  }

  #setLocalOnly(file: FileInode, localOnly: boolean): void {
    // What the service has is not taken from it because of a name.
    file.localOnly = localOnly && file.remote === undefined
  }

  async #saveOwn(inode: Inode): Promise<void> {
    this.#tree.save(inode)
    if (inode.kind === 'file') await this.#writer.describe(inode)
  }

  async #unlink(file: FileInode): Promise<void> {
    this.#writeBack.interrupt(file)
    this.#tree.transaction(() => this.#detach(file))
    await this.#discardUnsent(file)
    await this.#settleIfStrict(file)
  }

  /**
   * Takes an entry out of sight, and with it the wish for its unsent bytes. In one transaction: a
   * crash does both or nothing.
   */
  #detach(inode: Inode): void {
    if (inode.kind === 'file') this.#writer.renounce(inode)
    this.#tree.detach(inode)
  }

  async #discardUnsent(file: FileInode): Promise<void> {
    if (file.opens === 0) await this.#writer.discard(file)
  }

  /**
   * Without write-back a call returns when the service has done it, and with the service's error.
   */
  async #settleIfStrict(inode: Inode): Promise<void> {
    if (
      this.#parts.options.writeBackMs > 0 ||
      (inode.kind === 'file' && (inode.localOnly || inode.opens > 0))
    )
      return
    await this.#writeBack.settled((pending) => pending === inode, {
      idleMs: this.#parts.options.timeoutMs,
    })
  }

  #isWithin(inode: Inode, top: Inode): boolean {
    const way = this.#tree.path(top)
    return way.every((name, index) => this.#tree.path(inode)[index] === name)
  }

  #stateOf(inode: Inode): string {
    if (inode.error !== undefined) return `error: ${inode.error}`
    if (inode.kind === 'file' && inode.localOnly) return 'local'
    if (inode.changedMs === undefined) return 'clean'
    return inode.busy ? 'uploading' : 'pending'
  }

  #cacheStatus(): VfsStatus['cache'] {
    const { capacity, hits, misses } = this.#blocks.stats()
    const pinned = this.#blocks.pinnedBytes()
    return { bytes: this.#space.used, capacity, pinned, hits, misses }
  }

  #noteSent(file: FileInode, bytes: number): void {
    const before = this.#sent.get(file)
    const nowMs = performance.now()
    const goesOn = before && bytes >= before.bytes && nowMs - before.lastMs < SENDING_PAUSE_MS
    const { firstBytes, firstMs } = goesOn ? before : { firstBytes: bytes, firstMs: nowMs }
    this.#sent.set(file, { bytes, firstBytes, firstMs, lastMs: nowMs })
  }

  #rateOf(file: FileInode): number {
    const { bytes, firstBytes, firstMs } = this.#sent.get(file) ?? NOT_SENDING
    return (1000 * (bytes - firstBytes)) / Math.max(1, performance.now() - firstMs)
  }

  #pendingEntry(inode: Inode): PendingEntry {
    const { error } = inode
    const code = this.#writeBack.refusalCode(inode)
    const isOpen = inode.kind === 'file' && inode.writers > 0
    const idle = inode.parent === undefined ? 'removing' : isOpen ? 'open' : 'waiting'
    return {
      path: `/${this.#tree.path(inode).join('/')}`,
      size: inode.kind === 'file' && inode.parent !== undefined ? inode.size : 0,
      sent: inode.kind === 'file' ? (this.#sent.get(inode)?.bytes ?? 0) : 0,
      state:
        error !== undefined
          ? 'error'
          : inode.busy && inode.parent !== undefined
            ? 'uploading'
            : idle,
      ...(inode.kind === 'file' && inode.busy && { rate: this.#rateOf(inode) }),
      ...(error !== undefined && { error }),
      ...(error !== undefined && code !== undefined && { code }),
      age: Math.max(0, (Date.now() - (inode.changedMs ?? Date.now())) / 1000),
    }
  }

  #left(): Left {
    const pending = this.#tree.pending()
    const bytes = pending.reduce((sum, inode) => {
      return inode.kind === 'file' && inode.stagedId !== undefined
        ? sum + inode.size - (this.#sent.get(inode)?.bytes ?? 0)
        : sum
    }, 0)
    return { files: pending.length, bytes }
  }

  #sourceOf(version: RemoteFile): Source {
    return {
      content: { sha1: version.sha1, size: version.size },
      file: version,
      dir: () => {
        // The version may have been moved since the handle was opened, and a copy's is another's.
        const place = this.#tree.byRemoteId(version.id)?.remote ?? version
        const dir = this.#tree.get(place.parent)
        const ref = dir?.kind === 'dir' ? this.#listings.ref(dir) : undefined
        if (ref === undefined)
          throw new WeiyunError('NOT_FOUND', 'the directory of this version is gone')
        return ref
      },
    }
  }
}

/**
 * How an upload is getting on: bytes that the service has, and where and when this attempt began.
 */
interface Sending {
  readonly bytes: number
  readonly firstBytes: number
  readonly firstMs: number
  readonly lastMs: number
}

const NOT_SENDING: Sending = { bytes: 0, firstBytes: 0, firstMs: 0, lastMs: 0 }
/** After so long without a byte it is another attempt, with a rate of its own. */
const SENDING_PAUSE_MS = 10_000

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

interface OpenedCache {
  state: StateFile
  space: Space
  blocks: BlockCache
  staging: StagingArea
  hasher: Hasher
  release: () => void
}

async function openCache({ stateDir, cacheDir, log, options }: VfsParts): Promise<OpenedCache> {
  const lock = await lockCacheDir(cacheDir)
  try {
    await openCacheDir({ dir: cacheDir })
    const state = await openState(join(stateDir, 'state.db'), log)
    const space = new Space({ dir: cacheDir, capacity: options.cacheSize })
    const staging = await StagingArea.open({ dir: join(cacheDir, 'staging'), log, space })
    const blocks = await BlockCache.open({ dir: cacheDir, log, space })
    return { state, space, blocks, staging, hasher: Hasher.start(), release: () => lock.release() }
  } catch (error) {
    lock.release()
    throw error
  }
}
