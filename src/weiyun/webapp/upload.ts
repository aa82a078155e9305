// Uploads of the webapp dialect: announced by hash, sent in pieces, and safe for whatever has the
// name already (protocol notes, webapp 7). The order of things is in transfer/upload.ts.
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import type {
  ContentHashes,
  DirRef,
  Entry,
  FileEntry,
  FileRef,
  ItemError,
  RemoveItem,
  UploadOptions,
  UploadSource,
} from '../drive.ts'
import { hasContent, isMadeFor } from '../entries.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import { type Fields, integer, isFields, text } from '../fields.ts'
import type { Lanes } from '../lanes.ts'
import type { Sha1States } from '../transfer/sha1-states.ts'
import { runUpload, type UploadSteps } from '../transfer/upload.ts'
import {
  type Announced,
  type Announcement,
  decodeAnnounced,
  encodeAnnouncement,
  FILE_EXIST,
  type FileExist,
} from './announce.ts'
import type { WebappClient } from './client.ts'
import type { Message } from './envelope.ts'
import type { PieceSender } from './pieces.ts'
import { isVersion } from './remove.ts'
import type { KnownStates } from './states.ts'
import type { Views } from './views.ts'

const PRE_UPLOAD: Message = { cmd: 247120, name: 'PreUpload' }

/** How often in a row all channels may be lost without the service having got any further. */
const LOSSES_MAX = 3

export interface UploadsOptions {
  readonly client: WebappClient
  readonly lanes: Lanes
  readonly pieces: PieceSender
  readonly states: KnownStates
  readonly views: Views
  readonly remove: (items: readonly RemoveItem[], call: Call) => Promise<ItemError[]>
  /**
   * How uploads are announced, until the service refuses that: openid accounts have to use JSON.
   */
  readonly announceBy: 'form' | 'json'
  readonly log: Logger
}

/** One file on its way to one name. */
export interface Target {
  readonly dir: DirRef
  readonly name: string
  readonly content: ContentHashes & { readonly size: number }
  readonly replaces?: FileRef
  readonly call: Call
  /** When it was begun, by our clock; for one that goes on, at the first attempt. */
  readonly sinceMs: number
}

/** What `upload` is asked for. */
export type Wanted = Omit<Target, 'sinceMs'>

type Finished = { readonly entry: FileEntry }

/** What a listing says about an upload: it is done, or how to announce it. */
type Plan = Finished | { readonly fileExist: FileExist }

/** What came of an announcement: seen in a listing, after a lost reply, or said by the service. */
type Answer = Finished | { readonly announced: Announced }

export class WebappUploads {
  readonly #options: UploadsOptions
  #announceBy: 'form' | 'json'

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#announceBy = options.announceBy
  }

  /**
   * See Drive.uploadByHash. The states cannot be had from the hash alone, so only content of ours
   * is known.
   */
  async byHash(wanted: Wanted): Promise<FileEntry | undefined> {
    const target = { ...wanted, sinceMs: Date.now() }
    const states = this.#options.states.peek(target.content)
    if (states === undefined) return undefined
    const answer = await this.#announce(target, states, FILE_EXIST.RENAME)
    if ('entry' in answer) return answer.entry
    if (answer.announced.isComplete) return this.#entry(target, answer.announced)
    await this.#discard(target, answer.announced)
    return undefined
  }

  /** See Drive.upload. */
  async upload(wanted: Wanted, source: UploadSource, options: UploadOptions): Promise<FileEntry> {
    const earlier = readToken(wanted, options.resume)
    const target = { ...wanted, sinceMs: earlier?.sinceMs ?? Date.now() }
    // Before the first request, so that whatever it leaves behind is looked for afterwards.
    if (earlier === undefined) options.onResumable?.(writeToken(target))
    const steps = this.#steps(target, source, options, earlier)
    return runUpload(steps, options, this.#options.log)
  }

  #steps(
    target: Target,
    source: UploadSource,
    options: UploadOptions,
    earlier: Earlier | undefined,
  ): UploadSteps<Announced> {
    const { states } = this.#options
    const { call } = target
    let isFirst = target.replaces === undefined && earlier === undefined
    const begin = async () => {
      // Hashing comes first: what a look has shown is soon over.
      const known = await states.of(source, call)
      // Nobody has the name as far as the caller knows, and a clash does no harm: no need to look.
      const plan: Plan = isFirst
        ? { fileExist: FILE_EXIST.RENAME }
        : await this.#plan(target, earlier?.id, earlier !== undefined)
      isFirst = false
      if ('entry' in plan) return plan
      const answer = await this.#announce(target, known, plan.fileExist)
      if ('entry' in answer) return answer
      const { announced } = answer
      if (announced.isComplete) return { entry: await this.#entry(target, announced) }
      return { ticket: announced }
    }
    return {
      begin,
      send: (ticket) => this.#send(target, ticket, source, options),
      find: (ticket) => this.#find(target, ticket),
      discard: (ticket) => this.#discard(target, ticket),
      save: (ticket) => writeToken(target, ticket),
      // The service itself remembers how far it is: `begin` finds out.
      restore: () => undefined,
    }
  }

  /** Sends until the service has all; announces anew what lost its channels. */
  async #send(
    target: Target,
    ticket: Announced,
    source: UploadSource,
    { onProgress }: UploadOptions,
  ): Promise<FileEntry> {
    const { pieces, states } = this.#options
    let announced = ticket
    for (let losses = 0; losses <= LOSSES_MAX; losses++) {
      const progress = (sent: number) => onProgress?.(sent)
      const outcome = await pieces.send(announced, source, target.call, progress)
      if (outcome === 'complete') return this.#sentEntry(target, announced)
      if (outcome === 'lost') states.forget(source)
      const known = await states.of(source, target.call)
      const plan = await this.#plan(target, announced.id, false)
      if ('entry' in plan) return plan.entry
      if (outcome === 'ended') break
      const answer = await this.#announce(target, known, plan.fileExist)
      if ('entry' in answer) return answer.entry
      if (answer.announced.isComplete) return this.#entry(target, answer.announced)
      if (answer.announced.sent > announced.sent) losses = 0
      announced = answer.announced
    }
    throw new WeiyunError('RESTART_TRANSFER', 'the upload came to an end before the file was there')
  }

  /** Announces; after a lost reply looks first what became of it. */
  async #announce(target: Target, states: Sha1States, fileExist: FileExist): Promise<Answer> {
    const { dir, name, content, call } = target
    let option = fileExist
    let isLookedAt = true
    const announce = async (): Promise<Answer> => {
      // After a pause, what is to be overwritten may be another version by now.
      const found = !isLookedAt && option === FILE_EXIST.OVERWRITE ? await look() : undefined
      if (found !== undefined) return found
      isLookedAt = false
      const announcement = { dir, name, content, states, fileExist: option }
      return { announced: decodeAnnounced(await this.#preUpload(announcement, call), option) }
    }
    const look = async () => {
      const plan = await this.#plan(target, undefined, true)
      isLookedAt = true
      if ('entry' in plan) return plan
      option = plan.fileExist
      return undefined
    }
    try {
      return await this.#options.lanes.retry(call, announce, look)
    } catch (error) {
      // "Already complete" is no failure where it is this content that is complete.
      const found = isWeiyunError(error, 'EXISTS') ? await look() : undefined
      if (found === undefined) throw error
      return found
    } finally {
      this.#options.views.forget(dir)
    }
  }

  /** By the way that works for this account; tries the other when one is refused. */
  async #preUpload(announcement: Announcement, call: Call): Promise<Fields> {
    try {
      return await this.#preUploadBy(this.#announceBy, announcement, call)
    } catch (error) {
      if (!isWeiyunError(error, 'UNSUPPORTED', 'REFUSED')) throw error
      const other = this.#announceBy === 'form' ? 'json' : 'form'
      const body = await this.#preUploadBy(other, announcement, call).catch(() => {
        throw error
      })
      this.#options.log.info({ announceBy: other }, 'uploads are announced the other way')
      this.#announceBy = other
      return body
    }
  }

  #preUploadBy(by: 'form' | 'json', announcement: Announcement, call: Call): Promise<Fields> {
    const { client } = this.#options
    const isEmpty = announcement.content.size === 0
    if (by === 'json') {
      return client.preUploadJson(PRE_UPLOAD, encodeAnnouncement(announcement, !isEmpty), call)
    }
    const piece = isEmpty ? Buffer.alloc(0) : undefined
    return client.upload(PRE_UPLOAD, encodeAnnouncement(announcement, true), piece, call)
  }

  /**
   * Overwriting is for the version that this upload is to replace and for our own beginnings, and
   * only while a listing shows just that under the name. Whatever else has it stays: we get
   * another name. `isRepeated`: an earlier announcement may have got such a name already.
   */
  async #plan(target: Target, id: string | undefined, isRepeated: boolean): Promise<Plan> {
    const { dir, name, replaces, content, call } = target
    const entries = await this.#options.views.fresh(dir, call)
    const entry = findFinished(entries, target, id) ?? (isRepeated && findRenamed(entries, target))
    if (entry) return { entry }
    const holder = entries.find((other) => other.name === name)
    if (holder?.kind !== 'file') return { fileExist: FILE_EXIST.RENAME }
    const isOld = replaces !== undefined && holder.id === replaces.id && isVersion(holder, replaces)
    const isBegun = !holder.complete && hasContent(holder, content)
    return { fileExist: isOld || isBegun ? FILE_EXIST.OVERWRITE : FILE_EXIST.RENAME }
  }

  async #find(target: Target, { id }: Announced): Promise<FileEntry | undefined> {
    return findFinished(await this.#options.views.fresh(target.dir, target.call), target, id)
  }

  /**
   * Removes what an upload that will not be finished left behind, never the version it was to
   * replace.
   */
  async #discard({ dir, replaces, call }: Target, { id }: Announced): Promise<void> {
    if (id === undefined || id === replaces?.id) return
    const entries = await this.#options.views.fresh(dir, call)
    const begun = entries.find((entry) => entry.kind === 'file' && entry.id === id)
    if (begun?.kind !== 'file' || begun.complete) return
    const [error] = await this.#options.remove([{ dir, entry: begun }], call)
    if (error === undefined) return
    this.#options.log.warn({ failed: error.message }, 'a broken entry stays behind')
  }

  /**
   * The finished file after its bytes. What took the place of something older may have got its
   * version only with the last of them: the announcement spoke too early.
   */
  async #sentEntry(target: Target, announced: Announced): Promise<FileEntry> {
    const isNew = announced.fileExist === FILE_EXIST.RENAME
    const listed = isNew ? undefined : await this.#find(target, announced)
    return listed ?? this.#entry(target, announced)
  }

  /**
   * The finished file from what its announcement said, or from the listing where that said too
   * little.
   */
  async #entry(target: Target, announced: Announced): Promise<FileEntry> {
    const { id, version, name, ctimeMs, mtimeMs } = announced
    const { size, sha1, md5 } = target.content
    this.#options.views.forget(target.dir)
    if (id !== undefined && name !== undefined) {
      const times = { ctimeMs, mtimeMs }
      return { kind: 'file', id, version, name, size, sha1, md5, ...times, complete: true }
    }
    const entry = await this.#find(target, announced)
    if (entry !== undefined) return entry
    throw new WeiyunError('BAD_REPLY', 'the service took the file, but does not list it')
  }
}

/** The target's content, complete, under the target's name or as the entry that was announced. */
function findFinished(
  entries: readonly Entry[],
  { name, content }: Target,
  id: string | undefined,
): FileEntry | undefined {
  return entries
    .filter((entry) => hasContent(entry, content))
    .filter((entry) => entry.complete)
    .find((entry) => entry.id === id || entry.name === name)
}

/** The same under the name that a clash made of the target's. */
function findRenamed(entries: readonly Entry[], target: Target): FileEntry | undefined {
  return entries
    .filter((entry) => hasContent(entry, target.content))
    .filter((entry) => entry.id !== target.replaces?.id)
    .find((entry) => entry.complete && isMadeFor(entry, target))
}

function purposeOf({ dir, name, content }: Wanted): string {
  return JSON.stringify([dir.key, name, content.sha1, content.size])
}

/** What a resume token tells of the attempt that wrote it. */
interface Earlier {
  readonly sinceMs: number
  /** Of the entry that it began, once that was known. */
  readonly id: string | undefined
}

function writeToken(target: Target, announced?: Announced): string {
  const { sinceMs } = target
  return JSON.stringify({ for: purposeOf(target), sinceMs, file_id: announced?.id })
}

/** `undefined` for what is no token, or one of another upload. */
function readToken(wanted: Wanted, token: string | undefined): Earlier | undefined {
  try {
    const fields: unknown = JSON.parse(token ?? 'null')
    const sinceMs = isFields(fields) ? integer(fields, 'sinceMs') : undefined
    if (!isFields(fields) || sinceMs === undefined || fields.for !== purposeOf(wanted))
      return undefined
    return { sinceMs, id: text(fields, 'file_id') }
  } catch {
    return undefined
  }
}
