// The inodes: what an entry is, where users of the mount see it, where the service has it, and
// which unsaved bytes it holds. A change is pending when the two places or contents differ, or when
// something was begun of whose end nobody heard; nobody keeps a second list. Inodes are made by
// `tree.ts` and saved by `rows.ts` alone.
import type { InodeRow, OwnAttrs } from '../cache/state.ts'
import type { Entry } from '../weiyun/index.ts'

/** Where and as what the service has an entry. */
export interface RemotePlace {
  /** Inode number of the directory that holds it on the service. */
  readonly parent: number
  readonly name: string
}

export interface RemoteDir extends RemotePlace {
  readonly key: string
}

/** One version of a file on the service. */
export interface RemoteFile extends RemotePlace {
  readonly id: string
  readonly version: string
  readonly size: number
  readonly sha1: string
  readonly md5: string
}

/** What was begun on the service, and may have been done there: its end was not heard of yet. */
export interface Attempt extends RemotePlace {
  /** When it began (ms). */
  readonly sinceMs: number
}

export interface UploadAttempt extends Attempt {
  readonly sha1: string
  readonly size: number
  /** With which it goes on. */
  readonly token?: string
  /** The bytes are not here any more: what came of it may be the only copy. */
  readonly lost?: true
}

abstract class BaseInode {
  readonly ino: number
  /** Inode number of the directory in which it is seen; undefined: removed here. */
  parent: number | undefined
  name: string
  own: OwnAttrs
  /** Milliseconds; the service's times, used where `own` has none. */
  ctimeMs = 0
  mtimeMs = 0
  /** When the oldest unsaved change was made (ms); undefined when all is on the service. */
  changedMs: number | undefined
  /** Why the service refused a pending change for good. */
  error: string | undefined
  /** The tree's clock at the last change of either place: older listings know less. */
  touched = 0
  /** The state file has a row of it. */
  stored = false
  /** A write-back step is under way, so what a listing says of this entry may be half true. */
  busy = false
  /** ... unless the step is waiting for exactly that. */
  asksListing = false
  /**
   * Directories to which its move was begun and not heard of again: the service may have it in any
   * of them, or still where we believe it.
   */
  strays: Set<number> | undefined

  constructor(ino: number, parent: number | undefined, name: string, own: OwnAttrs) {
    this.ino = ino
    this.parent = parent
    this.name = name
    this.own = own
  }
}

export class DirInode extends BaseInode {
  readonly kind = 'dir'
  remote: RemoteDir | undefined
  attempt: Attempt | undefined
  /**
   * The children known here are all there are (as of some listing, or because we made the
   * directory).
   */
  listed = false
  stamp: string | undefined
  /** Seen children by name; undefined until loaded from the state file. */
  children: Map<string, number> | undefined
  /** Its last listing crossed changes of ours, and may have entries that nobody took in. */
  crossed = false
  /** The service is being asked for its entries. */
  listing = false
  /**
   * Clock of `performance.now()` at the last listing or confirmation; undefined: not in this run.
   */
  freshMs: number | undefined
  /**
   * Entries of the service whose shown names are taken here by something not yet sent, by name:
   * conflicts to be settled.
   */
  shadows: Map<string, Entry> | undefined
}

export class FileInode extends BaseInode {
  readonly kind = 'file'
  remote: RemoteFile | undefined
  /** Staging id of unsaved bytes. */
  stagedId: string | undefined
  /** The unsaved bytes were promised to a program by close(2) or fsync(2). */
  promised = false
  /** Size of the unsaved content. */
  stagedSize = 0
  /** The version that fills the gaps of the unsaved bytes; known once the staged file is open. */
  base: RemoteFile | undefined
  /** The unsent bytes are those of `base`, and its hashes are enough to send them. */
  isCopy = false
  /** Content that the unsaved bytes take the place of, as the staged file remembers it. */
  predecessor: { readonly sha1: string; readonly size: number } | undefined
  attempt: UploadAttempt | undefined
  /** The unsaved bytes are not there any more, unless the service has got them. */
  lost = false
  /** Uploads of an earlier run are not on record: the service may have the bytes already. */
  unsure = false
  /** Never leaves this machine (see `local-only.ts`). */
  localOnly = false
  /** Callers that wait for the service to have it: it is sent although it is open, and at once. */
  wanted = 0
  /**
   * Another device removed or replaced it. Whoever has it open may read on; what he writes would
   * have no place.
   */
  takenAway = false
  /** Nobody asked for its attributes since they were learned: the kernel may have older ones. */
  unseen = true
  /** Open handles, and how many of them may write. */
  opens = 0
  writers = 0
  /** performance.now() of the last write, for the quiet time before an upload. */
  writtenMs = 0

  get size(): number {
    return this.stagedId === undefined ? (this.remote?.size ?? 0) : this.stagedSize
  }
}

export type Inode = DirInode | FileInode

export function fromRow(row: InodeRow): Inode {
  const own = row.own === null ? {} : (JSON.parse(row.own) as OwnAttrs)
  const parent = row.parent ?? undefined
  const inode =
    row.kind === 'dir'
      ? dirFromRow(row, new DirInode(row.ino, parent, row.name, own))
      : fileFromRow(row, new FileInode(row.ino, parent, row.name, own))
  inode.ctimeMs = row.rctime ?? 0
  inode.mtimeMs = row.rmtime ?? 0
  inode.changedMs = row.changed ?? undefined
  inode.error = row.error ?? undefined
  if (row.strays !== null) inode.strays = new Set(JSON.parse(row.strays) as number[])
  inode.stored = true
  return inode
}

function dirFromRow(row: InodeRow, dir: DirInode): DirInode {
  if (row.rid !== null && row.rparent !== null) {
    dir.remote = { parent: row.rparent, name: row.rname ?? '', key: row.rid }
  }
  if (row.resume !== null) dir.attempt = JSON.parse(row.resume) as Attempt
  dir.listed = row.listed === 1
  dir.stamp = row.stamp ?? undefined
  return dir
}

function fileFromRow(row: InodeRow, file: FileInode): FileInode {
  if (row.rid !== null && row.rparent !== null) {
    file.remote = {
      parent: row.rparent,
      name: row.rname ?? '',
      id: row.rid,
      version: row.rversion ?? '',
      size: row.rsize ?? 0,
      sha1: row.sha1 ?? '',
      md5: row.md5 ?? '',
    }
  }
  file.stagedId = row.staged ?? undefined
  file.promised = row.promised === 1
  file.stagedSize = row.size ?? 0
  if (row.resume !== null) file.attempt = JSON.parse(row.resume) as UploadAttempt
  // With staged bytes of its own it was written anew since.
  file.lost = file.attempt?.lost === true && file.stagedId === undefined
  file.localOnly = row.localonly === 1
  return file
}

export function toRow(inode: Inode): InodeRow {
  const file = inode.kind === 'file' ? inode : undefined
  const dir = inode.kind === 'dir' ? inode : undefined
  const { remote } = inode
  // The bytes of a removed file are nobody's after a crash; until then whoever has it open keeps
  // them.
  const keepsBytes = file?.promised === true && file.parent !== undefined
  return {
    ino: inode.ino,
    kind: inode.kind,
    parent: inode.parent ?? null,
    name: inode.name,
    rparent: remote?.parent ?? null,
    rname: remote?.name ?? null,
    rid: dir?.remote?.key ?? file?.remote?.id ?? null,
    rversion: file?.remote?.version ?? null,
    rsize: file?.remote?.size ?? null,
    sha1: file?.remote?.sha1 ?? null,
    md5: file?.remote?.md5 ?? null,
    rctime: inode.ctimeMs,
    rmtime: inode.mtimeMs,
    listed: dir?.listed ? 1 : 0,
    stamp: dir?.stamp ?? null,
    own: Object.keys(inode.own).length === 0 ? null : JSON.stringify(inode.own),
    staged: keepsBytes ? (file.stagedId ?? null) : null,
    promised: keepsBytes ? 1 : 0,
    size: keepsBytes ? file.stagedSize : null,
    changed: inode.changedMs ?? null,
    error: inode.error ?? null,
    resume: inode.attempt === undefined ? null : JSON.stringify(inode.attempt),
    localonly: file?.localOnly ? 1 : 0,
    strays: inode.strays === undefined ? null : JSON.stringify([...inode.strays]),
  }
}
