// The one interface behind which both dialects live. It knows keys and ids, no paths, inodes or
// mounts; whoever calls it remembers the tree. All sizes and offsets are bytes, all times are
// milliseconds since 1970 UTC, all hashes lower-case hex.
import type { Session } from './session.ts'
import type { Traffic } from './transport.ts'

/** A directory as commands need it: its key and the key of the directory it lies in. */
export interface DirRef {
  readonly key: string
  readonly parentKey: string
}

/** One version of one file, enough to read or remove exactly that version. */
export interface FileRef {
  readonly id: string
  readonly version: string
  readonly name: string
  readonly size: number
  /** Where it is known, a service that names hashes cannot hand over or remove another version. */
  readonly sha1?: string
}

export interface DirEntry {
  readonly kind: 'dir'
  readonly key: string
  readonly name: string
  readonly ctimeMs: number
  readonly mtimeMs: number
}

export interface FileEntry extends FileRef {
  readonly kind: 'file'
  readonly sha1: string
  readonly md5: string
  readonly ctimeMs: number
  readonly mtimeMs: number
  /** False for an upload that never finished: it has no readable bytes and can only be removed. */
  readonly complete: boolean
}

export type Entry = DirEntry | FileEntry

export interface Listing {
  readonly entries: Entry[]
  /** Opaque; given back to `list` it makes the next listing conditional. */
  readonly stamp: string | undefined
}

export interface Quota {
  readonly total: number
  readonly used: number
}

/** What the account advertises; each dialect maps its own names onto these. */
export interface Limits {
  readonly batchDeleteFilesMax: number
  readonly batchDeleteDirsMax: number
  readonly batchMoveFilesMax: number
  readonly batchMoveDirsMax: number
  /** Characters (UTF-16 units) in one name. */
  readonly nameLengthMax: number
  /** Levels of directories below the main directory. */
  readonly depthMax: number
  readonly dirEntriesMax: number
  readonly fileSizeMax: number
  readonly downloadsMax: number
  readonly uploadsMax: number
  readonly listingsMax: number
  /** Repeats for a user who waits; background work has its own patience. */
  readonly retriesMax: number
}

export interface Account {
  readonly uin: string
  readonly nickname: string
  /** The user's top directory ("微云"), the root of an ordinary mount. */
  readonly mainDir: DirRef
  readonly quota: Quota
  readonly limits: Limits
}

/** What a dialect can do, so that callers ask instead of guessing which one they talk to. */
export interface Features {
  /**
   * Renames and moves without touching bytes. Becomes false when the service refuses the commands.
   */
  readonly nativeRename: boolean
  /** Listings can be conditional on a stamp. */
  readonly conditionalList: boolean
  /** An upload loses dots at the beginning and at the end of its name. */
  readonly stripsDots: boolean
  /** Hashes are enough to upload what the service knows; else the bytes must be at hand for it. */
  readonly uploadsByHash: boolean
}

/** Who waits: a user in a system call goes before read-ahead, and read-ahead before uploads. */
export type Priority = 'user' | 'ahead' | 'background'

export interface CallOptions {
  readonly priority?: Priority
  readonly signal?: AbortSignal
  /** Is not repeated: what was looked at before may have changed meanwhile. */
  readonly once?: boolean
}

/** One entry to remove, with the directory it lies in. */
export interface RemoveItem {
  readonly dir: DirRef
  readonly entry:
    | { readonly kind: 'dir'; readonly key: string; readonly name: string }
    | ({ readonly kind: 'file' } & FileRef)
}

export interface ContentHashes {
  readonly sha1: string
  readonly md5: string
}

/** The bytes of an upload: immutable while the upload lasts. */
export interface UploadSource extends ContentHashes {
  readonly size: number
  /** Reads exactly `length` bytes at `offset`; rejects when they cannot be had. */
  read(offset: number, length: number): Promise<Buffer>
  /** Where a worker thread finds the same bytes, for hashes with readable state. */
  readonly file: { readonly path: string; readonly start: number }
}

export interface UploadOptions extends CallOptions {
  /** The version that this upload is to take the place of, if there is one under the name. */
  readonly replaces?: FileRef
  /** What `onResumable` was last called with for the same source, directory and name. */
  readonly resume?: string
  /**
   * Called with an opaque token from which the upload can go on after a failure or a restart:
   * before the first request, and again when there is more to tell. Only the newest is good.
   */
  readonly onResumable?: (token: string) => void
  /** Called with the number of bytes the service has. */
  readonly onProgress?: (sent: number) => void
}

/**
 * Result of one item of a batch: `undefined` is success, "was already gone" included for removals.
 */
export type ItemError = Error | undefined

/**
 * A Weiyun drive. Every method is safe to repeat after a failure, may be called concurrently,
 * keeps to the account's limits by itself (lanes, batch sizes, request rate) and rejects with a
 * WeiyunError.
 */
export interface Drive {
  readonly features: Features

  /** What was sent and received so far. */
  readonly traffic: Traffic

  /** Account, limits and quota, asked anew each time. */
  account(options?: CallOptions): Promise<Account>

  /** The whole listing, unsorted; 'unchanged' when `stamp` is still that of the newest. */
  list(
    dir: DirRef,
    options?: CallOptions & { readonly stamp?: string },
  ): Promise<Listing | 'unchanged'>

  /**
   * Makes a directory. Rejects with EXISTS when the name is taken (after a lost reply: by
   * ourselves).
   */
  makeDir(dir: DirRef, name: string, options?: CallOptions): Promise<DirEntry>

  /**
   * Removes entries into the recycle bin, in as many batches as the limits ask for. A directory
   * goes with all that is in it. A file whose version is no longer that of the item is left alone:
   * STALE. What is gone already counts as removed; what lies elsewhere, or may, is NOT_FOUND.
   */
  remove(items: readonly RemoveItem[], options?: CallOptions): Promise<ItemError[]>

  /**
   * Renames and moves in one go, as far as the service can. Name and directory may both change.
   * Rejects with UNSUPPORTED when the service has no such command (and `features.nativeRename` is
   * false from then on), EXISTS when the new name is taken. A service that gives the entry another
   * name instead says nothing: list `to` afterwards where that matters.
   */
  move(item: RemoveItem, to: DirRef, newName: string, options?: CallOptions): Promise<void>

  /**
   * Streams the bytes `offset` up to `offset + length` of one version. Yields exactly that many or
   * rejects (CORRUPT for what cannot be mended by asking again, STALE or NOT_FOUND when the
   * version is gone). Interrupted bodies are resumed inside.
   */
  read(
    dir: DirRef,
    file: FileRef,
    offset: number,
    length: number,
    options?: CallOptions,
  ): AsyncIterable<Buffer>

  /**
   * Puts known content under a name without sending a byte; `undefined` when the service does not
   * have it.
   */
  uploadByHash(
    dir: DirRef,
    name: string,
    content: ContentHashes & { readonly size: number },
    options?: CallOptions,
  ): Promise<FileEntry | undefined>

  /**
   * Uploads, by hash where the service knows the content, else by sending. The entry's `name` is
   * the one that the service gave, which may differ from the one asked for when that was taken.
   * Broken entries of its own are removed.
   */
  upload(
    dir: DirRef,
    name: string,
    source: UploadSource,
    options?: UploadOptions,
  ): Promise<FileEntry>

  /**
   * Goes on with another session of the same account, after a login: a running mount is revived.
   */
  useSession(session: Session): void

  /** Gives up what is under way and closes connections. */
  close(): Promise<void>
}
