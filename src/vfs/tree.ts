// The tree of inodes, in memory as far as it was looked at, whole in the state file. Everything
// here is synchronous: between two statements of a caller nobody else sees half a change, and a
// change is in the state file when the method returns (rows of a listing, which can be fetched
// again, follow a little later).
import type { StateFile } from '../cache/state.ts'
import type { Entry } from '../weiyun/index.ts'
import { Bases } from './bases.ts'
import {
  DirInode,
  FileInode,
  fromRow,
  type Inode,
  type RemoteDir,
  type RemoteFile,
  type RemotePlace,
  type UploadAttempt,
} from './inode.ts'
import { toService, toShown } from './names.ts'
import { Residents } from './residents.ts'
import { Rows } from './rows.ts'

const ROOT_INO = 1

export class Tree {
  readonly #state: StateFile
  readonly #stripsDots: boolean
  readonly #inodes = new Residents()
  readonly #pending = new Set<number>()
  /** Entries with which something was begun on the service whose end was not heard of yet. */
  readonly #begun = new Set<Inode>()
  readonly #rows: Rows
  /** Who needs bytes of which version. */
  readonly bases = new Bases()
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
    this.#rows = new Rows(state, (ino) => this.get(ino))
    this.#stripsDots = stripsDots
    this.#lastIno = Math.max(state.lastIno(), ROOT_INO)
    if (state.get(ROOT_INO) === undefined) {
      const root = new DirInode(ROOT_INO, undefined, '', {})
      this.#inodes.set(root)
      this.#rows.save(root)
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
    return this.#rows.waitingById(id)
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
    this.#rows.flush()
    const rows = this.#state.remoteChildrenOf(dir.ino)
    return rows.flatMap((row) => this.get(row.ino) ?? [])
  }

  pending(): Inode[] {
    return [...this.#pending].flatMap((ino) => this.get(ino) ?? [])
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
    if (inode.kind === 'file') inode.takenAway = false
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
    this.#begun.delete(inode)
    this.#inodes.delete(inode)
    this.#rows.remove(inode)
  }

  /** Saves a change of place or content and works out whether the entry is pending. */
  touch(inode: Inode): void {
    inode.touched = ++this.#clock
    this.settle(inode)
  }

  /** Like `touch`, for what a listing said: it is not newer than the next listing. */
  settle(inode: Inode): void {
    const wasPending = inode.changedMs !== undefined
    this.#noteBegun(inode)
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
    return [...this.#begun].some((inode) => {
      if (inode.kind !== entry.kind || inode.attempt?.parent !== dir.ino) return false
      if (entry.kind === 'dir') return inode.attempt.name === entry.name
      const { sha1, size } = inode.attempt as UploadAttempt
      return sha1 === entry.sha1 && size === entry.size
    })
  }

  /** Another file that is at work on an upload to the same place, perhaps of the same bytes. */
  rivalOf(file: Inode, { parent, name, size }: RemotePlace & { size: number }): Inode | undefined {
    return [...this.#begun].find(
      (other) =>
        other !== file &&
        other.kind === 'file' &&
        other.busy &&
        other.attempt?.parent === parent &&
        other.attempt.name === name &&
        other.attempt.size === size,
    )
  }

  /**
   * What the service has, or may come to have by an upload of ours, under a name in a directory.
   */
  occupant(dir: DirInode, name: string): Inode | undefined {
    this.#rows.flush()
    const row = this.#state.byRemotePlace(dir.ino, name)
    if (row !== undefined) return this.get(row.ino)
    return [...this.#begun].find(
      ({ attempt }) => attempt?.parent === dir.ino && attempt.name === name,
    )
  }

  /** What we may be bringing to `dir` on the service just now, wherever it is seen by now. */
  arriving(dir: DirInode): Inode | undefined {
    return [...this.#begun].find(
      ({ attempt, strays }) => attempt?.parent === dir.ino || strays?.has(dir.ino),
    )
  }

  /** Saves what does not make an entry pending: attributes, and what is known of a directory. */
  save(inode: Inode): void {
    this.#noteBegun(inode)
    this.#rows.save(inode)
  }

  /** Saves what a listing told, which can be fetched again. */
  saveLater(inode: Inode): void {
    this.#noteBegun(inode)
    this.#rows.saveLater(inode)
    this.#makeRoom()
  }

  /** Saves what is left; nothing may be changed afterwards. */
  close(): void {
    this.#rows.close()
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

  #noteBegun(inode: Inode): void {
    if (inode.attempt === undefined && inode.strays === undefined) this.#begun.delete(inode)
    else this.#begun.add(inode)
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
    if (inode.changedMs !== undefined || inode.busy || this.#rows.isWaiting(inode)) return false
    if (inode.kind === 'dir') return inode.children === undefined
    return inode.opens === 0 && inode.wanted === 0 && inode.attempt === undefined && inode.stored
  }

  #adopt(inode: Inode): Inode {
    this.#inodes.set(inode)
    this.#noteBegun(inode)
    return inode
  }

  /** A directory whose entries change has a new mtime. */
  #stir(dir: DirInode): void {
    dir.mtimeMs = Date.now()
    delete dir.own.mtime
    this.#rows.saveSoon(dir)
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
  if (inode.attempt !== undefined || inode.strays !== undefined) return true
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
