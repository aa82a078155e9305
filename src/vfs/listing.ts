// What the service says of its directories, brought into the tree. The service is asked here and
// nowhere else for listings; `apply` is where remote changes meet pending changes of our own. Only
// a positive answer removes anything: a listing without the entry, never a failure to list.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../base/log.ts'
import {
  type DirRef,
  type Drive,
  type Entry,
  type FileEntry,
  isWeiyunError,
  type Priority,
  WeiyunError,
} from '../weiyun/index.ts'
import { VfsError } from './error.ts'
import type { DirInode, FileInode, Inode } from './inode.ts'
import { labelled, sideName, toShown } from './names.ts'
import { remoteFile } from './remote.ts'
import { isMisplaced, type Tree } from './tree.ts'

/**
 * After a failed revalidation, what is known is served this long before the service is asked
 * again.
 */
const FAILED_PAUSE_MS = 5_000
/** How long, and how often, a directory that is being moved is waited for. */
const MOVE_MS = 10_000
const MOVE_POLL_MS = 50
/** Ids of entries that we removed, kept to recognise listings older than the removal. */
const REMOVED_IDS_MAX = 20_000

export interface ListingOptions {
  tree: Tree
  drive: Drive
  /** How long a listing is taken as true, in ms. */
  ttlMs: number
  /** Gives up what is asked. */
  ending: AbortSignal
  log: Logger
}

export class Listings {
  readonly #tree: Tree
  readonly #drive: Drive
  readonly #ttlMs: number
  readonly #ending: AbortSignal
  readonly #log: Logger
  readonly #running = new Map<DirInode, { outcome: Promise<void>; priority: Priority }>()
  #closed = false
  /** Clock of the tree at which we removed an id. */
  readonly #removed = new Map<string, number>()
  /** Called with the outcome of every listing: `undefined` is success. */
  onOutcome: (error: unknown) => void = () => {}
  /** Called when the service has a file whose unsaved bytes are lost. */
  onFound: (file: FileInode) => void = () => {}
  /** Asked before anybody is made to wait: the service answered the last time. */
  isReachable: () => boolean = () => true
  /** Key and parent key of the root of the mount; unknown until the account was asked once. */
  rootRef: DirRef | undefined

  constructor({ tree, drive, ttlMs, ending, log }: ListingOptions) {
    this.#tree = tree
    this.#drive = drive
    this.#ttlMs = ttlMs
    this.#ending = ending
    this.#log = log
  }

  /** Keys for commands on what lies in `dir`; undefined while the service does not have it. */
  ref(dir: DirInode): DirRef | undefined {
    if (dir === this.#tree.root) return this.rootRef
    if (dir.remote === undefined) return undefined
    const parent = this.#tree.get(dir.remote.parent)
    if (parent?.kind !== 'dir') return undefined
    const parentKey = parent === this.#tree.root ? this.rootRef?.key : parent.remote?.key
    return parentKey === undefined ? undefined : { key: dir.remote.key, parentKey }
  }

  isFresh(dir: DirInode): boolean {
    return dir.listed && dir.freshMs !== undefined && performance.now() - dir.freshMs < this.#ttlMs
  }

  /**
   * Resolves when the children of `dir` can be shown. What an earlier run knew is shown at once
   * and revalidated behind; what is known but old is shown when the service cannot be asked, or
   * takes longer than `limitMs`. Rejects only when nothing is known: with ETIMEDOUT after the
   * limit.
   */
  async ensure(dir: DirInode, limitMs: number): Promise<void> {
    if (this.isFresh(dir) || this.#isOurs(dir)) return
    if (!dir.listed) return this.#within(this.refresh(dir), limitMs)
    const isShownAtOnce = dir.freshMs === undefined || !this.isReachable()
    // One of them hears of its failure: others look a thousand times while it is on its way.
    if (isShownAtOnce && this.#running.has(dir)) return
    const served = this.#within(this.refresh(dir), limitMs).catch((error: unknown) => {
      // While it is seen somewhere, it is not where we asked for it, and not gone.
      if (isWeiyunError(error, 'NOT_FOUND') && dir.parent === undefined) throw error
      this.#log.warn({ err: error }, 'a directory could not be revalidated; showing what is known')
      dir.freshMs = performance.now() - this.#ttlMs + Math.min(FAILED_PAUSE_MS, this.#ttlMs)
    })
    if (isShownAtOnce) served.catch(() => {})
    else await served
  }

  /**
   * The work goes on when the wait is over, for the next caller. Nobody else waits as long for a
   * service that was silent: a system call looks at every directory on its path.
   */
  async #within<T>(work: Promise<T>, limitMs: number): Promise<T> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      this.onOutcome(new WeiyunError('TIMEOUT', 'the service did not answer in time'))
      late.reject(new VfsError('ETIMEDOUT', 'the service did not answer in time'))
    }, limitMs)
    work.catch(() => {})
    try {
      return await Promise.race([work, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Asks the service, conditionally where it can. One request at a time for a directory. */
  refresh(dir: DirInode, priority: Priority = 'user'): Promise<void> {
    const running = this.#running.get(dir)
    if (running === undefined) return this.#start(dir, priority)
    if (priority !== 'user' || running.priority === 'user') return running.outcome
    // Listing ahead gives up sooner than a user would: then he asks himself.
    return running.outcome.catch((error: unknown) => {
      if (isWeiyunError(error) && error.retryable) return this.refresh(dir, priority)
      throw error
    })
  }

  /** A whole listing that begins after the call: one under way may know less than the caller. */
  async renew(dir: DirInode, priority: Priority = 'user'): Promise<void> {
    await this.#running.get(dir)?.outcome.catch(() => {})
    dir.stamp = undefined
    return this.refresh(dir, priority)
  }

  #start(dir: DirInode, priority: Priority): Promise<void> {
    dir.listing = true
    const outcome = this.#list(dir, priority).finally(() => {
      dir.listing = false
      this.#running.delete(dir)
    })
    this.#running.set(dir, { outcome, priority })
    return outcome
  }

  /** What is still on its way is not brought in any more. */
  close(): void {
    this.#closed = true
  }

  /** Must be called for every entry that we removed, before listings are asked for again. */
  noteRemoved(id: string): void {
    this.#removed.delete(id)
    this.#removed.set(id, this.#tree.clock)
    const oldest = this.#removed.keys().next().value
    if (this.#removed.size > REMOVED_IDS_MAX && oldest !== undefined) this.#removed.delete(oldest)
  }

  /** We have removed the entry since the tree's clock stood so. */
  isRemovedSince(id: string, clock: number): boolean {
    return (this.#removed.get(id) ?? -1) >= clock
  }

  /** Nothing of it can be on the service that we have not put there. */
  #isOurs(dir: DirInode): boolean {
    return dir.listed && dir.remote === undefined && dir !== this.#tree.root
  }

  async #list(dir: DirInode, priority: Priority): Promise<void> {
    const ref = this.ref(dir)
    if (ref === undefined)
      throw new VfsError('EIO', 'the service was never reached, so its directories are unknown')
    const since = this.#tree.clock
    const conditional = dir.listed && dir.stamp !== undefined && (dir.shadows?.size ?? 0) === 0
    try {
      const stamp = conditional && dir.stamp !== undefined ? { stamp: dir.stamp } : {}
      const listing = await this.#drive.list(ref, { priority, signal: this.#ending, ...stamp })
      if (this.#closed) return
      if (listing !== 'unchanged') this.#apply(dir, listing.entries, listing.stamp, since)
      dir.freshMs = performance.now()
      this.onOutcome(undefined)
    } catch (error) {
      this.onOutcome(error)
      if (!isWeiyunError(error, 'NOT_FOUND')) throw error
      await this.#lost(dir)
      if (priority === 'user' && (await this.#isElsewhere(dir, ref)))
        return this.#list(dir, priority)
      throw error
    }
  }

  /**
   * Whether a directory that was not found has another place on the service by now: while
   * write-back moves it, or the directory that holds it, we may not have heard of that yet.
   */
  async #isElsewhere(dir: DirInode, ref: DirRef): Promise<boolean> {
    const endMs = performance.now() + MOVE_MS
    const isAtRef = (): boolean => {
      const now = this.ref(dir)
      return now?.key === ref.key && now.parentKey === ref.parentKey
    }
    const isMoving = (): boolean => dir.busy || dir.strays !== undefined
    while (dir.parent !== undefined && isAtRef() && isMoving() && performance.now() < endMs)
      await sleep(MOVE_POLL_MS)
    return dir.parent !== undefined && !isAtRef()
  }

  /** The service does not know the key: the parent's listing says whether the directory is gone. */
  async #lost(dir: DirInode): Promise<void> {
    const parent = dir.remote === undefined ? undefined : this.#tree.get(dir.remote.parent)
    if (parent?.kind !== 'dir') return
    parent.stamp = undefined
    await this.refresh(parent).catch(() => {})
  }

  #apply(dir: DirInode, entries: readonly Entry[], stamp: string | undefined, since: number): void {
    const tree = this.#tree
    const before = new Set(tree.remoteChildren(dir))
    const updates: [Inode, Entry][] = []
    const fresh: Entry[] = []
    let raced = false
    for (const entry of entries) {
      const inode = tree.byRemoteId(idOf(entry))
      if (entry.kind === 'file' && !entry.complete) {
        if (inode !== undefined) before.delete(inode)
        continue
      }
      if (inode === undefined && tree.isAttempted(dir, entry)) {
        raced = true
        continue
      }
      if (inode === undefined) {
        if ((this.#removed.get(idOf(entry)) ?? -1) < since) fresh.push(entry)
        else raced = true
        continue
      }
      before.delete(inode)
      if (isNewer(inode, since)) raced = true
      else updates.push([inode, entry])
    }
    const gone: Inode[] = []
    for (const inode of before) {
      if (isNewer(inode, since) || isUnsettled(inode)) continue
      const elsewhere = placesElsewhere(inode, dir)
      if (elsewhere.length > 0) void this.#seek(inode, dir, elsewhere, since)
      else gone.push(inode)
    }
    raced ||= gone.length < before.size
    if (this.#log.isLevelEnabled('debug')) {
      const path = tree.path(dir).join('/')
      const [appeared, left] = [fresh.map(({ name }) => name), gone.map(({ name }) => name)]
      this.#log.debug({ path, entries: entries.length, appeared, left, raced }, 'listed')
    }
    const hadShadows = dir.shadows !== undefined
    let aliased = false
    dir.shadows = undefined
    if (gone.length > 0 || updates.length > 0 || hadShadows) {
      tree.transaction(() => {
        for (const inode of gone) this.gone(inode)
        aliased = this.#update(dir, updates, fresh)
      })
    }
    for (const entry of fresh) raced = this.#appear(dir, entry) || raced
    dir.listed = true
    dir.crossed = raced
    // A listing that crossed a change of ours is true except for that entry, and a made-up name is
    // to be given up as soon as the real one is free: the next listing must be whole.
    dir.stamp = raced || aliased ? undefined : stamp
    if (dir === tree.root || dir.parent !== undefined || dir.remote !== undefined)
      tree.saveLater(dir)
  }

  /**
   * An entry that we are to move is not in `dir` any more: perhaps the move got through before a
   * crash. The directories that it was to go to tell.
   */
  async #seek(
    inode: Inode,
    dir: DirInode,
    elsewhere: readonly number[],
    since: number,
  ): Promise<void> {
    for (const ino of elsewhere) {
      const target = this.#tree.get(ino)
      if (target?.kind !== 'dir') continue
      target.stamp = undefined
      const isListed = await this.refresh(target, 'background').then(
        () => true,
        () => this.ref(target) === undefined,
      )
      const isFound = inode.remote?.parent !== dir.ino || isNewer(inode, since)
      if (!isListed || isFound || this.#closed) return
    }
    this.#tree.transaction(() => this.gone(inode))
  }

  /**
   * The service does not have it any more. What we hold unsaved stays, and will be sent anew; so
   * does what may have got through.
   */
  gone(inode: Inode): void {
    const tree = this.#tree
    if (inode.kind === 'dir') {
      for (const child of tree.remoteChildren(inode)) this.gone(child)
    }
    const keeps =
      inode.kind === 'file'
        ? inode.stagedId !== undefined || isUnsettled(inode)
        : tree.children(inode).size > 0
    this.#invalid(inode)
    inode.remote = undefined
    if (keeps || inode.parent === undefined) {
      tree.settle(inode)
      return
    }
    if (inode.kind === 'file') inode.takenAway = true
    tree.detach(inode)
  }

  /**
   * Returns whether an entry is still shown under a made-up name. What is not to be that of its
   * inode any more is added to `fresh`.
   */
  #update(dir: DirInode, updates: readonly [Inode, Entry][], fresh: Entry[]): boolean {
    const tree = this.#tree
    const movers: [Inode, string][] = []
    let aliased = false
    for (const [inode, entry] of updates) {
      const follows =
        inode.parent !== undefined && !isMisplaced(inode) && inode.strays === undefined
      const plain = toShown(entry.name)
      const keepsAlias = inode.own.alias && this.#tree.lookup(dir, plain) !== undefined
      const shown = keepsAlias ? inode.name : plain
      aliased ||= keepsAlias === true
      if (follows && (inode.parent !== dir.ino || inode.name !== shown)) {
        this.#invalid(inode)
        // Out of sight first: names may have been exchanged.
        tree.children(tree.dir(inode.parent as number)).delete(inode.name)
        movers.push([inode, shown])
      }
      this.#learn(dir, inode, entry)
      if (inode.remote === undefined) fresh.push(entry)
    }
    for (const [inode] of movers) {
      inode.parent = undefined
      tree.save(inode)
    }
    for (const [inode, shown] of movers) {
      const name = tree.children(dir).has(shown)
        ? this.#aliasFor(dir, shown, remoteIdOf(inode))
        : shown
      inode.parent = dir.ino
      inode.name = name
      if (name === shown) delete inode.own.alias
      else inode.own.alias = true
      tree.children(dir).set(name, inode.ino)
      if (inode.kind === 'file') inode.unseen = true
      tree.settle(inode)
      this.#invalid(inode)
      aliased ||= name !== shown
    }
    return aliased
  }

  /** Where the two part company, the inode has nothing on the service any more. */
  #learn(dir: DirInode, inode: Inode, entry: Entry): void {
    const same =
      inode.mtimeMs === entry.mtimeMs &&
      inode.remote?.parent === dir.ino &&
      inode.remote.name === entry.name
    inode.ctimeMs = entry.ctimeMs
    inode.mtimeMs = entry.mtimeMs
    if (inode.kind === 'dir') {
      if (entry.kind !== 'dir' || same) return
      inode.remote = { parent: dir.ino, name: entry.name, key: entry.key }
    } else {
      if (entry.kind !== 'file' || (same && inode.remote?.version === entry.version)) return
      const changed =
        inode.remote === undefined ||
        inode.remote.sha1 !== entry.sha1 ||
        inode.remote.size !== entry.size
      // An upload of ours that got through, without our hearing of it, into the same entry.
      const isOurs =
        inode.attempt?.sha1 === entry.sha1 && inode.attempt.size === entry.size && entry.complete
      if (changed && !isOurs && inode.stagedId !== undefined) {
        // Changed there while we hold unsaved bytes: ours becomes an entry of its own, wherever it
        // is seen by now.
        inode.remote = undefined
        this.#tree.settle(inode)
        return
      }
      inode.remote = remoteFile(dir, entry)
      if (changed && !isOurs) {
        delete inode.own.mtime
        delete inode.own.atime
        inode.unseen = true
        this.#invalid(inode)
        if (inode.parent === undefined && inode.changedMs !== undefined) {
          this.revive(inode)
          return
        }
      }
    }
    this.#tree.settle(inode)
  }

  /** Shows an entry that was unknown; true when that has to wait for the next listing. */
  #appear(dir: DirInode, entry: Entry): boolean {
    const tree = this.#tree
    const shown = toShown(entry.name)
    const here = tree.lookup(dir, shown)
    if (here === undefined) {
      this.discover(dir, entry, shown)
    } else if ((here.busy && !here.asksListing) || isUnsettled(here)) {
      return true
    } else if (here.kind === 'file' && here.lost && entry.kind === 'file') {
      here.remote = remoteFile(dir, entry)
      this.onFound(here)
    } else if (here.kind === 'file' && entry.kind === 'file' && isPredecessor(here, entry)) {
      here.remote = remoteFile(dir, entry)
      tree.settle(here)
    } else if (here.kind === 'dir' && entry.kind === 'dir' && here.remote === undefined) {
      // Made on both sides: one directory, whose remote content is still to be listed.
      here.remote = { parent: dir.ino, name: entry.name, key: entry.key }
      here.listed = false
      tree.settle(here)
    } else if (here.remote === undefined || isMisplaced(here)) {
      addShadow(dir, shown, entry)
    } else {
      this.discover(dir, entry, this.#aliasFor(dir, shown, idOf(entry))).own.alias = true
      return true
    }
    return false
  }

  /**
   * Gives up a removal of ours that is pending: another device put something new there. The entry
   * is seen again where the service has it; an unsent one of ours under that name steps aside.
   */
  revive(inode: Inode): void {
    const tree = this.#tree
    if (inode.remote === undefined) return
    const dir = tree.dir(inode.remote.parent)
    if (dir !== tree.root && dir.parent === undefined) this.revive(dir)
    const shown = toShown(inode.remote.name)
    const here = tree.lookup(dir, shown)
    if (here !== undefined && (here.remote === undefined || isMisplaced(here))) this.yieldName(here)
    const free = tree.lookup(dir, shown) === undefined
    tree.place(inode, dir, free ? shown : this.#aliasFor(dir, shown, remoteIdOf(inode)))
    if (!free) inode.own.alias = true
    tree.settle(inode)
    this.#log.warn(
      { path: tree.path(inode).join('/') },
      'changed on the service after it was removed here: it is kept',
    )
  }

  /**
   * Two sides want one name: both entries are kept, the service's under the name and ours beside
   * it.
   */
  yieldName(inode: Inode): void {
    const tree = this.#tree
    const { name } = inode
    const dir = tree.dir(inode.parent as number)
    const ours = sideName(
      name,
      'conflict',
      new Date(),
      (candidate) => tree.lookup(dir, candidate) !== undefined,
    )
    tree.place(inode, dir, ours)
    tree.onInvalid(dir, name)
    this.#log.warn(
      { path: tree.path(inode).join('/') },
      'changed on two sides: both versions are kept',
    )
    const shadow = this.takeShadow(dir, name)
    if (shadow !== undefined) this.discover(dir, shadow, name)
  }

  /**
   * The entry of the service whose name is taken here by one of ours, for the caller to settle;
   * once.
   */
  takeShadow(dir: DirInode, shown: string): Entry | undefined {
    const shadow = dir.shadows?.get(shown)
    dir.shadows?.delete(shown)
    // It may have been moved since, and be known from the listing of its new directory.
    return shadow === undefined || this.#tree.byRemoteId(idOf(shadow)) !== undefined
      ? undefined
      : shadow
  }

  /** Makes an inode for an entry of the service, seen under a name that is free. */
  discover(dir: DirInode, entry: Entry, shown: string): Inode {
    const inode = this.#tree.discover(entry.kind, dir, shown)
    inode.ctimeMs = entry.ctimeMs
    inode.mtimeMs = entry.mtimeMs
    if (entry.kind === 'dir' && inode.kind === 'dir') {
      inode.remote = { parent: dir.ino, name: entry.name, key: entry.key }
    } else if (entry.kind === 'file' && inode.kind === 'file') {
      inode.remote = remoteFile(dir, entry)
    }
    this.#tree.saveLater(inode)
    return inode
  }

  /**
   * A name for an entry whose own is already shown: the service may hold two of one name. The
   * first choice may be that of unsent bytes which the entry has parted from.
   */
  #aliasFor(dir: DirInode, name: string, id: string): string {
    const tag = id.slice(-8)
    for (let count = 1; ; count++) {
      const alias = labelled(name, count === 1 ? tag : `${tag} ${count}`)
      if (this.#tree.lookup(dir, alias) === undefined) return alias
    }
  }

  #invalid(inode: Inode): void {
    if (inode.parent === undefined) return
    this.#tree.onInvalid(this.#tree.dir(inode.parent), inode.name)
  }
}

function addShadow(dir: DirInode, shown: string, entry: Entry): void {
  dir.shadows ??= new Map()
  dir.shadows.set(shown, entry)
}

/** After the state file was lost: the version over which our unsent bytes were written. */
function isPredecessor({ remote, predecessor }: FileInode, { sha1, size }: FileEntry): boolean {
  return remote === undefined && predecessor?.sha1 === sha1 && predecessor.size === size
}

function isNewer(inode: Inode, since: number): boolean {
  return (inode.busy && !inode.asksListing) || inode.touched > since
}

/**
 * Its bytes are lost here, and it is not known yet whether the service has got them: before that,
 * nothing that takes the place of the old version is theirs.
 */
function isUnsettled(inode: Inode): boolean {
  return inode.kind === 'file' && inode.lost && inode.attempt !== undefined
}

/** Numbers of the directories other than `dir` where an entry of `dir` may be, by our own doing. */
function placesElsewhere(inode: Inode, dir: DirInode): number[] {
  const places = new Set(inode.strays)
  if (inode.parent !== undefined && isMisplaced(inode)) places.add(inode.parent)
  places.delete(dir.ino)
  return [...places]
}

function idOf(entry: Entry): string {
  return entry.kind === 'dir' ? entry.key : entry.id
}

function remoteIdOf(inode: Inode): string {
  return (inode.kind === 'dir' ? inode.remote?.key : inode.remote?.id) ?? String(inode.ino)
}
