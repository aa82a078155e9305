// Uploads: what was written here becomes the version of the service, once, and the old version
// stays until the new one is seen there.
import { setTimeout as sleep } from 'node:timers/promises'
import { crashPoint } from '../base/crash.ts'
import {
  type CallOptions,
  CLOCK_SKEW_MS,
  type Drive,
  type Entry,
  type FileEntry,
  isMadeFor,
  WeiyunError,
} from '../weiyun/index.ts'
import { isErrno } from './error.ts'
import type { DirInode, FileInode, RemoteFile, UploadAttempt } from './inode.ts'
import type { Listings } from './listing.ts'
import { LATE_MS, type Look } from './look.ts'
import {
  type Content,
  isContent,
  isInUse,
  recordAttempt,
  remoteFile,
  replaceRemote,
} from './remote.ts'
import type { Tree } from './tree.ts'
import type { Snapshot, Writer } from './writer.ts'

/** Entries of one upload that the service took twice are made within this time. */
const TWICE_MS = 2_000

export interface UploadsOptions {
  tree: Tree
  listings: Listings
  look: Look
  writer: Writer
  drive: Drive
  /** How commands are given: nobody waits for them, until the end of the mount. */
  background: CallOptions
  /** Bytes of an upload that the service has so far. */
  onProgress: (file: FileInode, sent: number) => void
}

export class Uploads {
  readonly #tree: Tree
  readonly #listings: Listings
  readonly #look: Look
  readonly #writer: Writer
  readonly #drive: Drive
  readonly #background: CallOptions
  readonly #onProgress: (file: FileInode, sent: number) => void

  constructor({ tree, listings, look, writer, drive, background, onProgress }: UploadsOptions) {
    this.#tree = tree
    this.#listings = listings
    this.#look = look
    this.#writer = writer
    this.#drive = drive
    this.#background = background
    this.#onProgress = onProgress
  }

  async send(file: FileInode, dir: DirInode, signal: AbortSignal): Promise<void> {
    try {
      // An empty file is whole without its bytes; but the service may have got more of it since.
      if (file.lost && file.size === 0) await this.#look.around(file, dir)
      await this.#sendSnapshot(file, dir, signal)
    } catch (error) {
      if (!isErrno(error, 'ESTALE')) throw error
      // Ours cannot be made whole any more. At least it must not hide what the service has instead.
      await this.#look.around(file, dir)
      if (file.parent === dir.ino && dir.shadows?.has(file.name)) this.#listings.yieldName(file)
      throw error
    }
  }

  async #sendSnapshot(file: FileInode, dir: DirInode, signal: AbortSignal): Promise<void> {
    await this.#writer.snapshot(file, async (snapshot) => {
      crashPoint('upload:hashed')
      if (!snapshot.unchanged()) return
      if (!this.#canGoOn(file, snapshot)) await this.settle(file, snapshot.source)
      // An earlier attempt may have got through without our hearing of it.
      if (file.unsure && dir.freshMs === undefined) await this.#look.around(file, dir)
      // Renamed in the meantime: the next step begins where it is now.
      if (file.parent !== dir.ino) return
      this.#settleShadow(file, dir, snapshot)
      const old = file.remote
      const made =
        old === undefined || !isContent(old, snapshot.source)
          ? await this.#transfer(file, dir, snapshot, signal)
          : undefined
      const sent = file.remote
      if (sent === undefined) return
      // A new file under its own name is as good as its reply. Anything else is looked at before
      // the old version, or our copy of the bytes, may go.
      const isNew = old === undefined && made?.isNew === true
      const plain = isNew && sent.name === this.#tree.serviceName(file)
      if (!plain) await this.#confirm(file, snapshot, made?.attempt)
      crashPoint('upload:confirmed')
      if (snapshot.unchanged()) await this.#writer.finish(file, snapshot)
    })
  }

  async #transfer(
    file: FileInode,
    dir: DirInode,
    { source }: Snapshot,
    signal: AbortSignal,
  ): Promise<{ attempt: UploadAttempt; isNew: boolean }> {
    await this.#writer.rescue(file)
    const { sha1, size } = source
    const begun = { parent: dir.ino, name: this.#tree.serviceName(file), sha1, size }
    // One that goes on does so where it began, wherever the file is seen by now: it is moved
    // afterwards.
    const attempt = file.attempt ?? { ...begun, sinceMs: Date.now() }
    const place = this.#tree.dir(attempt.parent)
    const old = file.remote
    const isThere = old?.parent === attempt.parent && old.name === attempt.name
    recordAttempt(this.#tree, file, attempt)
    const { clock } = this.#tree
    crashPoint('upload:begins')
    const ref = this.#look.refOf(place)
    const entry = await this.#drive.upload(ref, attempt.name, source, {
      priority: 'background',
      signal,
      ...(isThere && { replaces: old }),
      ...(attempt.token !== undefined && { resume: attempt.token }),
      onResumable: (token) => recordAttempt(this.#tree, file, { ...attempt, token }),
      onProgress: (sent) => this.#onProgress(file, sent),
    })
    crashPoint('upload:replied')
    if (this.#tree.get(place.ino) !== place || this.#listings.ref(place)?.key !== ref.key) {
      recordAttempt(this.#tree, file, undefined)
      throw new WeiyunError('RESTART_TRANSFER', 'another device has removed the directory')
    }
    // With the name, it was given the entry of an old file on which a removal of ours was at work.
    if (this.#listings.isRemovedSince(entry.id, clock)) {
      recordAttempt(this.#tree, file, undefined)
      throw new WeiyunError('RESTART_TRANSFER', 'what the upload ended on was removed meanwhile')
    }
    // It got through unheard, and another device moved it: going on from there leads back to that.
    if (isInUse(this.#tree, file, entry.id)) {
      recordAttempt(this.#tree, file, undefined)
      throw new WeiyunError('RESTART_TRANSFER', 'what the upload ended on is another file by now')
    }
    const isNew = this.#tree.byRemoteId(entry.id) === undefined
    this.#tree.transaction(() => {
      replaceRemote(this.#tree, file, remoteFile(place, entry))
      file.attempt = undefined
      file.unsure = false
      // It got a name of litter on the way; what the service has is not taken from it.
      file.localOnly = false
      this.#tree.touch(file)
    })
    crashPoint('upload:recorded')
    return { attempt, isNew }
  }

  #canGoOn({ attempt }: FileInode, { source }: Snapshot): boolean {
    if (attempt?.token === undefined || !isContent(attempt, source)) return false
    const dir = this.#tree.get(attempt.parent)
    return dir?.kind === 'dir' && this.#listings.ref(dir) !== undefined
  }

  /**
   * Takes stock of what an upload left whose end was not heard of. A complete file with the bytes
   * of `wanted` is the entry's new version, and so is the entry itself with other bytes, where the
   * service overwrites; anything else of it is to be removed.
   */
  async settle(file: FileInode, wanted?: Content): Promise<void> {
    const { attempt } = file
    if (attempt === undefined) return
    const dir = this.#tree.get(attempt.parent)
    const left = dir?.kind === 'dir' ? await this.#leftOf(file, attempt, dir) : []
    this.#tree.transaction(() => {
      file.attempt = undefined
      for (const { remote, complete } of left) {
        if (remote.id === file.remote?.id) file.remote = remote
        else if (complete && wanted !== undefined && isContent(remote, wanted))
          replaceRemote(this.#tree, file, remote)
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
    const entries = await this.#look.entriesOf(dir)
    return entries.flatMap((entry) => {
      if (entry.kind !== 'file') return []
      const isLeft =
        entry.id === file.remote?.id
          ? entry.complete && isContent(entry, attempt)
          : isOf(attempt, entry) && !this.#tree.byRemoteId(entry.id)
      return isLeft ? [{ remote: remoteFile(dir, entry), complete: entry.complete }] : []
    })
  }

  /** The listing, not the reply, says that the service has our bytes. */
  async #confirm(
    file: FileInode,
    { source }: Snapshot,
    attempt: UploadAttempt | undefined,
  ): Promise<void> {
    const remote = file.remote
    const dir = remote === undefined ? undefined : this.#tree.get(remote.parent)
    if (remote === undefined) return
    if (dir?.kind !== 'dir') return this.#unconfirmed(file)
    const listing = await this.#drive.list(this.#look.refOf(dir), this.#background)
    if (listing === 'unchanged')
      throw new WeiyunError('BAD_REPLY', 'an unconditional listing was answered "unchanged"')
    const entry = listing.entries.find(
      (one): one is FileEntry => one.kind === 'file' && one.id === remote.id,
    )
    if (entry?.complete && isContent(entry, source)) {
      if (attempt !== undefined) this.#buryTwins(dir, entry, attempt, listing.entries)
      return
    }
    this.#unconfirmed(file)
  }

  #unconfirmed(file: FileInode): never {
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
}

/** An entry that an upload made: its bytes, its name or what a clash makes of that, not older. */
function isOf(attempt: UploadAttempt, entry: FileEntry): boolean {
  const isNew = entry.ctimeMs > attempt.sinceMs - CLOCK_SKEW_MS
  return isContent(entry, attempt) && isMadeFor(entry, attempt) && isNew
}
