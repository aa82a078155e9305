// One method for each classic command: its request body, its lane and its answer (protocol notes,
// classic 4; newcgi, Appendix A). Directories come as DirRef, whose parent key every command wants
// as well.
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import type { DirEntry, DirRef, ItemError, Listing, RemoveItem } from '../drive.ts'
import { logBroken } from '../entries.ts'
import type { Fields } from '../fields.ts'
import type { Lanes } from '../lanes.ts'
import { RETS_ALREADY_THERE, RETS_UNCHANGED } from '../retcode.ts'
import { type ClassicClient, type Command, refusal } from './client.ts'
import * as decode from './decode.ts'
import type { WireNames } from './names.ts'

const JSONP = '/wy_web_jsonp.fcg'

/** Makes `get_dir_list` answer whatever it knows (classic 4). */
const STAMP_ANY = '2000-01-01 01:01:01'

export class ClassicCommands {
  readonly #client: ClassicClient
  readonly #lanes: Lanes
  readonly #names: WireNames
  readonly #log: Logger

  constructor(client: ClassicClient, lanes: Lanes, names: WireNames, log: Logger) {
    this.#client = client
    this.#lanes = lanes
    this.#names = names
    this.#log = log
  }

  async account(uin: string, call: Call): Promise<decode.ClassicAccount> {
    const command: Command = { cmd: 'query_user', method: 'GET', path: JSONP }
    return this.#lanes.ask('commands', call, async () => {
      const { body } = await this.#client.command(command, {}, call)
      return decode.decodeAccount(body, uin)
    })
  }

  async list(dir: DirRef, stamp: string | undefined, call: Call): Promise<Listing | 'unchanged'> {
    const command: Command = { cmd: 'get_dir_list', method: 'GET', path: JSONP }
    const request = {
      pdir_key: dir.parentKey,
      dir_key: dir.key,
      dir_mtime: stamp ?? STAMP_ANY,
      only_dir: 0,
    }
    const accepts = stamp === undefined ? undefined : RETS_UNCHANGED
    return this.#lanes.ask('listings', call, async () => {
      const { ret, body } = await this.#client.command(command, request, call, accepts)
      return ret === 0 ? this.#listing(body) : 'unchanged'
    })
  }

  /** The main directory, by the command that needs no keys and cannot be conditional. */
  async listMain(call: Call): Promise<Listing> {
    const path = '/weiyun_web_root_dir_list_cgi.fcg'
    const command: Command = { cmd: 'root_dir_list', method: 'GET', path }
    return this.#lanes.ask('listings', call, async () => {
      const { body } = await this.#client.command(command, {}, call)
      return this.#listing(body)
    })
  }

  #listing(body: Fields): Listing {
    const { broken, ...listing } = decode.decodeListing(body)
    logBroken(this.#log, broken)
    return listing
  }

  /**
   * `recover` looks for the directory after a lost reply. `undefined`: made, but the reply has no
   * key.
   */
  async makeDir(
    dir: DirRef,
    name: string,
    call: Call,
    recover: () => Promise<DirEntry | undefined>,
  ): Promise<DirEntry | undefined> {
    const dir_attr = { dir_name: this.#names.encode(name), dir_note: '' }
    const answer = async () => {
      const { body } = await this.#post('dir_create', { ...decode.inDir(dir), dir_attr }, call)
      return decode.decodeMadeDir(body, name)
    }
    return this.#lanes.ask('commands', call, answer, recover)
  }

  /** Removes a batch of one kind; what is not found there is NOT_FOUND. */
  async remove(items: readonly RemoveItem[], call: Call): Promise<ItemError[]> {
    const isFiles = items[0]?.entry.kind === 'file'
    const cmd = isFiles ? 'batch_file_delete' : 'batch_folder_delete'
    const request = {
      [isFiles ? 'del_files' : 'del_folders']: items.map((item) => this.removal(item)),
    }
    return this.#lanes.ask('commands', call, async () => {
      const { body } = await this.#post(cmd, request, call)
      return decode
        .decodeResults(body, items.length)
        .map((ret) => (ret === 0 ? undefined : refusal(cmd, ret, { isBatch: true })))
    })
  }

  /** One item of a removal as it goes over the wire. */
  removal({ dir, entry }: RemoveItem): object {
    const name = this.#names.encode(entry.name)
    return entry.kind === 'file'
      ? { ...decode.inDir(dir), file_id: entry.id, file_name: name, file_ver: entry.version }
      : { ...decode.inDir(dir), dir_key: entry.key, flag: 1, dir_name: name }
  }

  /** Gives an entry another name where it lies. `recover` looks after a lost reply. */
  async rename(
    { dir, entry }: RemoveItem,
    newName: string,
    call: Call,
    recover: () => Promise<true | undefined>,
  ): Promise<void> {
    const name = this.#names.encode(newName)
    const file_attr = { file_name: name, file_note: '', file_mtime: decode.formatTime(Date.now()) }
    const [cmd, request] =
      entry.kind === 'file'
        ? ['file_attr_mod', { ...decode.inDir(dir), file_id: entry.id, file_attr }]
        : [
            'dir_attr_mod',
            {
              ...decode.inDir(dir),
              dir_key: entry.key,
              dir_attr: { dir_name: name, dir_note: '' },
            },
          ]
    const work = async () => {
      await this.#post(cmd as string, request as object, call, RETS_ALREADY_THERE)
      return true as const
    }
    await this.#lanes.ask('commands', call, work, recover)
  }

  /**
   * Puts an entry into another directory, under the name it has. The command for files carries two
   * names; the site sends the same in both, and whether a different one would rename is not known
   * [I].
   */
  async relocate(
    { dir, entry }: RemoveItem,
    to: DirRef,
    call: Call,
    recover: () => Promise<true | undefined>,
  ): Promise<void> {
    const name = this.#names.encode(entry.name)
    const keys = {
      src_pdir_key: dir.key,
      src_ppdir_key: dir.parentKey,
      dst_pdir_key: to.key,
      dst_ppdir_key: to.parentKey,
    }
    const names = { file_attr: { file_name: name }, src_file_name: name }
    const [cmd, request] =
      entry.kind === 'file'
        ? ['batch_file_move', { move_files: [{ file_id: entry.id, ...keys, ...names }] }]
        : [
            'batch_folder_move',
            { move_folders: [{ dir_key: entry.key, ...keys, folder_name: name }] },
          ]
    const work = async () => {
      const { body } = await this.#post(cmd as string, request as object, call, RETS_ALREADY_THERE)
      const [ret = 0] = decode.decodeResults(body, 1)
      if (ret !== 0 && !RETS_ALREADY_THERE.has(ret))
        throw refusal(cmd as string, ret, { isBatch: true })
      return true as const
    }
    await this.#lanes.ask('commands', call, work, recover)
  }

  #post(cmd: string, request: object, call: Call, accepts?: ReadonlySet<number>) {
    return this.#client.command(
      { cmd, method: 'POST', path: JSONP, isBatch: cmd.startsWith('batch_') },
      request,
      call,
      accepts,
    )
  }
}
