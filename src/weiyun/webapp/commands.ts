// One method for each webapp command: its request body, its lane and its answer (protocol notes,
// webapp 5).
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import type { Account, DirEntry, DirRef, Entry, ItemError, RemoveItem } from '../drive.ts'
import { idOf, logBroken } from '../entries.ts'
import { WeiyunError } from '../errors.ts'
import type { Lanes } from '../lanes.ts'
import { RETS_ALREADY_THERE } from '../retcode.ts'
import { type Command, refusal, type WebappClient } from './client.ts'
import * as decode from './decode.ts'
import { askHashes, type LocatedFile } from './locate.ts'
import { listWhole } from './pages.ts'

const SERVICE = 'weiyunQdiskClient'
const ACCOUNT: Command = { service: SERVICE, name: 'DiskUserInfoGet', cmd: 2201 }
const LIST: Command = { service: 'weiyunQdisk', name: 'DiskDirList', cmd: 2208 }
const MAKE_DIR: Command = { service: SERVICE, name: 'DiskDirCreate', cmd: 2614 }
const RENAME_FILE: Command = { service: SERVICE, name: 'DiskFileRename', cmd: 2605 }
const RENAME_DIR: Command = { service: SERVICE, name: 'DiskDirAttrModify', cmd: 2615 }
const MOVE: Command = { service: SERVICE, name: 'DiskDirFileBatchMove', cmd: 2618, isBatch: true }
const REMOVE: Command = {
  service: SERVICE,
  name: 'DiskDirFileBatchDeleteEx',
  cmd: 2509,
  isBatch: true,
}

/** The most that the front-end ever asked for. */
const PAGE_ENTRIES_MAX = 500
/** An order in which only renames move entries about while we are between two pages. */
const SORT_BY_NAME = 1
/** What the front-end sends; the directory that comes out tells whether its name was taken. */
const MAKE_DIR_OPTIONS = { file_exist_option: 2, create_type: 1 }

/** Looks whether a command whose reply was lost did its work. */
type Recover<T> = () => Promise<T | undefined>

export class WebappCommands {
  readonly #client: WebappClient
  readonly #lanes: Lanes
  readonly #log: Logger

  constructor(client: WebappClient, lanes: Lanes, log: Logger) {
    this.#client = client
    this.#lanes = lanes
    this.#log = log
  }

  async account(uin: string, call: Call): Promise<Account> {
    return this.#lanes.ask('commands', call, async () =>
      decode.decodeAccount(await this.#client.command(ACCOUNT, {}, call), uin),
    )
  }

  /** The whole of a directory, page by page. */
  async list(dir: DirRef, call: Call): Promise<Entry[]> {
    const page = (start: number) => {
      const request = {
        pdir_key: dir.parentKey,
        dir_key: dir.key,
        get_type: 0,
        start,
        count: PAGE_ENTRIES_MAX,
        sort_field: SORT_BY_NAME,
        reverse_order: false,
        get_abstract_url: false,
        get_dir_detail_info: false,
      }
      return this.#lanes.ask('listings', call, async () => {
        const answer = decode.decodePage(await this.#client.command(LIST, request, call))
        logBroken(this.#log, answer.broken)
        return answer
      })
    }
    return listWhole(page)
  }

  /** `undefined`: made, but the reply has no key. */
  async makeDir(
    dir: DirRef,
    name: string,
    call: Call,
    recover: Recover<DirEntry>,
  ): Promise<DirEntry | undefined> {
    const request = { ...decode.inDir(dir), dir_name: name, ...MAKE_DIR_OPTIONS }
    const work = async () =>
      decode.decodeMadeDir(await this.#client.command(MAKE_DIR, request, call), name)
    return this.#lanes.ask('commands', call, work, recover)
  }

  /** Gives an entry another name where it lies. */
  async rename(
    { dir, entry }: RemoveItem,
    newName: string,
    call: Call,
    recover: Recover<true>,
  ): Promise<void> {
    const [command, request] =
      entry.kind === 'file'
        ? [RENAME_FILE, { file_id: entry.id, filename: newName, src_filename: entry.name }]
        : [RENAME_DIR, { dir_key: entry.key, dst_dir_name: newName, src_dir_name: entry.name }]
    const work = async () => {
      const fields = { ...decode.inDir(dir), ...request }
      await this.#client.command(command, fields, call, RETS_ALREADY_THERE)
      return true as const
    }
    await this.#lanes.ask('commands', call, work, recover)
  }

  /**
   * Puts an entry into another directory. Where its name is taken it gets another, and no reply
   * says so.
   */
  async relocate(item: RemoveItem, to: DirRef, call: Call, recover: Recover<true>): Promise<void> {
    const { dir } = item
    const request = {
      src_ppdir_key: dir.parentKey,
      src_pdir_key: dir.key,
      dst_ppdir_key: to.parentKey,
      dst_pdir_key: to.key,
      ...itemLists([item]),
    }
    const work = async () => {
      const body = await this.#client.command(MOVE, request, call, RETS_ALREADY_THERE)
      const ret = resultOf(decode.decodeResults(body), item)
      if (ret !== 0 && !RETS_ALREADY_THERE.has(ret)) throw refusal(MOVE.name, ret, MOVE_ITEM)
      return true as const
    }
    await this.#lanes.ask('commands', call, work, recover)
  }

  /** See `askHashes`. */
  async hashes(files: readonly LocatedFile[], call: Call): ReturnType<typeof askHashes> {
    return this.#lanes.ask('commands', call, () => askHashes(this.#client, files, call))
  }

  /** Removes a batch; what is not found there is NOT_FOUND. */
  async remove(items: readonly RemoveItem[], call: Call): Promise<ItemError[]> {
    return this.#lanes.ask('commands', call, async () => {
      const body = await this.#client.command(REMOVE, itemLists(items), call)
      const results = decode.decodeResults(body)
      return items.map((item) => {
        const ret = resultOf(results, item)
        return ret === 0 ? undefined : refusal(REMOVE.name, ret, MOVE_ITEM)
      })
    })
  }
}

/** An item is not the batch: "over the limit" is about the account there. */
const MOVE_ITEM = { isBatch: false }

function itemLists(items: readonly RemoveItem[]): object {
  const dirs: object[] = []
  const files: object[] = []
  for (const { dir, entry } of items) {
    const place = decode.inDir(dir)
    if (entry.kind === 'dir') dirs.push({ ...place, dir_key: entry.key, dir_name: entry.name })
    else files.push({ ...place, file_id: entry.id, filename: entry.name })
  }
  return {
    ...(dirs.length > 0 && { dir_list: dirs }),
    ...(files.length > 0 && { file_list: files }),
  }
}

/**
 * A reply without lists says that all went well [I]; one that leaves an item out says nothing of
 * it.
 */
function resultOf(results: ReadonlyMap<string, number>, { entry }: RemoveItem): number {
  if (results.size === 0) return 0
  const ret = results.get(idOf(entry))
  if (ret === undefined) throw new WeiyunError('BAD_REPLY', 'a batch got no result for an item')
  return ret
}
