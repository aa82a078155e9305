// The classic dialect as a Drive: puts commands, uploads and downloads together and keeps what they have
// to know between calls, the account above all.
import type { Logger } from '../../base/log.ts'
import { Call, type CallSettings } from '../call.ts'
import type * as api from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import { Lanes } from '../lanes.ts'
import type { ClassicSession, Session } from '../session.ts'
import { Throttle } from '../throttle.ts'
import { Downloads } from '../transfer/download.ts'
import { Transport } from '../transport.ts'
import { batches } from './batches.ts'
import { ClassicClient } from './client.ts'
import { ClassicCommands } from './commands.ts'
import { type ClassicAccount, LIMITS } from './decode.ts'
import { resolveData } from './locate.ts'
import { moveEntry } from './move.ts'
import { WireNames } from './names.ts'
import { ClassicUploads, type UploadMethod } from './upload.ts'

export interface ClassicDriveOptions {
  readonly session: ClassicSession
  readonly hosts: ServiceHosts
  readonly log: Logger
  readonly timeoutMs: number
  readonly requestsPerSecond: number
  /** Bytes a second; 0 is no limit. */
  readonly bwlimitUp: number
  readonly bwlimitDown: number
  readonly uploadMethod: UploadMethod
  readonly onSession: (session: Session) => void
}

export class ClassicDrive implements api.Drive {
  readonly #options: ClassicDriveOptions
  readonly #transport: Transport
  readonly #client: ClassicClient
  readonly #lanes: Lanes
  readonly #names = new WireNames()
  readonly #commands: ClassicCommands
  readonly #downloads: Downloads
  readonly #uploads: ClassicUploads
  readonly #calls = new Set<Call>()
  #uin: string
  #nativeRename = true
  #isClosed = false
  #known: ClassicAccount | undefined

  constructor(options: ClassicDriveOptions) {
    const { session, hosts, log, timeoutMs, requestsPerSecond, bwlimitUp, bwlimitDown } = options
    this.#options = options
    this.#uin = session.uin
    const transport = new Transport({ log, timeoutMs })
    const lanes = new Lanes({ requestsPerSecond, log })
    const client = new ClassicClient({ transport, hosts, session, onSession: options.onSession })
    this.#transport = transport
    this.#lanes = lanes
    this.#client = client
    this.#commands = new ClassicCommands(client, lanes, this.#names)
    const settings = () => this.#settings
    const down = new Throttle({ perSecond: bwlimitDown, burst: bwlimitDown })
    this.#downloads = new Downloads({ transport, hosts, lanes, bandwidth: down, settings, log })
    this.#uploads = new ClassicUploads({
      client,
      lanes,
      log,
      names: this.#names,
      bandwidth: new Throttle({ perSecond: bwlimitUp, burst: bwlimitUp }),
      method: options.uploadMethod,
      drive: {
        list: (dir, call) => this.#entries(dir, call),
        removeFile: async (dir, file, call) => {
          const [error] = await this.#remove([{ dir, entry: { ...file, kind: 'file' } }], call)
          return error
        },
      },
    })
  }

  get features(): api.Features {
    return { nativeRename: this.#nativeRename, conditionalList: true }
  }

  async account(options: api.CallOptions = {}): Promise<api.Account> {
    return this.#call(options, async (call) => {
      const { checksum: _, ...account } = await this.#askAccount(call)
      return account
    })
  }

  async list(
    dir: api.DirRef,
    { stamp, ...options }: api.CallOptions & { readonly stamp?: string } = {},
  ): Promise<api.Listing | 'unchanged'> {
    return this.#call(options, (call) => this.#list(dir, stamp, call))
  }

  async makeDir(
    dir: api.DirRef,
    name: string,
    options: api.CallOptions = {},
  ): Promise<api.DirEntry> {
    this.#checkName(name)
    return this.#call(options, async (call) => {
      const find = async () => {
        const isOurs = (entry: api.Entry) => entry.kind === 'dir' && entry.name === name
        return (await this.#entries(dir, call)).find(isOurs) as api.DirEntry | undefined
      }
      const made = (await this.#commands.makeDir(dir, name, call, find)) ?? (await find())
      if (made === undefined) throw new WeiyunError('BAD_REPLY', 'the new directory is not listed')
      return this.#settleName(dir, made, name, call)
    })
  }

  async remove(
    items: readonly api.RemoveItem[],
    options: api.CallOptions = {},
  ): Promise<api.ItemError[]> {
    return this.#call(options, (call) => this.#remove(items, call))
  }

  async move(
    item: api.RemoveItem,
    to: api.DirRef,
    newName: string,
    options: api.CallOptions = {},
  ): Promise<void> {
    this.#checkName(newName)
    return this.#call(options, (call) => this.#move(item, to, newName, call))
  }

  async *read(
    dir: api.DirRef,
    file: api.FileRef,
    offset: number,
    length: number,
    options: api.CallOptions = {},
  ): AsyncGenerator<Buffer> {
    if (offset < 0 || length < 0 || offset + length > file.size) {
      throw new WeiyunError('INVALID', `no bytes ${offset}+${length} in a file of ${file.size}`)
    }
    const call = this.#begin(options)
    const content = {
      key: `${file.id}/${file.version}`,
      size: file.size,
      resolve: (own: Call) => resolveData(this.#client, dir, file, () => this.#checksum(own), own),
    }
    try {
      yield* this.#downloads.read(content, offset, length, call)
    } finally {
      this.#end(call)
    }
  }

  async uploadByHash(
    dir: api.DirRef,
    name: string,
    content: api.ContentHashes & { readonly size: number },
    options: api.CallOptions = {},
  ): Promise<api.FileEntry | undefined> {
    this.#checkName(name)
    return this.#call(options, async (call) => {
      await this.#checkRoom(content.size, call)
      return this.#lanes.uploads.run(call, async () => {
        const entry = await this.#uploads.byHash({ dir, name, content, replaces: undefined, call })
        return entry && this.#settleName(dir, entry, name, call)
      })
    })
  }

  async upload(
    dir: api.DirRef,
    name: string,
    source: api.UploadSource,
    options: api.UploadOptions = {},
  ): Promise<api.FileEntry> {
    this.#checkName(name)
    return this.#call(options, async (call) => {
      await this.#checkRoom(source.size, call)
      return this.#lanes.uploads.run(call, async () => {
        const target = { dir, name, content: source, replaces: options.replaces, call }
        const entry = await this.#uploads.upload(target, source, options)
        const settled = await this.#settleName(dir, entry, name, call)
        return options.replaces === undefined || settled.name === name
          ? settled
          : this.#takePlace(dir, name, settled, options.replaces, call)
      })
    })
  }

  useSession(session: Session): void {
    if (session.dialect !== 'classic')
      throw new WeiyunError('INVALID', 'not a session of this dialect')
    this.#uin = session.uin
    this.#client.useSession(session)
    this.#downloads.forget()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const call of this.#calls) call.abort(new WeiyunError('ABORTED', 'the drive was closed'))
    this.#downloads.close()
    await this.#transport.close()
  }

  get #settings(): CallSettings {
    const { retriesMax } = this.#known?.limits ?? LIMITS
    return { timeoutMs: this.#options.timeoutMs, retriesMax }
  }

  #begin(options: api.CallOptions): Call {
    const call = new Call(options, this.#settings)
    if (this.#isClosed) call.abort(new WeiyunError('ABORTED', 'the drive is closed'))
    this.#calls.add(call)
    return call
  }

  #end(call: Call): void {
    call.end()
    this.#calls.delete(call)
  }

  async #call<T>(options: api.CallOptions, work: (call: Call) => Promise<T>): Promise<T> {
    const call = this.#begin(options)
    try {
      call.throwIfAborted()
      return await work(call)
    } finally {
      this.#end(call)
    }
  }

  async #askAccount(call: Call): Promise<ClassicAccount> {
    this.#known = await this.#commands.account(this.#uin, call)
    this.#lanes.resize(this.#known.limits)
    return this.#known
  }

  async #checksum(call: Call): Promise<string> {
    return (this.#known ?? (await this.#askAccount(call))).checksum
  }

  // The main directory's parent belongs to the system; where the service will not list by way of it, the
  // command of its own does, at the price of never being conditional.
  async #list(
    dir: api.DirRef,
    stamp: string | undefined,
    call: Call,
  ): Promise<api.Listing | 'unchanged'> {
    try {
      return await this.#commands.list(dir, stamp, call)
    } catch (error) {
      const isMain = dir.key === this.#known?.mainDir.key
      if (!isMain || !isWeiyunError(error, 'FORBIDDEN', 'UNSUPPORTED', 'NOT_FOUND')) throw error
      return this.#commands.listMain(call)
    }
  }

  async #entries(dir: api.DirRef, call: Call): Promise<readonly api.Entry[]> {
    const listing = await this.#list(dir, undefined, call)
    if (listing === 'unchanged') throw new WeiyunError('BAD_REPLY', 'unchanged, but since when?')
    return listing.entries
  }

  async #remove(items: readonly api.RemoveItem[], call: Call): Promise<api.ItemError[]> {
    const { batchDeleteFilesMax, batchDeleteDirsMax } = this.#known?.limits ?? LIMITS
    const errors = new Map<api.RemoveItem, api.ItemError>()
    const removeAll = async (kind: 'file' | 'dir', itemsMax: number) => {
      const wanted = items.filter(({ entry }) => entry.kind === kind)
      const wire = (item: api.RemoveItem) => JSON.stringify(this.#commands.removal(item))
      await Promise.all(
        batches(wanted, itemsMax, wire).map(async (batch) => {
          const results = await this.#removeBatch(kind, batch, call)
          batch.forEach((item, index) => {
            errors.set(item, results[index])
          })
        }),
      )
    }
    await Promise.all([
      removeAll('file', batchDeleteFilesMax),
      removeAll('dir', batchDeleteDirsMax),
    ])
    return items.map((item) => errors.get(item))
  }

  // A batch that is refused as a whole is taken apart: one bad item must not keep the others.
  async #removeBatch(
    kind: 'file' | 'dir',
    batch: readonly api.RemoveItem[],
    call: Call,
  ): Promise<api.ItemError[]> {
    try {
      return await this.#commands.remove(kind, batch, call)
    } catch (error) {
      if (!isWeiyunError(error) || isWeiyunError(error, 'SESSION_EXPIRED', 'ABORTED')) throw error
      if (batch.length === 1) return [error.code === 'NOT_FOUND' ? undefined : error]
      if (error.retryable) return batch.map(() => error)
      const single = await Promise.all(batch.map((item) => this.#removeBatch(kind, [item], call)))
      return single.flat()
    }
  }

  async #move(item: api.RemoveItem, to: api.DirRef, newName: string, call: Call): Promise<void> {
    if (!this.#nativeRename) throw new WeiyunError('UNSUPPORTED', 'the service cannot rename')
    try {
      await moveEntry(this.#commands, (dir) => this.#entries(dir, call), item, to, newName, call)
    } catch (error) {
      if (isWeiyunError(error, 'UNSUPPORTED')) this.#nativeRename = false
      throw error
    }
  }

  /** Looks what a doubtful name became, and mends it when that shows how names have to be sent. */
  async #settleName<T extends api.Entry>(
    dir: api.DirRef,
    entry: T,
    asked: string,
    call: Call,
  ): Promise<T> {
    if (!this.#names.isDoubtful(asked)) return entry
    const isSame = (other: api.Entry) =>
      other.kind === 'file'
        ? entry.kind === 'file' && other.id === entry.id
        : other.key === (entry as api.DirEntry).key
    const found = (await this.#entries(dir, call)).find(isSame)
    if (found === undefined || !this.#names.learn(asked, found.name))
      return { ...entry, ...found } as T
    await this.#move({ dir, entry: found }, dir, asked, call)
    return { ...entry, name: asked }
  }

  /**
   * A new file that could not get its name because an older version has it: removes that version, then
   * gives the name. The old bytes are in the recycle bin only after the new ones are complete. When the old
   * version is not what it was, both stay, and the entry tells the name it has.
   */
  async #takePlace(
    dir: api.DirRef,
    name: string,
    entry: api.FileEntry,
    replaces: api.FileRef,
    call: Call,
  ): Promise<api.FileEntry> {
    const [error] = await this.#remove([{ dir, entry: { ...replaces, kind: 'file' } }], call)
    if (isWeiyunError(error, 'STALE')) return entry
    if (error !== undefined) throw error
    try {
      await this.#move({ dir, entry }, dir, name, call)
    } catch (moveError) {
      if (!isWeiyunError(moveError, 'UNSUPPORTED')) throw moveError
      return this.#copyOver(dir, name, entry, call)
    }
    // A rename may have given it another version.
    const found = (await this.#entries(dir, call)).find(
      (other) => other.kind === 'file' && other.id === entry.id,
    )
    return { ...entry, name, ...(found as api.FileEntry | undefined) }
  }

  /** A rename for services without one: the content is known by now, so its hashes are enough. */
  async #copyOver(
    dir: api.DirRef,
    name: string,
    entry: api.FileEntry,
    call: Call,
  ): Promise<api.FileEntry> {
    const copy = await this.#uploads.byHash({
      dir,
      name,
      content: entry,
      replaces: undefined,
      call,
    })
    if (copy === undefined || copy.name !== name) return entry
    await this.#remove([{ dir, entry }], call)
    return copy
  }

  #checkName(name: string): void {
    const { nameLengthMax } = this.#known?.limits ?? LIMITS
    if (name === '' || name.includes('/')) throw new WeiyunError('NAME_INVALID', 'not a name')
    if (name.length > nameLengthMax) {
      throw new WeiyunError('NAME_TOO_LONG', `names have at most ${nameLengthMax} characters`)
    }
  }

  /** Refuses what cannot fit before anything is sent; asks the account anew before saying no. */
  async #checkRoom(size: number, call: Call): Promise<void> {
    const { fileSizeMax } = this.#known?.limits ?? LIMITS
    if (size > fileSizeMax)
      throw new WeiyunError('TOO_LARGE', `files have at most ${fileSizeMax} bytes`)
    if (this.#known === undefined || fits(size, this.#known.quota)) return
    const { quota } = await this.#askAccount(call)
    if (!fits(size, quota)) throw new WeiyunError('NO_SPACE', `no room for ${size} bytes`)
  }
}

function fits(size: number, { total, used }: api.Quota): boolean {
  return size <= total - used
}
