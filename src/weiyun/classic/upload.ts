// Uploads of the classic dialect: by hash, in chunks or in one form, and what to make of names
// that clash (protocol notes, classic 6). The order of things is in transfer/upload.ts.
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import type {
  ContentHashes,
  DirRef,
  FileEntry,
  FileRef,
  ItemError,
  UploadOptions,
  UploadSource,
} from '../drive.ts'
import { hasContent, isCutOffForm, isMadeFor, isRenamed } from '../entries.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import { type Fields, flag } from '../fields.ts'
import type { Lanes } from '../lanes.ts'
import type { Throttle } from '../throttle.ts'
import { runUpload, type UploadSteps } from '../transfer/upload.ts'
import { ChunkSender, type ChunkTicket, decodeTicket } from './chunks.ts'
import type { ClassicClient } from './client.ts'
import { type Announced, decodeAnnounced } from './decode.ts'
import { announceForm, decodeFormTicket, type FormTicket, sendForm } from './form.ts'
import type { WireNames } from './names.ts'
import { readToken, writeToken } from './resume.ts'
import type { Surroundings } from './settle.ts'

export type UploadMethod = 'chunks' | 'form'

export interface UploadsOptions {
  readonly client: ClassicClient
  readonly lanes: Lanes
  readonly names: WireNames
  readonly bandwidth: Throttle
  readonly log: Logger
  readonly method: UploadMethod
  readonly drive: Pick<Surroundings, 'list' | 'remove'>
}

/** One file on its way to one name. */
interface Wanted {
  readonly dir: DirRef
  readonly name: string
  readonly content: ContentHashes & { readonly size: number }
  readonly replaces?: FileRef
  readonly call: Call
}

interface Target extends Wanted {
  /** When it was first announced, by our clock, perhaps before a restart. */
  readonly sinceMs: number
  /** It may have been announced before, with a reply that we never saw. */
  readonly isRepeated: boolean
}

type Ticket<Way> = Announced & Way

export class ClassicUploads {
  readonly #options: UploadsOptions
  readonly #sender: ChunkSender
  #method: UploadMethod

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#sender = new ChunkSender(options)
    this.#method = options.method
  }

  /** See Drive.uploadByHash. */
  async byHash(wanted: Wanted): Promise<FileEntry | undefined> {
    return this.#byHash({ ...wanted, sinceMs: Date.now(), isRepeated: false })
  }

  async #byHash(target: Target): Promise<FileEntry | undefined> {
    const { body, entry } = await this.#withMethod((method) => this.#askByHash(target, method))
    if (entry !== undefined || !flag(body, 'file_exist')) {
      if (entry === undefined) await this.#discard(target, decodeAnnounced(body))
      return entry
    }
    return this.#entry(target, decodeAnnounced(body))
  }

  /** See Drive.upload, but for `replaces`: the entry may have got another name for its sake. */
  async upload(wanted: Wanted, source: UploadSource, options: UploadOptions): Promise<FileEntry> {
    const { resume, onResumable } = options
    const resumed = resume === undefined ? undefined : readToken(resume, wanted)
    const sinceMs = resumed?.sinceMs ?? Date.now()
    const target = { ...wanted, sinceMs, isRepeated: resumed !== undefined }
    // Before the first request, so that whatever it leaves behind is looked for after a crash.
    if (resumed === undefined) onResumable?.(writeToken(wanted, sinceMs))
    return this.#withMethod((method) =>
      method === 'chunks'
        ? runUpload(this.#chunkSteps(target, source, options), options, this.#options.log)
        : runUpload(this.#formSteps(target, source), {}, this.#options.log),
    )
  }

  /** Falls back to the form for good when the service does not know the command for chunks. */
  async #withMethod<T>(work: (method: UploadMethod) => Promise<T>): Promise<T> {
    try {
      return await work(this.#method)
    } catch (error) {
      if (this.#method === 'form' || !isWeiyunError(error, 'UNSUPPORTED')) throw error
      this.#options.log.warn({ failed: error.message }, 'no upload in chunks here: using the form')
      this.#method = 'form'
      return work(this.#method)
    }
  }

  #chunkSteps(
    target: Target,
    source: UploadSource,
    { onProgress }: UploadOptions,
  ): UploadSteps<Ticket<ChunkTicket>> {
    const { call } = target
    return {
      ...this.#commonSteps(target),
      begin: async () => {
        const { body, entry } = await this.#askByHash(target, 'chunks')
        if (entry !== undefined) return { entry }
        const made = decodeAnnounced(body)
        if (flag(body, 'file_exist')) return { entry: await this.#entry(target, made) }
        return { ticket: { ...made, ...decodeTicket(body) } }
      },
      send: async (ticket) => {
        const isSure = await this.#sender.send(ticket, source, call, (sent) => onProgress?.(sent))
        const entry = isSure ? await this.#entry(target, ticket) : await this.#find(target, ticket)
        if (entry !== undefined) return entry
        throw new WeiyunError('RESTART_TRANSFER', 'the service ended the upload before its end')
      },
      find: (ticket) => this.#findOrMiss(target, ticket),
      save: (ticket) => writeToken(target, target.sinceMs, ticket),
      restore: (token) => readToken(token, target)?.ticket,
    }
  }

  #formSteps(target: Target, source: UploadSource): UploadSteps<Ticket<FormTicket>> {
    const { client, names, bandwidth } = this.#options
    const { dir, name, content, call } = target
    return {
      ...this.#commonSteps(target),
      begin: async () => {
        const entry = await this.#byHash(target)
        if (entry !== undefined) return { entry }
        const ask = () =>
          announceForm(client, dir, names.encode(name), content.size, undefined, call)
        const body = await this.#options.lanes.retry(call, ask)
        return { ticket: { ...decodeAnnounced(body), ...decodeFormTicket(body) } }
      },
      send: async (ticket) => {
        await sendForm(client, bandwidth, ticket, source, call)
        const entry = await this.#find(target, ticket)
        if (entry !== undefined) return entry
        throw new WeiyunError('RESTART_TRANSFER', 'the form was taken, but the file is not there')
      },
      // A form has no middle to go on from, so its tickets are not kept.
      save: () => '',
      restore: () => undefined,
    }
  }

  #commonSteps(target: Target) {
    return {
      find: (ticket: Announced) => this.#find(target, ticket),
      discard: (ticket: Announced) => this.#discard(target, ticket),
    }
  }

  /**
   * Announces a file by its hashes. After a lost reply, looks first: what an announcement made may
   * be there, complete (`entry`) or broken, and then it is removed before it is made once more.
   */
  async #askByHash(
    target: Target,
    method: UploadMethod,
  ): Promise<{ body: Fields; entry?: FileEntry }> {
    const { client, names, lanes } = this.#options
    const { dir, name, content, call } = target
    const filename = names.encode(name)
    const announce = async () => ({
      body:
        method === 'chunks'
          ? await this.#sender.announce(dir, filename, content, call)
          : await announceForm(client, dir, filename, content.size, content, call),
    })
    const look = async () => {
      const ours = (await this.#files(target)).filter((made) => isMadeBy(made, target))
      const broken = ours.filter((made) => !made.complete)
      await Promise.all(broken.map((made) => this.#remove(target, made)))
      const entry = ours.find((made) => made.complete)
      return entry && { body: {}, entry }
    }
    try {
      const found = target.isRepeated ? await look() : undefined
      return found ?? (await lanes.retry(call, announce, look))
    } catch (error) {
      // "Already complete" is no failure where it is this content that is complete.
      const found = isWeiyunError(error, 'EXISTS') ? await look() : undefined
      if (found === undefined) throw error
      return found
    }
  }

  /**
   * What lies in the directory with the target's content, complete or not; not the file to be
   * replaced.
   */
  async #sameContent(target: Target): Promise<FileEntry[]> {
    return (await this.#files(target)).filter((file) => hasContent(file, target.content))
  }

  async #files({ dir, replaces, call }: Target): Promise<FileEntry[]> {
    const entries = await this.#options.drive.list(dir, call)
    return entries.filter((entry) => entry.kind === 'file').filter(({ id }) => id !== replaces?.id)
  }

  /** The finished file: by its id, or when no reply told it, by its name. */
  async #find(target: Target, { id }: Announced): Promise<FileEntry | undefined> {
    const files = (await this.#sameContent(target)).filter((file) => file.complete)
    if (id !== undefined) return files.find((file) => file.id === id)
    const newestFirst = files.toSorted((a, b) => b.ctimeMs - a.ctimeMs)
    const named = newestFirst.find((file) => file.name === target.name)
    return named ?? newestFirst.find((file) => isRenamed(target.name, file.name))
  }

  /** The same; 'gone' where the entry of an announcement is not there any more, broken or not. */
  async #findOrMiss(target: Target, ticket: Announced): Promise<FileEntry | 'gone' | undefined> {
    const { id } = ticket
    if (id === undefined) return this.#find(target, ticket)
    const entries = await this.#options.drive.list(target.dir, target.call)
    const entry = entries.find((other) => other.kind === 'file' && other.id === id)
    if (entry === undefined) return 'gone'
    return hasContent(entry, target.content) && entry.complete ? entry : undefined
  }

  async #discard(target: Target, { id, version, name = target.name }: Announced): Promise<void> {
    if (id === undefined) return
    const [error] = await this.#remove(target, { id, version, name, size: target.content.size })
    if (error === undefined) return
    this.#options.log.warn({ failed: error.message }, 'a broken entry stays behind')
  }

  async #remove({ dir, call }: Target, file: FileRef): Promise<ItemError[]> {
    return this.#options.drive.remove([{ dir, entry: { ...file, kind: 'file' } }], call)
  }

  /**
   * The finished file from what its announcement said, or from the listing where that said too
   * little.
   */
  async #entry(target: Target, announced: Announced): Promise<FileEntry> {
    const { id, version, name, timeMs } = announced
    const { size, sha1, md5 } = target.content
    if (id !== undefined && name !== undefined) {
      const times = { ctimeMs: timeMs, mtimeMs: timeMs }
      return { kind: 'file', id, version, name, size, sha1, md5, ...times, complete: true }
    }
    const entry = await this.#find(target, announced)
    if (entry !== undefined) return entry
    throw new WeiyunError('BAD_REPLY', 'the service took the file, but does not list it')
  }
}

/** Whether an earlier attempt at this upload made the file, or its beginning. */
function isMadeBy(file: FileEntry, target: Target): boolean {
  const { name, content, sinceMs } = target
  if (hasContent(file, content)) return isMadeFor(file, target)
  return isCutOffForm(file, { name, size: content.size, sinceMs })
}
