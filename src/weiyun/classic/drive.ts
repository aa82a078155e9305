// The classic dialect as a Drive: puts account, commands, uploads and downloads together.
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import { Calls } from '../calls.ts'
import type * as api from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import { Lanes } from '../lanes.ts'
import type { ClassicSession, Session } from '../session.ts'
import { Throttle } from '../throttle.ts'
import type { DataAddress } from '../transfer/download.ts'
import { Downloads } from '../transfer/download.ts'
import { Transport } from '../transport.ts'
import { KnownClassicAccount } from './account.ts'
import { ClassicClient } from './client.ts'
import { ClassicCommands } from './commands.ts'
import { resolveData } from './locate.ts'
import { moveEntry } from './move.ts'
import { WireNames } from './names.ts'
import { removeEntries } from './remove.ts'
import { claimName, type Surroundings, settleName } from './settle.ts'
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
  readonly #transport: Transport
  readonly #client: ClassicClient
  readonly #lanes: Lanes
  readonly #names = new WireNames()
  readonly #commands: ClassicCommands
  readonly #account: KnownClassicAccount
  readonly #calls: Calls
  readonly #downloads: Downloads
  readonly #uploads: ClassicUploads
  readonly #surroundings: Surroundings
  #nativeRename = true

  constructor(options: ClassicDriveOptions) {
    const { session, hosts, log, timeoutMs, onSession } = options
    const transport = new Transport({ log, timeoutMs })
    const lanes = new Lanes({ requestsPerSecond: options.requestsPerSecond, log })
    const client = new ClassicClient({ transport, hosts, session, onSession })
    this.#transport = transport
    this.#lanes = lanes
    this.#client = client
    this.#commands = new ClassicCommands(client, lanes, this.#names, log)
    this.#account = new KnownClassicAccount(session.uin, this.#commands, lanes)
    const settings = () => ({ timeoutMs, retriesMax: this.#account.limits.retriesMax })
    this.#calls = new Calls(settings)
    const down = Throttle.bytes(options.bwlimitDown)
    this.#downloads = new Downloads({ transport, hosts, lanes, bandwidth: down, settings, log })
    this.#surroundings = {
      list: (dir, call) => this.#entries(dir, call),
      remove: (items, call) => this.#remove(items, call),
      move: (item, to, newName, call) => this.#move(item, to, newName, call),
      uploadByHash: (dir, name, content, call) =>
        this.#uploads.byHash({ dir, name, content, call }),
    }
    this.#uploads = new ClassicUploads({
      client,
      lanes,
      log,
      names: this.#names,
      bandwidth: Throttle.bytes(options.bwlimitUp),
      method: options.uploadMethod,
      drive: this.#surroundings,
    })
  }

  get features(): api.Features {
    return {
      nativeRename: this.#nativeRename,
      conditionalList: true,
      stripsDots: false,
      uploadsByHash: true,
    }
  }

  get traffic(): api.Drive['traffic'] {
    return this.#transport.traffic
  }

  async account(options: api.CallOptions = {}): Promise<api.Account> {
    return this.#calls.run(options, async (call) => {
      const { checksum: _, ...account } = await this.#account.ask(call)
      return account
    })
  }

  async list(
    dir: api.DirRef,
    { stamp, ...options }: api.CallOptions & { readonly stamp?: string } = {},
  ): Promise<api.Listing | 'unchanged'> {
    return this.#calls.run(options, (call) => this.#list(dir, stamp, call))
  }

  async makeDir(
    dir: api.DirRef,
    name: string,
    options: api.CallOptions = {},
  ): Promise<api.DirEntry> {
    return this.#calls.run(options, async (call) => {
      this.#account.checkName(name)
      const find = async () => {
        const dirs = (await this.#entries(dir, call)).filter((entry) => entry.kind === 'dir')
        return dirs.find((entry) => entry.name === name)
      }
      const made = (await this.#commands.makeDir(dir, name, call, find)) ?? (await find())
      if (made === undefined) throw new WeiyunError('BAD_REPLY', 'the new directory is not listed')
      return settleName(this.#surroundings, this.#names, dir, made, name, call)
    })
  }

  async remove(
    items: readonly api.RemoveItem[],
    options: api.CallOptions = {},
  ): Promise<api.ItemError[]> {
    return this.#calls.run(options, (call) => this.#remove(items, call))
  }

  async move(
    item: api.RemoveItem,
    to: api.DirRef,
    newName: string,
    options: api.CallOptions = {},
  ): Promise<void> {
    return this.#calls.run(options, async (call) => {
      this.#account.checkName(newName)
      await this.#move(item, to, newName, call)
    })
  }

  read(
    dir: api.DirRef,
    file: api.FileRef,
    offset: number,
    length: number,
    options: api.CallOptions = {},
  ): AsyncIterable<Buffer> {
    const key = `${file.id}/${file.version}`
    const resolve = (call: Call) => this.#resolve(dir, file, call)
    return this.#calls.stream(options, (call) => {
      if (offset < 0 || length < 0 || offset + length > file.size) {
        throw new WeiyunError('INVALID', `no ${length} bytes at ${offset} of ${file.size}`)
      }
      return this.#downloads.read({ key, size: file.size, resolve }, offset, length, call)
    })
  }

  async uploadByHash(
    dir: api.DirRef,
    name: string,
    content: api.ContentHashes & { readonly size: number },
    options: api.CallOptions = {},
  ): Promise<api.FileEntry | undefined> {
    return this.#upload(dir, name, content.size, options, async (call) =>
      this.#uploads.byHash({ dir, name, content, call }),
    )
  }

  async upload(
    dir: api.DirRef,
    name: string,
    source: api.UploadSource,
    options: api.UploadOptions = {},
  ): Promise<api.FileEntry> {
    const { replaces, onProgress } = options
    return this.#upload(dir, name, source.size, options, async (call) => {
      const target = { dir, name, content: source, call, ...(replaces && { replaces }) }
      const entry = await this.#uploads.upload(target, source, options)
      onProgress?.(source.size)
      if (entry.name === name) return entry
      return claimName(this.#surroundings, dir, name, entry, replaces, call)
    })
  }

  useSession(session: Session): void {
    if (session.dialect !== 'classic' || session.uin !== this.#account.uin) {
      throw new WeiyunError('INVALID', 'the session is for another account or another dialect')
    }
    this.#client.useSession(session)
    this.#account.forgetChecksum()
    this.#downloads.forget()
  }

  async close(): Promise<void> {
    this.#calls.close()
    this.#downloads.close()
    await this.#transport.close()
  }

  /** Runs an upload in its lane, after what can be checked without sending anything. */
  async #upload<T extends api.FileEntry | undefined>(
    dir: api.DirRef,
    name: string,
    size: number,
    options: api.CallOptions,
    work: (call: Call) => Promise<T>,
  ): Promise<T> {
    return this.#calls.run(options, async (call) => {
      this.#account.checkName(name)
      await this.#account.checkRoom(size, call)
      return this.#lanes.uploads.run(call, async () => {
        const entry = await work(call)
        return entry && settleName(this.#surroundings, this.#names, dir, entry, name, call)
      })
    })
  }

  // The service may have given the account another checksum since we asked.
  async #resolve(dir: api.DirRef, file: api.FileRef, call: Call): Promise<DataAddress> {
    const checksum = await this.#account.checksum(call)
    try {
      return await resolveData(this.#client, dir, file, checksum, call)
    } catch (error) {
      if (!isWeiyunError(error, 'FORBIDDEN')) throw error
      const { checksum: fresh } = await this.#account.ask(call)
      if (fresh === checksum) throw error
      return resolveData(this.#client, dir, file, fresh, call)
    }
  }

  // The main directory's parent belongs to the system; where the service will not list by way of
  // it, the command of its own does, at the price of never being conditional.
  async #list(
    dir: api.DirRef,
    stamp: string | undefined,
    call: Call,
  ): Promise<api.Listing | 'unchanged'> {
    try {
      return await this.#commands.list(dir, stamp, call)
    } catch (error) {
      const isRefused = isWeiyunError(error, 'FORBIDDEN', 'UNSUPPORTED', 'NOT_FOUND')
      if (!isRefused || !this.#account.isMainDir(dir.key)) throw error
      return this.#commands.listMain(call)
    }
  }

  async #entries(dir: api.DirRef, call: Call): Promise<readonly api.Entry[]> {
    const listing = await this.#list(dir, undefined, call)
    if (listing === 'unchanged') throw new WeiyunError('BAD_REPLY', 'unchanged, but since when?')
    return listing.entries
  }

  async #remove(items: readonly api.RemoveItem[], call: Call): Promise<api.ItemError[]> {
    const entriesOf = (dir: api.DirRef) => this.#entries(dir, call)
    return removeEntries(this.#commands, entriesOf, items, this.#account.limits, call)
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
}
