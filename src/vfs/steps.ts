// The steps by which write-back brings the service to what users of the mount see. Each step is
// one change of the service, recorded in the tree as soon as the reply is here, and safe to repeat
// when it was not.
import { setTimeout as sleep } from 'node:timers/promises'
import { crashPoint } from '../base/crash.ts'
import {
  type CallOptions,
  type DirEntry,
  type Drive,
  type Entry,
  type FileEntry,
  isWeiyunError,
  type RemoveItem,
  WeiyunError,
} from '../weiyun/index.ts'
import { isErrno, VfsError } from './error.ts'
import type { DirInode, FileInode, Inode, RemoteFile, RemotePlace, UploadAttempt } from './inode.ts'
import { type Listings, remoteFile } from './listing.ts'
import { toShown } from './names.ts'
import type { SingleStep } from './plan.ts'
import type { Tree } from './tree.ts'
import type { Snapshot, Writer } from './writer.ts'

/** How much later than its connection's end a request may still take effect. */
const LATE_MS = 500
/** Entries of one upload that the service took twice are made within this time. */
const TWICE_MS = 2_000
/** So often a name that no listing shows is asked for again before it is given up. */
const REFUSALS_MAX = 3
/** How far the service's clock may be off. */
const CLOCK_SKEW_MS = 5 * 60_000

export interface StepsOptions {
  tree: Tree
  listings: Listings
  writer: Writer
  drive: Drive
  /**
   * Gives up the commands under way, as a crash would: the next run finds out what came of them.
   */
  ending: AbortSignal
  /** Bytes of an upload that the service has so far. */
  onProgress: (file: FileInode, sent: number) => void
}

export class Steps {
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #writer: Writer
  readonly #drive: Drive
  readonly #onProgress: (file: FileInode, sent: number) => void
  /** Names that were refused although no listing shows who has them, and how often. */
  readonly #refused = new WeakMap<Inode, { name: string; times: number }>()
  /** How commands are given: nobody waits for them, until the end of the mount. */
  readonly #background: CallOptions

  constructor({ tree, listings, writer, drive, ending, onProgress }: StepsOptions) {
    this.#tree = tree
    this.#listings = listings
    this.#writer = writer
    this.#drive = drive
    this.#onProgress = onProgress
    this.#background = { priority: 'background', signal: ending }
  }

  /** Takes a step other than a removal, which come in batches: `remove`. */
  async take(step: SingleStep, signal: AbortSignal): Promise<void> {
    if (step.do === 'locate') return this.#locate(step.inode)
    if (step.do === 'settle') return this.#settle(step.inode)
    if (step.do === 'mkdir') return this.#mkdir(step.inode, step.dir, step.name)
    if (step.do === 'upload') return this.#upload(step.inode, step.dir, signal)
    return this.#move(step.inode, step.dir, step.name)
  }

  async #mkdir(inode: DirInode, dir: DirInode, name: string): Promise<void> {
    this.#attempt(inode, { parent: dir.ino, name, sinceMs: inode.attempt?.sinceMs ?? Date.now() })
    crashPoint('mkdir:begins')
    try {
      const entry = await this.#drive.makeDir(this.#refOf(dir), name, this.#background)
      crashPoint('mkdir:replied')
      this.#made(inode, dir, entry)
    } catch (error) {
      if (isWeiyunError(error, 'EXISTS')) return this.#mergeDir(inode, dir, name)
      if (isRefusal(error)) this.#attempt(inode, undefined)
      throw error
    }
  }

  #made(inode: DirInode, dir: DirInode, { name, key }: DirEntry): void {
    inode.attempt = undefined
    inode.remote = { parent: dir.ino, name, key }
    this.#tree.touch(inode)
  }

  /**
   * A directory of that name was there: ours after a lost reply, or another device's, and then it
   * is one directory in the end. A file in the way is a conflict.
   */
  async #mergeDir(inode: DirInode, dir: DirInode, name: string): Promise<void> {
    const twin = await this.#leftDir(inode, dir, name)
    if (twin !== undefined) {
      inode.listed = false
      return this.#made(inode, dir, twin)
    }
    inode.attempt = undefined
    this.#tree.touch(inode)
    if (inode.parent === dir.ino && toShown(name) === inode.name) await this.#settleName(inode, dir)
  }

  /** What a `mkdir` of ours made; while it is seen there, what another device made will do too. */
  async #leftDir(inode: DirInode, dir: DirInode, name: string): Promise<DirEntry | undefined> {
    const sinceMs = inode.attempt?.sinceMs ?? Date.now()
    const isHere = inode.parent === dir.ino && toShown(name) === inode.name
    const entries = await this.#entriesOf(dir)
    return entries.find(
      (entry): entry is DirEntry =>
        entry.kind === 'dir' &&
        entry.name === name &&
        (isHere || entry.ctimeMs > sinceMs - CLOCK_SKEW_MS) &&
        this.#tree.byRemoteId(entry.key) === undefined,
    )
  }

  async #upload(file: FileInode, dir: DirInode, signal: AbortSignal): Promise<void> {
    try {
      // An empty file is whole without its bytes; but the service may have got more of it since.
      if (file.lost && file.size === 0) await this.#refreshAround(file, dir)
      await this.#sendSnapshot(file, dir, signal)
    } catch (error) {
      if (!isErrno(error, 'ESTALE')) throw error
      // Ours cannot be made whole any more. At least it must not hide what the service has instead.
      await this.#refreshAround(file, dir)
      if (file.parent === dir.ino && dir.shadows?.has(file.name)) this.#listings.yieldName(file)
      throw error
    }
  }

  async #sendSnapshot(file: FileInode, dir: DirInode, signal: AbortSignal): Promise<void> {
    await this.#writer.snapshot(file, async (snapshot) => {
      crashPoint('upload:hashed')
      if (!snapshot.unchanged()) return
      if (!this.#canGoOn(file, snapshot)) await this.#settleAttempt(file, snapshot.source)
      // An earlier attempt may have got through without our hearing of it.
      if (file.unsure && dir.freshMs === undefined) await this.#refreshAround(file, dir)
      // Renamed in the meantime: the next step begins where it is now.
      if (file.parent !== dir.ino) return
      this.#settleShadow(file, dir, snapshot)
      const old = file.remote
      const attempt =
        old === undefined || !isContent(old, snapshot.source)
          ? await this.#send(file, dir, snapshot, signal)
          : undefined
      const sent = file.remote
      if (sent === undefined) return
      // A new file under its own name is as good as its reply. Anything else is looked at before
      // the old version, or our copy of the bytes, may go.
      const plain = old === undefined && sent.name === this.#tree.serviceName(file)
      if (!plain) await this.#confirm(file, snapshot, attempt)
      crashPoint('upload:confirmed')
      if (snapshot.unchanged()) await this.#writer.finish(file, snapshot)
    })
  }

  async #send(
    file: FileInode,
    dir: DirInode,
    { source }: Snapshot,
    signal: AbortSignal,
  ): Promise<UploadAttempt> {
    const { sha1, size } = source
    const begun = { parent: dir.ino, name: this.#tree.serviceName(file), sha1, size }
    // One that goes on does so where it began, wherever the file is seen by now: it is moved
    // afterwards.
    const attempt = file.attempt ?? { ...begun, sinceMs: Date.now() }
    const place = this.#tree.dir(attempt.parent)
    const old = file.remote
    const isThere = old?.parent === attempt.parent && old.name === attempt.name
    this.#attempt(file, attempt)
    crashPoint('upload:begins')
    const entry = await this.#drive.upload(this.#refOf(place), attempt.name, source, {
      priority: 'background',
      signal,
      ...(isThere && { replaces: old }),
      ...(attempt.token !== undefined && { resume: attempt.token }),
      onResumable: (token) => this.#attempt(file, { ...attempt, token }),
      onProgress: (sent) => this.#onProgress(file, sent),
    })
    crashPoint('upload:replied')
    this.#tree.transaction(() => {
      this.#replaceRemote(file, remoteFile(place, entry))
      file.attempt = undefined
      file.unsure = false
      this.#tree.touch(file)
    })
    crashPoint('upload:recorded')
    return attempt
  }

  /**
   * On record before the service hears of it: whatever becomes of us, what it leaves there is
   * known to be ours.
   */
  #attempt<I extends Inode>(inode: I, attempt: I['attempt']): void {
    inode.attempt = attempt
    this.#tree.save(inode)
  }

  #canGoOn({ attempt }: FileInode, { source }: Snapshot): boolean {
    if (attempt?.token === undefined || !isContent(attempt, source)) return false
    const dir = this.#tree.get(attempt.parent)
    return dir?.kind === 'dir' && this.#listings.ref(dir) !== undefined
  }

  /** What was given up may have been done all the same; then it is undone. */
  async #settle(inode: Inode): Promise<void> {
    if (inode.kind === 'file') {
      // Of bytes that are lost here, the service's are the only ones.
      await this.#settleAttempt(inode, inode.lost ? inode.attempt : undefined)
      if (inode.lost && inode.remote !== undefined) this.#writer.giveUpLost(inode)
      return
    }
    const { attempt } = inode
    const dir = attempt === undefined ? undefined : this.#tree.get(attempt.parent)
    if (attempt !== undefined && dir?.kind === 'dir') {
      await sleep(LATE_MS)
      const left = await this.#leftDir(inode, dir, attempt.name)
      if (left !== undefined) return this.#made(inode, dir, left)
    }
    inode.attempt = undefined
    this.#tree.touch(inode)
  }

  /**
   * Takes stock of what an upload left whose end was not heard of. A complete file with the bytes
   * of `wanted` is the entry's new version, and so is the entry itself with other bytes, where the
   * service overwrites; anything else of it is to be removed.
   */
  async #settleAttempt(file: FileInode, wanted?: Content): Promise<void> {
    const { attempt } = file
    if (attempt === undefined) return
    const dir = this.#tree.get(attempt.parent)
    const left = dir?.kind === 'dir' ? await this.#leftOf(file, attempt, dir) : []
    this.#tree.transaction(() => {
      file.attempt = undefined
      for (const { remote, complete } of left) {
        if (remote.id === file.remote?.id) file.remote = remote
        else if (complete && wanted !== undefined && isContent(remote, wanted))
          this.#replaceRemote(file, remote)
        else this.#tree.bury(remote)
      }
      this.#tree.touch(file)
    })
  }

  async #leftOf(
    file: FileInode,
    attempt: UploadAttempt,
    dir: DirInode,
  ): Promise<{ remote: RemoteFile; complete: boolean }[]> {
    // What was on its way when the upload was given up is still to arrive.
    await sleep(LATE_MS)
    const entries = await this.#entriesOf(dir)
    return entries.flatMap((entry) => {
      if (entry.kind !== 'file') return []
      const isLeft =
        entry.id === file.remote?.id
          ? entry.complete && isContent(entry, attempt)
          : isOf(attempt, entry) && !this.#tree.byRemoteId(entry.id)
      return isLeft ? [{ remote: remoteFile(dir, entry), complete: entry.complete }] : []
    })
  }

  /**
   * Empty when the directory is gone from the service, and not only from the place where we
   * believe it.
   */
  async #entriesOf(dir: DirInode): Promise<readonly Entry[]> {
    const ref = this.#listings.ref(dir)
    if (ref === undefined) return []
    try {
      const listing = await this.#drive.list(ref, this.#background)
      return listing === 'unchanged' ? [] : listing.entries
    } catch (error) {
      if (!isWeiyunError(error, 'NOT_FOUND')) throw error
      await this.#listings.renew(dir, 'background').catch(() => {})
      if (this.#listings.ref(dir) !== undefined) throw error
      return []
    }
  }

  /** The new version becomes the entry's; the old one, if it is another entry, is to be removed. */
  #replaceRemote(file: FileInode, remote: RemoteFile): void {
    this.#disown(file, remote.id)
    const old = file.remote
    file.remote = remote
    // The new id has to leave the old row before the tombstone takes the old id over.
    this.#tree.save(file)
    if (old !== undefined && old.id !== remote.id) this.#tree.bury(old)
  }

  /** An entry that turns out to be ours again: a leftover on its way out. */
  #disown(file: FileInode, id: string): void {
    const other = this.#tree.byRemoteId(id)
    if (other === undefined || other === file) return
    // Somebody sees it as another file, with a place of its own: that it stays.
    if (other.busy || other.parent !== undefined)
      throw new WeiyunError('RESTART_TRANSFER', 'the service gave us an entry that is in use')
    other.remote = undefined
    this.#tree.settle(other)
  }

  /** The listing, not the reply, says that the service has our bytes. */
  async #confirm(
    file: FileInode,
    { source }: Snapshot,
    attempt: UploadAttempt | undefined,
  ): Promise<void> {
    const remote = file.remote
    const dir = remote === undefined ? undefined : this.#tree.get(remote.parent)
    if (remote === undefined || dir?.kind !== 'dir') return
    const listing = await this.#drive.list(this.#refOf(dir), this.#background)
    if (listing === 'unchanged')
      throw new WeiyunError('BAD_REPLY', 'an unconditional listing was answered "unchanged"')
    const entry = listing.entries.find(
      (one): one is FileEntry => one.kind === 'file' && one.id === remote.id,
    )
    if (entry?.complete && isContent(entry, source)) {
      if (attempt !== undefined) this.#buryTwins(dir, entry, attempt, listing.entries)
      return
    }
    file.remote = undefined
    this.#tree.touch(file)
    throw new WeiyunError(
      'CORRUPT',
      'the listing does not show what was uploaded; it will be sent again',
    )
  }

  /** What the service made of one upload when it took it twice, of which no reply tells. */
  #buryTwins(
    dir: DirInode,
    made: FileEntry,
    attempt: UploadAttempt,
    entries: readonly Entry[],
  ): void {
    for (const entry of entries) {
      if (entry.kind !== 'file' || !entry.complete || !isOf(attempt, entry)) continue
      const isOfThatTime = Math.abs(entry.ctimeMs - made.ctimeMs) <= TWICE_MS
      // Another file of ours with the same bytes may be on its way just now.
      const isOther =
        this.#tree.byRemoteId(entry.id) !== undefined || this.#tree.isAttempted(dir, entry)
      if (isOfThatTime && !isOther) this.#tree.bury(remoteFile(dir, entry))
    }
  }

  async #move(inode: Inode, dir: DirInode, name: string): Promise<void> {
    const item = this.#item(inode)
    const from = inode.remote === undefined ? undefined : this.#tree.dir(inode.remote.parent)
    if (from !== dir) {
      inode.strays = new Set(inode.strays).add(dir.ino)
      this.#tree.save(inode)
    }
    crashPoint('move:begins')
    try {
      await this.#drive.move(item, this.#refOf(dir), name, this.#background)
      crashPoint('move:replied')
      inode.strays = undefined
      this.#setRemote(inode, { parent: dir.ino, name })
      this.#tree.touch(inode)
    } catch (error) {
      if (isWeiyunError(error, 'UNSUPPORTED')) {
        inode.strays = undefined
        return this.#moveByHand(inode, dir, name)
      }
      if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND')) throw error
      // The target first: a move that got through before a crash must not be taken for a removal.
      if (!(await this.#lookFor(inode, dir))) return
      inode.strays = undefined
      if (from !== undefined && from !== dir) await this.#refreshAround(inode, from)
      if (isWeiyunError(error, 'EXISTS')) await this.#settleName(inode, dir)
    }
  }

  /** Listings tell; what is in none of them is still where we believe it, or gone. */
  async #locate(inode: Inode): Promise<void> {
    for (const ino of inode.strays ?? []) {
      const dir = this.#tree.get(ino)
      const isThere = dir?.kind === 'dir' && this.#listings.ref(dir) !== undefined
      if (isThere && !(await this.#lookFor(inode, dir))) return
    }
    inode.strays = undefined
    this.#tree.settle(inode)
  }

  /**
   * False: it was changed here meanwhile, so the listing was not asked about it (see
   * `Tree.clock`).
   */
  async #lookFor(inode: Inode, dir: DirInode): Promise<boolean> {
    const { touched } = inode
    await this.#refreshAround(inode, dir)
    return inode.touched === touched
  }

  /**
   * What is in the way has our very bytes, as after an upload whose reply was lost: one of the two
   * will do.
   */
  #adoptTwin(inode: Inode, dir: DirInode): boolean {
    const twin = dir.shadows?.get(inode.name)
    if (inode.kind !== 'file' || twin?.kind !== 'file' || inode.remote === undefined) return false
    if (!isContent(twin, inode.remote) || !this.#listings.takeShadow(dir, inode.name)) return false
    this.#tree.transaction(() => {
      this.#replaceRemote(inode, remoteFile(dir, twin))
      this.#tree.touch(inode)
    })
    return true
  }

  /** No command to rename: the same bytes under the new name by hash, then the old entry goes. */
  async #moveByHand(inode: Inode, dir: DirInode, name: string): Promise<void> {
    if (inode.kind === 'dir') return this.#moveDirByHand(inode, dir, name)
    const remote = inode.remote
    if (remote === undefined) return
    const entry = await this.#drive.uploadByHash(this.#refOf(dir), name, remote, this.#background)
    if (entry === undefined) {
      // The service does not find its own bytes: take them here, and they go the way of any
      // written file.
      await this.#writer.takeOver(inode)
      return
    }
    this.#tree.transaction(() => {
      this.#replaceRemote(inode, remoteFile(dir, entry))
      this.#tree.touch(inode)
    })
    // The name was taken: to ask for it again would only make one more copy.
    if (entry.name !== name) await this.#settleName(inode, dir)
  }

  /**
   * The name is another's on the service. Either that is as good as ours, or ours gets a name of
   * its own.
   */
  async #settleName(inode: Inode, dir: DirInode): Promise<void> {
    await this.#refreshAround(inode, dir)
    if (inode.parent !== dir.ino || this.#adoptTwin(inode, dir)) return
    const occupant = this.#tree.occupant(dir, this.#tree.serviceName(inode))
    // Nobody's but ours, and it will leave.
    if (occupant !== inode && occupant?.changedMs !== undefined) return
    // Or it was one of ours on its way through: a move with a new name may take two commands. What
    // no listing shows goes on being asked for, but not for ever.
    const isFree = occupant === undefined && !dir.shadows?.has(inode.name)
    if (isFree && this.#refusals(inode) <= REFUSALS_MAX)
      throw new VfsError('EBUSY', 'what had the name on the service is on its way')
    this.#listings.yieldName(inode)
  }

  /** How often the service has refused an entry the name that it has now, this time included. */
  #refusals(inode: Inode): number {
    const before = this.#refused.get(inode)
    const times = before?.name === inode.name ? before.times + 1 : 1
    this.#refused.set(inode, { name: inode.name, times })
    return times
  }

  /**
   * A new directory takes the place; what is in the old one follows piece by piece, then the old
   * one goes.
   */
  async #moveDirByHand(inode: DirInode, dir: DirInode, name: string): Promise<void> {
    // Everything inside must be known, or it would go with the old directory.
    await this.#listings.renew(inode, 'background')
    const key = await this.#makeTarget(inode, dir, name)
    const old = inode.remote
    if (key === undefined || old === undefined) return
    this.#tree.transaction(() => {
      const inside = this.#tree.remoteChildren(inode)
      inode.remote = { parent: dir.ino, name, key }
      this.#tree.save(inode)
      const grave = this.#tree.buryDir(old)
      for (const child of inside) {
        this.#setRemote(child, { parent: grave.ino })
        this.#tree.touch(child)
      }
      this.#tree.touch(inode)
    })
  }

  /** The key of the directory that is to take the place; undefined when the name is another's. */
  async #makeTarget(inode: DirInode, dir: DirInode, name: string): Promise<string | undefined> {
    try {
      return (await this.#drive.makeDir(this.#refOf(dir), name, this.#background)).key
    } catch (error) {
      if (!isWeiyunError(error, 'EXISTS')) throw error
    }
    await this.#refreshAround(inode, dir)
    if (inode.parent !== dir.ino) return undefined
    const twin = dir.shadows?.get(inode.name)
    if (twin?.kind !== 'dir' || !this.#listings.takeShadow(dir, inode.name)) {
      this.#listings.yieldName(inode)
      return undefined
    }
    // Made by us before a reply was lost, or by another device: one directory in the end.
    inode.listed = false
    return twin.key
  }

  /** Changes where the service has an entry, whatever its kind. */
  #setRemote(inode: Inode, place: Partial<RemotePlace>): void {
    if (inode.kind === 'dir' && inode.remote !== undefined)
      inode.remote = { ...inode.remote, ...place }
    else if (inode.kind === 'file' && inode.remote !== undefined)
      inode.remote = { ...inode.remote, ...place }
  }

  /**
   * Removes entries from the service. Directories are listed once more: what others put there
   * meanwhile stays.
   */
  async remove(inodes: readonly Inode[]): Promise<(Error | undefined)[]> {
    const results = new Map<Inode, Error | undefined>()
    const ready: Inode[] = []
    for (const inode of inodes) {
      if (inode.kind === 'file' || (await this.#isEmptyThere(inode, results))) ready.push(inode)
    }
    const items = ready.map((inode) => this.#item(inode))
    const errors = items.length === 0 ? [] : await this.#drive.remove(items, this.#background)
    crashPoint('remove:replied')
    for (const [index, inode] of ready.entries()) {
      const error = errors[index]
      if (error === undefined) this.#removed(inode)
      else if (isWeiyunError(error, 'STALE'))
        await this.#changedSince(inode).catch((cause: unknown) =>
          results.set(inode, cause as Error),
        )
      else results.set(inode, error)
    }
    return inodes.map((inode) => results.get(inode))
  }

  #removed(inode: Inode): void {
    const id = inode.kind === 'dir' ? inode.remote?.key : inode.remote?.id
    if (id !== undefined) this.#listings.noteRemoved(id)
    // With a directory goes what was left in it.
    const inside = inode.kind === 'dir' ? this.#tree.remoteChildren(inode) : []
    inode.remote = undefined
    this.#tree.touch(inode)
    for (const child of inside) this.#removed(child)
  }

  async #isEmptyThere(dir: DirInode, results: Map<Inode, Error | undefined>): Promise<boolean> {
    try {
      await this.#listings.renew(dir, 'background')
    } catch (error) {
      if (isWeiyunError(error, 'NOT_FOUND')) return true
      results.set(dir, error as Error)
      return false
    }
    const found = this.#tree.remoteChildren(dir).some((child) => child.parent !== undefined)
    if (found) this.#listings.revive(dir)
    return !found
  }

  /**
   * Another device changed the entry after we removed it here: the listing decides what becomes of
   * it.
   */
  async #changedSince(inode: Inode): Promise<void> {
    const dir = inode.remote === undefined ? undefined : this.#tree.get(inode.remote.parent)
    if (dir?.kind === 'dir') await this.#refreshAround(inode, dir)
  }

  /** An entry of another device bears the name of what we are about to send. */
  #settleShadow(file: FileInode, dir: DirInode, { source }: Snapshot): void {
    const shadow = dir.shadows?.get(file.name)
    if (shadow === undefined) return
    const isOurs = shadow.kind === 'file' && isContent(shadow, source)
    // After the state file was lost: the version that these bytes were written over, and are to
    // replace.
    const isOld =
      shadow.kind === 'file' &&
      file.predecessor !== undefined &&
      isContent(shadow, file.predecessor)
    if (shadow.kind !== 'file' || !(isOurs || isOld)) {
      this.#listings.yieldName(file)
      return
    }
    if (!this.#listings.takeShadow(dir, file.name)) return
    file.remote = remoteFile(dir, shadow)
    this.#tree.touch(file)
  }

  async #refreshAround(inode: Inode, dir: DirInode): Promise<void> {
    inode.asksListing = true
    try {
      await this.#listings.renew(dir, 'background')
    } finally {
      inode.asksListing = false
    }
  }

  #refOf(dir: DirInode): NonNullable<ReturnType<Listings['ref']>> {
    const ref = this.#listings.ref(dir)
    if (ref === undefined)
      throw new WeiyunError('UNREACHABLE', 'the directory is not on the service yet')
    return ref
  }

  #item(inode: Inode): RemoveItem {
    if (inode.remote === undefined)
      throw new WeiyunError('NOT_FOUND', 'the entry is not on the service')
    const dir = this.#refOf(this.#tree.dir(inode.remote.parent))
    if (inode.kind === 'dir')
      return {
        dir,
        entry: { kind: 'dir', key: (inode.remote as { key: string }).key, name: inode.remote.name },
      }
    const { id, version, name, size, sha1 } = inode.remote as RemoteFile
    return { dir, entry: { kind: 'file', id, version, name, size, sha1 } }
  }
}

interface Content {
  readonly sha1: string
  readonly size: number
}

function isContent(one: Content, other: Content): boolean {
  return one.sha1 === other.sha1 && one.size === other.size
}

/**
 * An entry made by an upload: its bytes, not older, and its name but for what a clash adds to
 * that.
 */
function isOf(attempt: UploadAttempt, entry: FileEntry): boolean {
  const stem = attempt.name.replace(/(.)\.[^.]*$/su, '$1')
  const isNamedSo = entry.name === attempt.name || entry.name.startsWith(stem)
  return isContent(entry, attempt) && isNamedSo && entry.ctimeMs > attempt.sinceMs - CLOCK_SKEW_MS
}

/** The service was reached, and has not done it. */
function isRefusal(error: unknown): boolean {
  return (
    isWeiyunError(error) && !error.retryable && !isWeiyunError(error, 'ABORTED', 'SESSION_EXPIRED')
  )
}
