// The file system: a method for each system call that names a path, and the life of the parts
// behind it. Paths come in and end here; everything further down knows inodes.
import { setMaxListeners } from 'node:events'
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../base/log.ts'
import { Hasher } from '../cache/hasher.ts'
import { type Drive, type Session, WeiyunError } from '../weiyun/index.ts'
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
import { Checker } from './checker.ts'
import { type Disk, openDisk } from './disk.ts'
import { VfsError } from './error.ts'
import { Fetcher, type Source } from './fetcher.ts'
import { Files, type Opened } from './files.ts'
import type { DirInode, FileInode, Inode, RemoteFile } from './inode.ts'
import { Keep, type KeepAction, type KeepCall, type KeepProgress } from './keep.ts'
import { KernelPages } from './kernel-pages.ts'
import { Listings } from './listing.ts'
import { localOnlyMatcher } from './local-only.ts'
import { checkName } from './names.ts'
import { baseName, Paths } from './paths.ts'
import { Reader } from './reader.ts'
import { noteClosed, recover } from './recover.ts'
import { type Left, Report, type VfsStatus } from './report.ts'
import { Steps } from './steps.ts'
import { Tree } from './tree.ts'
import { Walk } from './walk.ts'
import { WriteBack } from './writeback.ts'
import { Writer } from './writer.ts'

export type { Stat, Timespec } from './attr.ts'
export type { Opened } from './files.ts'
export type { KeepAction, KeepProgress } from './keep.ts'
export type { Left, PendingEntry, VfsStatus } from './report.ts'

/** Blocks held in memory for all open files together, in bytes. */
const MEMORY_BYTES = 64 * 1024 * 1024
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

type Place = [dir: DirInode, name: string]

/** An entry of a directory, as readdir(3) shows it. */
export interface DirItem {
  name: string
  stat: Stat
}

export class Vfs {
  readonly #parts: VfsParts
  readonly #disk: Disk
  readonly #hasher = Hasher.start()
  readonly #tree: Tree
  readonly #paths: Paths
  readonly #listings: Listings
  readonly #walk: Walk
  readonly #account: AccountCache
  readonly #fetcher: Fetcher
  readonly #writer: Writer
  readonly #writeBack: WriteBack
  readonly #pages: KernelPages
  readonly #keep: Keep
  readonly #report: Report
  readonly #isLocalOnly: (name: string) => boolean
  readonly #ending = new AbortController()
  #draining = false
  #isRecovered = false
  readonly files: Files

  private constructor(parts: VfsParts, disk: Disk) {
    const { drive, log, options } = parts
    const { state, space, blocks, staging } = disk
    const hasher = this.#hasher
    this.#parts = parts
    this.#disk = disk
    const tree = new Tree(state, drive.features)
    const account = new AccountCache({ drive, state, log })
    const slots = (): number => account.limits.downloadsMax
    const ending = this.#ending.signal
    setMaxListeners(0, ending)
    const listings = new Listings({ tree, drive, ttlMs: options.dirTtlMs, ending, log })
    const fetcher = new Fetcher({ drive, blocks, memoryBytes: MEMORY_BYTES, slots })
    const checker = new Checker({ blocks, fetcher, hasher, log })
    const { root, timeoutMs } = options
    const reader = new Reader({ fetcher, blocks, checker, slots, timeoutMs })
    const sourceOf = (version: RemoteFile): Source => this.#sourceOf(version)
    const writer = new Writer({
      tree,
      state,
      staging,
      blocks,
      reader,
      checker,
      hasher,
      uploadsByHash: drive.features.uploadsByHash,
      sourceOf,
      log,
    })
    const onProgress = (file: FileInode, sent: number): void => {
      this.#report.progress(file, sent)
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
    const pages = new KernelPages(checker)
    const files = new Files({
      tree,
      reader,
      checker,
      writer,
      writeBack,
      account,
      pages,
      sourceOf,
      timeoutMs,
      fsyncRemote: options.fsync === 'remote',
      closeUploads: options.writeBackMs === 0,
    })
    this.#paths = new Paths({ tree, listings, account, drive, state, root, timeoutMs, log })
    this.#report = new Report({ tree, writeBack, account, drive, blocks, space })
    const ensure = (dir: DirInode): Promise<void> => this.#paths.ensure(dir)
    this.#keep = new Keep({ tree, reader, blocks, ensure, sourceOf, slots })
    listings.onOutcome = (error) => writeBack.heard(error)
    listings.onFound = (file) => writer.giveUpLost(file)
    listings.isReachable = () => writeBack.connection !== 'unreachable'
    writer.onSent = (file, sent) => {
      this.#report.sent(file)
      account.spent(file.size)
      files.sent(file, sent)
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
    this.#pages = pages
    this.files = files
    this.#isLocalOnly = localOnlyMatcher(options.localOnly)
  }

  /**
   * Opens state and caches, takes up what an earlier run left unsent, and is ready to serve:
   * without network and without a valid session too, if the drive was seen before. Rejects when
   * nothing can be served.
   */
  static async open(parts: VfsParts): Promise<Vfs> {
    const { stateDir, cacheDir, log, options } = parts
    const disk = await openDisk({ stateDir, cacheDir, cacheSize: options.cacheSize, log })
    const vfs = new Vfs(parts, disk)
    try {
      await recover({ ...disk, tree: vfs.#tree, writer: vfs.#writer, log })
      vfs.#isRecovered = true
      await vfs.#paths.findRoot()
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
    this.#pages.onWrongSize = report
  }

  async getattr(path: string): Promise<Stat> {
    const inode = await this.#paths.resolve(path)
    if (inode.kind === 'dir') return this.#stat(inode)
    await this.#pages.showable(path, inode)
    inode.unseen = false
    return this.#stat(inode, this.#pages.shownSize(path, inode))
  }

  async getattrOf(fh: number): Promise<Stat> {
    const size = await this.files.sizeOf(fh)
    return this.#stat(this.files.inodeOf(fh), size)
  }

  async readdir(path: string): Promise<DirItem[]> {
    const dir = await this.#paths.dir(path)
    await this.#paths.ensure(dir)
    this.#walk.step(dir)
    return [...this.#tree.children(dir)].flatMap(([name, ino]) => {
      const inode = this.#tree.get(ino)
      return inode === undefined ? [] : [{ name, stat: this.#stat(inode) }]
    })
  }

  /**
   * Rejects with ESTALE while another device's change of the content is newer than its attributes
   * that were asked for: whoever opens it is to ask for them first, as the kernel then does by
   * itself.
   */
  async open(path: string, flags: number): Promise<Opened> {
    if ((flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0) this.#checkWritable()
    const file = await this.#paths.file(path)
    if (file.unseen) {
      // The kernel may still have the old size, and would cut the new bytes to it.
      throw new VfsError('ESTALE', 'changed since its attributes were asked for')
    }
    return this.files.open(path, file, flags)
  }

  async create(path: string, mode: number, flags: number): Promise<Opened> {
    this.#checkWritable()
    const { dir, name } = await this.#paths.parent(path)
    const present = await this.#paths.child(dir, name)
    if (present?.kind === 'dir') throw new VfsError('EISDIR', 'is a directory')
    if (present !== undefined) {
      if ((flags & constants.O_EXCL) !== 0) throw new VfsError('EEXIST', 'exists')
      return this.files.open(path, present, flags)
    }
    this.#checkNew(dir, name)
    const file = this.#tree.create('file', dir, name)
    file.localOnly = this.#isLocalOnly(name)
    this.#setMode(file, mode)
    return this.files.create(path, file, flags)
  }

  async truncate(path: string, size: number): Promise<void> {
    this.#checkWritable()
    await this.files.truncateFile(await this.#paths.file(path), size)
  }

  async mkdir(path: string, mode: number): Promise<void> {
    this.#checkWritable()
    const { dir, name } = await this.#paths.parent(path)
    if ((await this.#paths.child(dir, name)) !== undefined) throw new VfsError('EEXIST', 'exists')
    if (TRASH.test(name)) throw new VfsError('EPERM', 'the drive has a recycle bin of its own')
    this.#checkNew(dir, name)
    if (this.#tree.path(dir).length >= this.#account.limits.depthMax) {
      throw new VfsError('ENAMETOOLONG', 'deeper than the drive allows')
    }
    const made = this.#tree.create('dir', dir, name)
    this.#setMode(made, mode)
    this.#tree.save(made)
    await this.#settleIfStrict(made, [dir, name])
  }

  async unlink(path: string): Promise<void> {
    this.#checkWritable()
    const inode = await this.#paths.resolve(path)
    if (inode.kind === 'dir') throw new VfsError('EISDIR', 'is a directory')
    if (this.#paths.hidden.delete(baseName(path))) return
    await this.#unlink(inode)
  }

  async rmdir(path: string): Promise<void> {
    this.#checkWritable()
    const dir = await this.#paths.dir(path)
    if (dir === this.#tree.root) throw new VfsError('EBUSY', 'the root of the mount')
    await this.#checkEmpty(dir)
    const place = this.#placeOf(dir)
    this.#tree.detach(dir)
    await this.#settleIfStrict(dir, ...place)
  }

  async rename(from: string, to: string, flags: number): Promise<void> {
    this.#checkWritable()
    if ((flags & ~RENAME_NOREPLACE) !== 0)
      throw new VfsError('EINVAL', 'only RENAME_NOREPLACE is supported')
    const inode = await this.#paths.resolve(from)
    const { dir, name } = await this.#paths.parent(to)
    if (inode.kind === 'file' && HIDDEN.test(name)) {
      this.#paths.hidden.set(name, inode)
      await this.#unlink(inode)
      return this.#pages.rename(from, to, false)
    }
    const victim = await this.#paths.child(dir, name)
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
    const place = this.#placeOf(inode)
    this.#tree.transaction(() => {
      if (victim !== undefined) this.#detach(victim)
      if (inode.kind === 'file') this.#setLocalOnly(inode, this.#isLocalOnly(name))
      this.#tree.place(inode, dir, name)
    })
    if (victim?.kind === 'file') await this.#discardUnsent(victim)
    if (inode.kind === 'file') await this.#writer.describe(inode)
    await this.#settleIfStrict(inode, ...place, [dir, name])
    this.#pages.rename(from, to, inode.kind === 'dir')
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
    const inode = await this.#paths.resolve(path)
    return getXattr(inode, name, this.#report.stateOf(inode))
  }

  async listxattr(path: string): Promise<string[]> {
    const inode = await this.#paths.resolve(path)
    return listXattrs(inode, this.#report.stateOf(inode))
  }

  async setxattr(path: string, name: string, value: Buffer, flags: number): Promise<void> {
    this.#checkWritable()
    const inode = await this.#paths.resolve(path)
    setXattr(inode, name, value, flags)
    await this.#saveOwn(inode)
  }

  async removexattr(path: string, name: string): Promise<void> {
    this.#checkWritable()
    const inode = await this.#paths.resolve(path)
    removeXattr(inode, name)
    await this.#saveOwn(inode)
  }

  status(): VfsStatus {
    return this.#report.status(this.#draining ? 'draining' : 'ready')
  }

  /**
   * Waits until everything below a path (all without one) is on the service; rejects with what
   * stands in the way.
   */
  async sync(path?: string): Promise<void> {
    const top = path === undefined ? this.#tree.root : await this.#paths.resolve(path)
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
    const timer = setInterval(() => onProgress(this.#report.left()), 200)
    try {
      await this.#writeBack.settled((inode) => inode.error === undefined, {
        signal: AbortSignal.timeout(timeoutMs),
      })
    } catch (error) {
      this.#parts.log.info({ err: error }, 'not everything was sent')
    } finally {
      clearInterval(timer)
    }
    return this.#report.left()
  }

  /** Asks the service for a directory (the root without a path) now. */
  async refresh(path?: string): Promise<void> {
    const dir = path === undefined ? this.#tree.root : await this.#paths.dir(path)
    await this.#listings.renew(dir)
  }

  /** Warms, pins, unpins or frees what is at and below a path. */
  async keep(action: KeepAction, path: string, call: KeepCall): Promise<KeepProgress> {
    return this.#keep.run(action, await this.#paths.resolve(path), call)
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
    if (this.#isRecovered) noteClosed(this.#disk.state)
    await this.#hasher.close()
    await this.#disk.close()
  }

  // --- checks

  async #target(path: string | null, fh: number): Promise<Inode> {
    this.#checkWritable()
    return path === null ? this.files.inodeOf(fh) : this.#paths.resolve(path)
  }

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
    await this.#paths.ensure(dir)
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

  #stat(inode: Inode, size?: number): Stat {
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
    const place = this.#placeOf(file)
    this.#tree.transaction(() => this.#detach(file))
    await this.#discardUnsent(file)
    await this.#settleIfStrict(file, ...place)
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
   * It is done here all the same, and pending there, but the kernel believes that it was not: it
   * has to look again at the `places` that changed.
   */
  async #settleIfStrict(inode: Inode, ...places: Place[]): Promise<void> {
    if (
      this.#parts.options.writeBackMs > 0 ||
      (inode.kind === 'file' && (inode.localOnly || inode.opens > 0))
    )
      return
    try {
      await this.#writeBack.settled((pending) => pending === inode, {
        idleMs: this.#parts.options.timeoutMs,
      })
    } catch (error) {
      if (inode.kind === 'file') inode.unseen = true
      for (const [dir, name] of places) this.#tree.onInvalid(dir, name)
      throw error
    }
  }

  /** Where an entry is seen, if it is. */
  #placeOf({ parent, name }: Inode): Place[] {
    return parent === undefined ? [] : [[this.#tree.dir(parent), name]]
  }

  #isWithin(inode: Inode, top: Inode): boolean {
    const way = this.#tree.path(top)
    return way.every((name, index) => this.#tree.path(inode)[index] === name)
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
