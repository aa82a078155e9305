// The tree of inodes, in memory as far as it was looked at, whole in the state file. Everything
// here is synchronous: between two statements of a caller nobody else sees half a change, and a
// change is in the state file when the method returns (rows of a listing, which can be fetched
// again, follow a little later).
import type { InodeRow, StateFile } from '../cache/state.ts'
import type { Entry } from '../weiyun/index.ts'
import {
  DirInode,
  FileInode,
  fromRow,
  type Inode,
  type RemoteDir,
  type RemoteFile,
  toRow,
  type UploadAttempt,
} from './inode.ts'
import { toService, toShown } from './names.ts'
import { Residents } from './residents.ts'

export const ROOT_INO = 1

/** Rows of listings written in one go; about 5 ms of the event loop. */
const LATER_ROWS = 200
/** How long a directory's new mtime may be known in memory alone: a crash would forget it. */
const STIR_MS = 500

export class Tree {
  readonly #state: StateFile
  readonly #stripsDots: boolean
  readonly #inodes = new Residents()
  readonly #pending = new Set<number>()
  readonly #attempted = new Set<Inode>()
  /** Rows not written yet, with the id under which `byRemoteId` finds them. */
  readonly #later = new Map<Inode, string | undefined>()
  readonly #laterById = new Map<string, Inode>()
  #laterScheduled = false
  /**
   * Directories with another mtime than their rows, as happens once for every file that is made.
   */
  readonly #stirred = new Set<DirInode>()
  #stirTimer: NodeJS.Timeout | undefined
  #makingRoom = false
  #lastIno: number
  #clock = 0
  /** Called when an entry became pending, or may be ready for its next step. */
  onPending: (inode: Inode) => void = () => {}
  /** Called with the place of an entry that changed without the kernel knowing. */
  onInvalid: (dir: DirInode, name: string) => void = () => {}

  /** `stripsDots`: the service takes dots from both ends of a file's name (see Drive.features). */
  constructor(state: StateFile, { stripsDots = false } = {}) {
    this.#state = state
    this.#stripsDots = stripsDots
    this.#lastIno = Math.max(state.lastIno(), ROOT_INO)
    if (state.get(ROOT_INO) === undefined) {
      const root = new DirInode(ROOT_INO, undefined, '', {})
      this.#inodes.set(root)
      state.save(toRow(root), false)
    }
    for (const row of state.pending()) {
      const inode = this.#inodes.get(row.ino) ?? this.#adopt(fromRow(row))
      // Bytes that were never promised are not on record: without them nothing is left to do.
      if (differs(inode)) this.#pending.add(inode.ino)
      else inode.changedMs = undefined
    }
  }

  get root(): DirInode {
    return this.dir(ROOT_INO)
  }

  /**
   * Grows with every change made here; a listing asked for at clock c knows nothing of later
   * changes.
   */
  get clock(): number {
    return this.#clock
  }

  get(ino: number): Inode | undefined {
    const known = this.#inodes.get(ino)
    if (known !== undefined) return known
    const row = this.#state.get(ino)
    return row === undefined ? undefined : this.#adopt(fromRow(row))
  }

  /** The directory of that number, which the caller knows to exist. */
  dir(ino: number): DirInode {
    const inode = this.get(ino)
    if (inode?.kind !== 'dir') throw new Error(`inode ${ino} is no directory`)
    return inode
  }

  byRemoteId(id: string): Inode | undefined {
    const row = this.#state.byRemoteId(id)
    if (row !== undefined) return this.get(row.ino)
    return this.#laterById.get(id)
  }

  /** Inode numbers by seen name; complete when `dir.listed`. */
  children(dir: DirInode): Map<string, number> {
    if (dir.children === undefined) {
      dir.children = new Map()
      this.#makeRoom()
      for (const row of this.#state.childrenOf(dir.ino)) {
        if (!this.#inodes.has(row.ino)) this.#adopt(fromRow(row))
        dir.children.set(row.name, row.ino)
      }
    }
    this.#inodes.use(dir)
    return dir.children
  }

  lookup(dir: DirInode, name: string): Inode | undefined {
    const ino = this.children(dir).get(name)
    return ino === undefined ? undefined : this.get(ino)
  }

  /**
   * Everything that the service has in `dir` as far as we know, removed and moved entries
   * included.
   */
  remoteChildren(dir: DirInode): Inode[] {
    this.flushLater()
    const rows = this.#state.remoteChildrenOf(dir.ino)
    return rows.flatMap((row) => this.get(row.ino) ?? [])
  }

  pending(): Inode[] {
    return [...this.#pending].flatMap((ino) => this.get(ino) ?? [])
  }

  get pendingCount(): number {
    return this.#pending.size
  }

  /** A new entry, seen at once; not yet on the service. The place must be free. */
  create<K extends Inode['kind']>(
    kind: K,
    dir: DirInode,
    name: string,
  ): Extract<Inode, { kind: K }> {
    const ino = ++this.#lastIno
    const inode =
      kind === 'dir'
        ? new DirInode(ino, undefined, name, {})
        : new FileInode(ino, undefined, name, {})
    this.#inodes.set(inode)
    inode.ctimeMs = inode.mtimeMs = Date.now()
    if (inode.kind === 'dir') {
      inode.listed = true
      inode.children = new Map()
    } else {
      inode.unseen = false
    }
    this.place(inode, dir, name)
    return inode as Extract<Inode, { kind: K }>
  }

  /**
   * An entry that a listing told of: seen at once; the caller fills in what the service has and
   * calls `saveLater`. The place must be free.
   */
  discover<K extends Inode['kind']>(
    kind: K,
    dir: DirInode,
    name: string,
  ): Extract<Inode, { kind: K }> {
    const ino = ++this.#lastIno
    const inode =
      kind === 'dir' ? new DirInode(ino, dir.ino, name, {}) : new FileInode(ino, dir.ino, name, {})
    const children = this.children(dir)
    if (children.has(name)) throw new Error(`"${name}" is taken`)
    this.#inodes.set(inode)
    children.set(name, ino)
    return inode as Extract<Inode, { kind: K }>
  }

  /** Shows an entry at another place, which must be free. */
  place(inode: Inode, dir: DirInode, name: string): void {
    const children = this.children(dir)
    if (children.has(name)) throw new Error(`"${name}" is taken`)
    if (inode.parent !== undefined) {
      this.children(this.dir(inode.parent)).delete(inode.name)
      this.#stir(this.dir(inode.parent))
    }
    inode.parent = dir.ino
    inode.name = name
    delete inode.own.alias
    children.set(name, inode.ino)
    this.#stir(dir)
    this.touch(inode)
  }

  /** Takes an entry out of sight. What the service has of it is pending removal. */
  detach(inode: Inode): void {
    if (inode.parent === undefined) return
    this.children(this.dir(inode.parent)).delete(inode.name)
    this.#stir(this.dir(inode.parent))
    inode.parent = undefined
    this.touch(inode)
  }

  /**
   * A record of a version that the service still has and that nobody sees any more: to be removed.
   */
  bury(remote: RemoteFile): FileInode {
    const file = new FileInode(++this.#lastIno, undefined, toShown(remote.name), {})
    file.remote = remote
    this.#inodes.set(file)
    this.touch(file)
    return file
  }

  /** The same for a directory, whose entries the caller has moved or buried. */
  buryDir(remote: RemoteDir): DirInode {
    const dir = new DirInode(++this.#lastIno, undefined, toShown(remote.name), {})
    dir.remote = remote
    dir.listed = true
    this.#inodes.set(dir)
    this.touch(dir)
    return dir
  }

  /** Drops the record of an entry that is neither seen nor on the service. */
  forget(inode: Inode): void {
    const dir = inode.parent === undefined ? undefined : this.get(inode.parent)
    if (dir?.kind === 'dir') this.children(dir).delete(inode.name)
    inode.parent = undefined
    this.#pending.delete(inode.ino)
    this.#unsaved(inode)
    this.#inodes.delete(inode)
    this.#unstore(inode)
  }

  /** Saves a change of place or content and works out whether the entry is pending. */
  touch(inode: Inode): void {
    inode.touched = ++this.#clock
    this.settle(inode)
  }

  /** Like `touch`, for what a listing said: it is not newer than the next listing. */
  settle(inode: Inode): void {
    const wasPending = inode.changedMs !== undefined
    this.#noteAttempt(inode)
    this.#inodes.set(inode) // a step that was under way may bring back a forgotten entry
    const pending = differs(inode)
    if (!pending) {
      inode.changedMs = undefined
      inode.error = undefined
      this.#pending.delete(inode.ino)
    } else {
      inode.changedMs ??= Date.now()
      this.#pending.add(inode.ino)
    }
    if (isGone(inode)) {
      this.forget(inode)
      // Whoever waited for it need not any more.
      this.onPending(inode)
      return
    }
    this.save(inode)
    if (pending || wasPending) this.onPending(inode)
  }

  /**
   * True for what may have been made by what we began without hearing of its end: no entry of
   * somebody else.
   */
  isAttempted(dir: DirInode, entry: Entry): boolean {
    return [...this.#attempted].some((inode) => {
      if (inode.kind !== entry.kind || inode.attempt?.parent !== dir.ino) return false
      if (entry.kind === 'dir') return inode.attempt.name === entry.name
      const { sha1, size } = inode.attempt as UploadAttempt
      return sha1 === entry.sha1 && size === entry.size
    })
  }

  /**
   * What the service has, or may come to have by an upload of ours, under a name in a directory.
   */
  occupant(dir: DirInode, name: string): Inode | undefined {
    this.flushLater()
    const row = this.#state.byRemotePlace(dir.ino, name)
    if (row !== undefined) return this.get(row.ino)
    return [...this.#attempted].find(
      ({ attempt }) => attempt?.parent === dir.ino && attempt.name === name,
    )
  }

  save(inode: Inode): void {
    this.#noteAttempt(inode)
    this.#unsaved(inode)
    if (!isWorthStoring(inode)) {
      this.#unstore(inode)
      return
    }
    this.#saveAbove(inode)
    this.#store(inode, toRow(inode))
  }

  #store(inode: Inode, row: InodeRow): void {
    try {
      this.#state.save(row, inode.stored)
    } catch (error) {
      if (!this.#saveWhoLeft(inode)) throw error
      this.#state.save(row, inode.stored)
    }
    inode.stored = true
  }

  /**
   * After a crash a row is worth nothing without those of the directories above it. One that waits
   * to be saved after its entries is saved as not listed for now.
   */
  #saveAbove(inode: Inode): void {
    for (const ino of [inode.parent, inode.remote?.parent]) {
      const dir = ino === undefined ? undefined : this.#inodes.get(ino)
      if (dir?.kind !== 'dir' || dir.stored || dir === this.root) continue
      this.#saveAbove(dir)
      this.#store(dir, { ...toRow(dir), listed: 0, stamp: null })
    }
  }

  /**
   * A place or an id may still be that of an entry which has left it, and whose own row is to
   * follow: it does now.
   */
  #saveWhoLeft(inode: Inode): boolean {
    const id = remoteId(inode)
    const rows = [
      inode.parent === undefined ? undefined : this.#state.childNamed(inode.parent, inode.name),
      id === undefined ? undefined : this.#state.byRemoteId(id),
    ]
    const left = rows.flatMap((row) =>
      row === undefined || row.ino === inode.ino ? [] : (this.get(row.ino) ?? []),
    )
    const stays = left.some(
      (other) =>
        (inode.parent !== undefined &&
          other.parent === inode.parent &&
          other.name === inode.name) ||
        (id !== undefined && remoteId(other) === id),
    )
    if (left.length === 0 || stays) return false
    for (const other of left) this.save(other)
    return true
  }

  saveLater(inode: Inode): void {
    // Delete first: a directory marked as listed has to come after its entries.
    this.#unsaved(inode)
    const id = remoteId(inode)
    this.#later.set(inode, id)
    this.#makeRoom()
    if (id !== undefined) this.#laterById.set(id, inode)
    if (this.#laterScheduled) return
    this.#laterScheduled = true
    setImmediate(() => {
      if (!this.#laterScheduled) return
      this.#laterScheduled = false
      this.#saveSome(LATER_ROWS)
    })
  }

  /** Saves what is left; nothing may be changed afterwards. */
  close(): void {
    this.#saveStirred()
    this.flushLater()
    this.#laterScheduled = false
  }

  flushLater(): void {
    if (this.#later.size > 0) this.#saveSome(Number.POSITIVE_INFINITY)
  }

  transaction<T>(work: () => T): T {
    return this.#state.transaction(work)
  }

  /**
   * Names from the root of the drive down to the entry; for a removed one, those of its place on
   * the service.
   */
  path(inode: Inode): string[] {
    const names: string[] = []
    let at: Inode | undefined = inode
    while (at !== undefined && at.ino !== ROOT_INO) {
      names.unshift(
        at.parent === undefined && at.remote !== undefined ? toShown(at.remote.name) : at.name,
      )
      const parent: number | undefined = at.parent ?? at.remote?.parent
      at = parent === undefined ? undefined : this.get(parent)
    }
    return names
  }

  /** The name under which the service has, or is to have, an entry. */
  serviceName(inode: Inode): string {
    const { remote } = inode
    if (remote !== undefined && isShownAs(inode, remote.name)) return remote.name
    return toService(inode.name, inode.kind === 'file' && this.#stripsDots)
  }

  /** Whether the directories are on record in which an entry is seen and has its place. */
  hasPlaces(inode: Inode): boolean {
    const isKnown = (ino: number | undefined): boolean =>
      ino === undefined || this.get(ino)?.kind === 'dir'
    for (let at: Inode | undefined = inode; at !== undefined; ) {
      if (!isKnown(at.parent) || !isKnown(at.remote?.parent)) return false
      at = at.parent === undefined ? undefined : this.get(at.parent)
    }
    return true
  }

  /** True when `dir` lies in `ancestor` (or is it), for the users of this mount. */
  isBelow(dir: DirInode, ancestor: Inode): boolean {
    let at: Inode | undefined = dir
    while (at !== undefined) {
      if (at.ino === ancestor.ino) return true
      at = at.parent === undefined ? undefined : this.get(at.parent)
    }
    return false
  }

  #unstore(inode: Inode): void {
    if (inode.stored) this.#state.remove(inode.ino)
    inode.stored = false
  }

  #noteAttempt(inode: Inode): void {
    if (inode.attempt === undefined) this.#attempted.delete(inode)
    else this.#attempted.add(inode)
  }

  /** Soon, but not under the hands of whoever is looking at a directory right now. */
  #makeRoom(): void {
    if (!this.#inodes.isFull || this.#makingRoom) return
    this.#makingRoom = true
    setImmediate(() => {
      this.#makingRoom = false
      // A listing on its way is not to undo what changed since it was asked for: of a child that
      // did not change in this run, the state file knows as much.
      this.#inodes.shrink(
        (dir, child) => (!dir.listing || child.touched === 0) && this.#isIdle(child),
      )
    })
  }

  /** Nothing is known of it that the state file does not know. */
  #isIdle(inode: Inode): boolean {
    if (inode.changedMs !== undefined || inode.busy || this.#later.has(inode)) return false
    if (inode.kind === 'dir') return inode.children === undefined
    return inode.opens === 0 && inode.wanted === 0 && inode.attempt === undefined && inode.stored
  }

  #adopt(inode: Inode): Inode {
    this.#inodes.set(inode)
    this.#noteAttempt(inode)
    return inode
  }

  /** A directory whose entries change has a new mtime. */
  #stir(dir: DirInode): void {
    dir.mtimeMs = Date.now()
    delete dir.own.mtime
    this.#stirred.add(dir)
    this.#stirTimer ??= setTimeout(() => this.#saveStirred(), STIR_MS).unref()
  }

  #saveStirred(): void {
    clearTimeout(this.#stirTimer)
    this.#stirTimer = undefined
    for (const dir of this.#stirred) this.saveLater(dir)
  }

  #unsaved(inode: Inode): void {
    const id = this.#later.get(inode)
    this.#later.delete(inode)
    if (inode.kind === 'dir') this.#stirred.delete(inode)
    if (id !== undefined && this.#laterById.get(id) === inode) this.#laterById.delete(id)
  }

  #saveSome(rows: number): void {
    this.#state.transaction(() => {
      for (const inode of this.#later.keys()) {
        if (rows-- <= 0) break
        this.save(inode)
      }
    })
    const next = this.#later.keys().next().value
    if (next !== undefined) this.saveLater(next)
  }
}

/** The entry is seen at another place than the service has it. */
export function isMisplaced(inode: Inode): boolean {
  const { remote } = inode
  if (remote === undefined || inode.parent === undefined) return false
  return remote.parent !== inode.parent || !isShownAs(inode, remote.name)
}

/** What the service calls `remoteName` is what users see. */
function isShownAs(inode: Inode, remoteName: string): boolean {
  return inode.own.alias === true || toShown(remoteName) === inode.name
}

/** What users of the mount see differs from what the service has. */
function differs(inode: Inode): boolean {
  if (inode.ino === ROOT_INO) return false
  if (inode.attempt !== undefined) return true
  if (inode.parent === undefined) return inode.remote !== undefined
  if (inode.kind === 'file') {
    if (inode.localOnly) return false
    if (inode.stagedId !== undefined) return true
  }
  return inode.remote === undefined || isMisplaced(inode)
}

/** Nobody sees it, the service does not have it, nobody reads it. */
function isGone(inode: Inode): boolean {
  if (inode.ino === ROOT_INO || inode.parent !== undefined || inode.remote !== undefined)
    return false
  return inode.attempt === undefined && (inode.kind === 'dir' || inode.opens === 0)
}

/**
 * A row is a promise, or what the service told. Bytes that no close(2) promised to anybody are not
 * worth one: after a crash their staged file is set aside.
 */
function isWorthStoring(inode: Inode): boolean {
  if (inode.remote !== undefined) return true
  if (inode.kind === 'dir') return true
  return inode.attempt !== undefined || (inode.promised && inode.parent !== undefined)
}

function remoteId(inode: Inode): string | undefined {
  return inode.kind === 'dir' ? inode.remote?.key : inode.remote?.id
}
