// The webapp dialect as a Drive: puts session, commands, uploads and downloads together.
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import { Calls } from '../calls.ts'
import type * as api from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import { KnownAccount } from '../known-account.ts'
import { Lanes } from '../lanes.ts'
import type { Session, WebappSession } from '../session.ts'
import { Throttle } from '../throttle.ts'
import { Downloads } from '../transfer/download.ts'
import { Transport } from '../transport.ts'
import { WebappClient } from './client.ts'
import { WebappCommands } from './commands.ts'
import { CookieJar } from './cookies.ts'
import { LIMITS } from './decode.ts'
import { accountKind, uinOf } from './identity.ts'
import { LiveSession } from './live-session.ts'
import { resolveData } from './locate.ts'
import { makeDir } from './make-dir.ts'
import { moveEntry } from './move.ts'
import { PieceSender } from './pieces.ts'
import { removeEntries } from './remove.ts'
import { KnownStates } from './states.ts'
import { WebappUploads } from './upload.ts'
import { Views } from './views.ts'

export interface WebappDriveOptions {
  readonly session: WebappSession
  readonly hosts: ServiceHosts
  readonly log: Logger
  readonly timeoutMs: number
  readonly requestsPerSecond: number
  /** Bytes a second; 0 is no limit. */
  readonly bwlimitUp: number
  readonly bwlimitDown: number
  readonly onSession: (session: Session) => void
  readonly keepAliveMs: number
}

export class WebappDrive implements api.Drive {
  readonly #transport: Transport
  readonly #session: LiveSession
  readonly #client: WebappClient
  readonly #lanes: Lanes
  readonly #commands: WebappCommands
  readonly #account: KnownAccount<api.Account>
  readonly #calls: Calls
  readonly #views: Views
  readonly #downloads: Downloads
  readonly #states = new KnownStates()
  readonly #uploads: WebappUploads
  #nativeRename = true

  constructor(options: WebappDriveOptions) {
    const { session, hosts, log, timeoutMs } = options
    const settings = () => ({ timeoutMs, retriesMax: this.#account.limits.retriesMax })
    const transport = new Transport({ log, timeoutMs })
    const lanes = new Lanes({ requestsPerSecond: options.requestsPerSecond, log })
    this.#transport = transport
    this.#lanes = lanes
    this.#session = new LiveSession({ ...options, transport, settings })
    const client = new WebappClient({ transport, hosts, session: this.#session })
    this.#client = client
    this.#commands = new WebappCommands(client, lanes, log)
    const ask = (call: Call) => this.#commands.account(this.#session.uin, call)
    this.#account = new KnownAccount(ask, LIMITS, lanes)
    this.#calls = new Calls(settings)
    this.#views = new Views((dir, call) => this.#commands.list(dir, call), settings)
    const down = Throttle.bytes(options.bwlimitDown)
    this.#downloads = new Downloads({ transport, hosts, lanes, bandwidth: down, settings, log })
    const up = Throttle.bytes(options.bwlimitUp)
    this.#uploads = new WebappUploads({
      client,
      lanes,
      log,
      pieces: new PieceSender({ client, lanes, bandwidth: up, log }),
      states: this.#states,
      views: this.#views,
      remove: (items, call) => this.#remove(items, call),
      announceBy: accountKind(new CookieJar(session.cookies)) === 'openid' ? 'json' : 'form',
    })
  }

  get traffic(): api.Drive['traffic'] {
    return this.#transport.traffic
  }

  get features(): api.Features {
    return {
      nativeRename: this.#nativeRename,
      conditionalList: false,
      stripsDots: true,
      uploadsByHash: false,
    }
  }

  async account(options: api.CallOptions = {}): Promise<api.Account> {
    return this.#calls.run(options, (call) => this.#account.ask(call))
  }

  async list(dir: api.DirRef, options: api.CallOptions = {}): Promise<api.Listing> {
    return this.#calls.run(options, async (call) => {
      const entries = await this.#commands.list(dir, call)
      return { entries, stamp: undefined }
    })
  }

  async makeDir(
    dir: api.DirRef,
    name: string,
    options: api.CallOptions = {},
  ): Promise<api.DirEntry> {
    return this.#calls.run(options, (call) => {
      this.#account.checkName(name)
      return makeDir({ commands: this.#commands, views: this.#views }, dir, name, call)
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
      const movers = { commands: this.#commands, views: this.#views }
      try {
        await moveEntry(movers, item, to, newName, call)
      } catch (error) {
        if (isWeiyunError(error, 'UNSUPPORTED')) this.#nativeRename = false
        throw error
      }
    })
  }

  read(
    dir: api.DirRef,
    file: api.FileRef,
    offset: number,
    length: number,
    options: api.CallOptions = {},
  ): AsyncIterable<Buffer> {
    // An overwritten file may keep its id, and what makes a version is not documented: content
    // tells.
    const key = `${file.id}/${file.version}/${file.sha1 ?? ''}`
    const resolve = (call: Call) =>
      this.#lanes.ask('commands', call, () => resolveData(this.#client, dir, file, call))
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
    return this.#upload(name, content.size, options, (call) =>
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
    return this.#upload(name, source.size, options, async (call) => {
      const target = { dir, name, content: source, call, ...(replaces && { replaces }) }
      const entry = await this.#uploads.upload(target, source, options)
      onProgress?.(source.size)
      return entry
    })
  }

  useSession(session: Session): void {
    const isOurs =
      session.dialect === 'webapp' && uinOf(new CookieJar(session.cookies)) === this.#session.uin
    if (!isOurs) {
      throw new WeiyunError('INVALID', 'the session is for another account or another dialect')
    }
    this.#session.use(session)
    this.#downloads.forget()
  }

  async close(): Promise<void> {
    this.#calls.close()
    this.#session.close()
    this.#downloads.close()
    await this.#states.close()
    await this.#transport.close()
  }

  /** Runs an upload in its lane, after what can be checked without sending anything. */
  async #upload<T>(
    name: string,
    size: number,
    options: api.CallOptions,
    work: (call: Call) => Promise<T>,
  ): Promise<T> {
    return this.#calls.run(options, async (call) => {
      this.#account.checkName(name)
      await this.#account.checkRoom(size, call)
      return this.#lanes.uploads.run(call, () => work(call))
    })
  }

  async #remove(items: readonly api.RemoveItem[], call: Call): Promise<api.ItemError[]> {
    return removeEntries(this.#commands, this.#views, items, this.#account.limits, call)
  }
}
