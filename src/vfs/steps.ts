// The steps by which write-back brings the service to what users of the mount see. Each step is
// one change of the service, recorded in the tree as soon as the reply is here, and safe to repeat
// when it was not.
import { setTimeout as sleep } from 'node:timers/promises'
import { crashPoint } from '../base/crash.ts'
import {
  type CallOptions,
  CLOCK_SKEW_MS,
  type DirEntry,
  type Drive,
  isWeiyunError,
  type RemoveItem,
  WeiyunError,
} from '../weiyun/index.ts'
import { VfsError } from './error.ts'
import type { DirInode, FileInode, Inode, RemoteFile } from './inode.ts'
import type { Listings } from './listing.ts'
import { LATE_MS, Look } from './look.ts'
import { toShown } from './names.ts'
import type { SingleStep } from './plan.ts'
import { isContent, recordAttempt, remoteFile, replaceRemote, setPlace } from './remote.ts'
import type { Tree } from './tree.ts'
import { Uploads } from './uploads.ts'
import type { Writer } from './writer.ts'

/** So often a name that no listing shows is asked for again before it is given up. */
const REFUSALS_MAX = 3

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
  readonly #look: Look
  readonly #uploads: Uploads
  /** Names that were refused although no listing shows who has them, and how often. */
  readonly #refused = new WeakMap<Inode, { name: string; times: number }>()
  /** How commands are given: nobody waits for them, until the end of the mount. */
  readonly #background: CallOptions

  constructor({ tree, listings, writer, drive, ending, onProgress }: StepsOptions) {
    this.#tree = tree
    this.#listings = listings
    this.#writer = writer
    this.#drive = drive
    const background: CallOptions = { priority: 'background', signal: ending }
    const look = new Look(listings, drive, background)
    this.#background = background
    this.#look = look
    this.#uploads = new Uploads({ tree, listings, look, writer, drive, background, onProgress })
  }

  /** Takes a step other than a removal, which come in batches: `remove`. */
  async take(step: SingleStep, signal: AbortSignal): Promise<void> {
    if (step.do === 'locate') return this.#locate(step.inode)
    if (step.do === 'settle') return this.#settle(step.inode)
    if (step.do === 'mkdir') return this.#mkdir(step.inode, step.dir, step.name)
    if (step.do === 'upload') return this.#uploads.send(step.inode, step.dir, signal)
    return this.#move(step.inode, step.dir, step.name)
  }

  async #mkdir(inode: DirInode, dir: DirInode, name: string): Promise<void> {
    recordAttempt(this.#tree, inode, {
      parent: dir.ino,
      name,
      sinceMs: inode.attempt?.sinceMs ?? Date.now(),
    })
    crashPoint('mkdir:begins')
    try {
      const entry = await this.#drive.makeDir(this.#look.refOf(dir), name, this.#background)
      crashPoint('mkdir:replied')
      this.#made(inode, dir, entry)
    } catch (error) {
      if (isWeiyunError(error, 'EXISTS')) return this.#mergeDir(inode, dir, name)
      if (isRefusal(error)) recordAttempt(this.#tree, inode, undefined)
      throw error
    }
  }

  #made(inode: DirInode, dir: DirInode, { name, key }: DirEntry): void {
    inode.attempt = undefined
    // With a directory that is gone by now for both sides, this one went.
    if (this.#isKnown(dir)) inode.remote = { parent: dir.ino, name, key }
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
    const entries = await this.#look.entriesOf(dir)
    return entries.find(
      (entry): entry is DirEntry =>
        entry.kind === 'dir' &&
        entry.name === name &&
        (isHere || entry.ctimeMs > sinceMs - CLOCK_SKEW_MS) &&
        this.#tree.byRemoteId(entry.key) === undefined,
    )
  }

  /** What was given up may have been done all the same; then it is undone. */
  async #settle(inode: Inode): Promise<void> {
    if (inode.kind === 'file') {
      // Of bytes that are lost here, the service's are the only ones.
      await this.#uploads.settle(inode, inode.lost ? inode.attempt : undefined)
      if (inode.lost) this.#settleLost(inode)
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

  /** What the service has is the file by now; where it has nothing either, there is none. */
  #settleLost(file: FileInode): void {
    if (file.remote !== undefined) this.#writer.giveUpLost(file)
    else if (file.stagedId === undefined) this.#listings.gone(file)
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
      await this.#drive.move(item, this.#look.refOf(dir), name, this.#background)
      crashPoint('move:replied')
      this.#checkKnown(dir)
      inode.strays = undefined
      setPlace(inode, { parent: dir.ino, name })
      this.#tree.touch(inode)
    } catch (error) {
      if (isWeiyunError(error, 'UNSUPPORTED')) return this.#moveByHand(inode, dir, name)
      if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND')) throw error
      // The target first: a move that got through before a crash must not be taken for a removal.
      if (!(await this.#lookFor(inode, dir))) return
      inode.strays = undefined
      if (from !== undefined && from !== dir) await this.#look.around(inode, from)
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
    await this.#look.around(inode, dir)
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
      replaceRemote(this.#tree, inode, remoteFile(dir, twin))
      this.#tree.touch(inode)
    })
    return true
  }

  #isKnown(dir: DirInode): boolean {
    return this.#tree.get(dir.ino) === dir
  }

  /** Another device removed it in the middle of the step, and so did we. */
  #checkKnown(dir: DirInode): void {
    if (!this.#isKnown(dir)) throw new VfsError('EBUSY', 'the directory is gone by now')
  }

  /** No command to rename. `dir` stays while we are at it (see `Inode.strays`). */
  async #moveByHand(inode: Inode, dir: DirInode, name: string): Promise<void> {
    try {
      if (inode.kind === 'dir') await this.#moveDirByHand(inode, dir, name)
      else await this.#moveFileByHand(inode, dir, name)
    } finally {
      inode.strays = undefined
      this.#tree.settle(inode)
    }
  }

  /** The same bytes under the new name by hash, then the old entry goes. */
  async #moveFileByHand(inode: FileInode, dir: DirInode, name: string): Promise<void> {
    const remote = inode.remote
    if (remote === undefined) return
    const entry = await this.#drive.uploadByHash(
      this.#look.refOf(dir),
      name,
      remote,
      this.#background,
    )
    if (entry === undefined) {
      // The service does not find its own bytes: take them here, and they go the way of any
      // written file.
      await this.#writer.takeOver(inode)
      return
    }
    this.#checkKnown(dir)
    this.#tree.transaction(() => {
      replaceRemote(this.#tree, inode, remoteFile(dir, entry))
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
    await this.#look.around(inode, dir)
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
    this.#checkKnown(dir)
    const old = inode.remote
    if (key === undefined || old === undefined) return
    this.#tree.transaction(() => {
      const inside = this.#tree.remoteChildren(inode)
      inode.remote = { parent: dir.ino, name, key }
      this.#tree.save(inode)
      const grave = this.#tree.buryDir(old)
      for (const child of inside) {
        setPlace(child, { parent: grave.ino })
        this.#tree.touch(child)
      }
      this.#tree.touch(inode)
    })
  }

  /** The key of the directory that is to take the place; undefined when the name is another's. */
  async #makeTarget(inode: DirInode, dir: DirInode, name: string): Promise<string | undefined> {
    try {
      return (await this.#drive.makeDir(this.#look.refOf(dir), name, this.#background)).key
    } catch (error) {
      if (!isWeiyunError(error, 'EXISTS')) throw error
    }
    await this.#look.around(inode, dir)
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

  /**
   * Removes entries from the service. Directories are listed once more: what others put there
   * meanwhile stays.
   */
  async remove(inodes: readonly Inode[]): Promise<(Error | undefined)[]> {
    const results = new Map<Inode, Error | undefined>()
    const ready: Inode[] = []
    for (const inode of inodes) {
      const isReady =
        inode.kind === 'file'
          ? await this.#isSpare(inode, results)
          : await this.#isEmptyThere(inode, results)
      if (isReady) ready.push(inode)
    }
    const items = ready.map((inode) => this.#item(inode))
    // Before it is tried again, all of it has to be looked at again.
    const options = { ...this.#background, once: true }
    const errors = items.length === 0 ? [] : await this.#drive.remove(items, options)
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

  /** Nobody's unsent bytes need it any more. */
  async #isSpare(file: FileInode, results: Map<Inode, Error | undefined>): Promise<boolean> {
    try {
      await this.#writer.rescue(file)
      return true
    } catch (error) {
      results.set(file, error as Error)
      return false
    }
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
    else if (dir.crossed)
      results.set(dir, new VfsError('EBUSY', 'something of ours is just on its way there'))
    return !found && !dir.crossed
  }

  /**
   * Another device changed the entry after we removed it here: the listing decides what becomes of
   * it.
   */
  async #changedSince(inode: Inode): Promise<void> {
    const dir = inode.remote === undefined ? undefined : this.#tree.get(inode.remote.parent)
    if (dir?.kind === 'dir') await this.#look.around(inode, dir)
  }

  #item(inode: Inode): RemoveItem {
    if (inode.remote === undefined)
      throw new WeiyunError('NOT_FOUND', 'the entry is not on the service')
    const dir = this.#look.refOf(this.#tree.dir(inode.remote.parent))
    if (inode.kind === 'dir')
      return {
        dir,
        entry: { kind: 'dir', key: (inode.remote as { key: string }).key, name: inode.remote.name },
      }
    const { id, version, name, size, sha1 } = inode.remote as RemoteFile
    return { dir, entry: { kind: 'file', id, version, name, size, sha1 } }
  }
}

/** The service was reached, and has not done it. */
function isRefusal(error: unknown): boolean {
  return (
    isWeiyunError(error) && !error.retryable && !isWeiyunError(error, 'ABORTED', 'SESSION_EXPIRED')
  )
}
