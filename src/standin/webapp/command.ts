// What a command of the webapp generation is, and the readers and helpers that several of them
// need.
import { dirKey, fileId, list, optional, orEmpty, type Reader, record, text } from '../fields.ts'
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import { type Account, rootKey } from '../store/accounts.ts'
import type { Entry } from '../store/entries.ts'
import type { Store } from '../store/store.ts'
import type { Tree } from '../store/tree.ts'

/** What a command works with. */
export interface Context {
  store: Store
  account: Account
  call: Call
  knobs: Knobs
  nowMs: number
}

export interface Command {
  cmd: number
  service: string
  /** Takes the fields of the request's message and returns those of the reply's. */
  run(context: Context, body: unknown): object
}

export function command<T>(
  cmd: number,
  read: Reader<T>,
  run: (context: Context, body: T) => object,
  service = 'weiyunQdiskClient',
): Command {
  return { cmd, service, run: (context, body) => run(context, read(body, 'body')) }
}

/** The directory that something lies in, and its parent where the client knows it. */
export const place = { ppdir_key: orEmpty(dirKey), pdir_key: dirKey }

export const dirItem = record({ ...place, dir_key: dirKey, dir_name: text })
export const fileItem = record({ ...place, file_id: fileId, filename: text })
/** The lists of a batch; one that would be empty is left out or sent as `[]` (webapp.md, 5). */
export const batch = { dir_list: optional(list(dirItem)), file_list: optional(list(fileItem)) }

type DirItem = ReturnType<typeof dirItem>
type FileItem = ReturnType<typeof fileItem>

export function itemDir(tree: Tree, account: Account, item: Omit<DirItem, 'dir_name'>): Entry {
  if (item.dir_key === rootKey(account.uin)) throw new Refusal(RET.ROOT_MODIFY, 'root directory')
  tree.dirBelow(account, item.ppdir_key, item.pdir_key)
  const absent = { dir: RET.NO_DIR, parent: RET.NO_PARENT }
  return tree.dirBelow(account, item.pdir_key, item.dir_key, absent)
}

export function itemFile(tree: Tree, account: Account, item: Omit<FileItem, 'filename'>): Entry {
  return tree.file(account, tree.dirBelow(account, item.ppdir_key, item.pdir_key), item.file_id)
}

/**
 * Does something to every entry of a batch, directories first, and reports each.
 * @param max how many the account allows in one request
 */
export function eachEntry(
  { store: { tree }, account }: Context,
  lists: { dir_list?: DirItem[] | undefined; file_list?: FileItem[] | undefined },
  max: { dirs: number; files: number },
  act: (entry: Entry) => void,
): object {
  const { dir_list: dirs = [], file_list: files = [] } = lists
  checkBatch(dirs.length, files.length, max)
  return {
    ...listed(
      'dir_list',
      each(dirs, 'dir_key', (item) => act(itemDir(tree, account, item))),
    ),
    ...listed(
      'file_list',
      each(files, 'file_id', (item) => act(itemFile(tree, account, item))),
    ),
  }
}

/** Refuses a batch without items, or with more than the account may send at once. */
export function checkBatch(
  dirCount: number,
  fileCount: number,
  max: { dirs: number; files: number },
): void {
  if (dirCount + fileCount === 0) throw new Refusal(RET.BATCH_EMPTY, 'empty batch')
  if (dirCount > max.dirs || fileCount > max.files) {
    throw new Refusal(RET.TOO_MANY_ITEMS, `batch over ${max.dirs} and ${max.files}`)
  }
}

/**
 * Does a batch item by item, and reports each with its key, its own code and the fields that `act`
 * returns, if any.
 */
export function each<K extends string, T extends Record<K, string>>(
  items: readonly T[],
  key: K,
  act: (item: T) => unknown,
): object[] {
  return items.map((item) => {
    try {
      const more = act(item)
      return { [key]: item[key], retcode: RET.OK, retmsg: '', ...(more ?? {}) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { [key]: item[key], retcode: error.ret, retmsg: `error ${error.ret}` }
    }
  })
}

/** A list under its name, or nothing at all: on the wire an empty list is absent. */
export function listed(name: string, items: readonly object[]): object {
  return items.length === 0 ? {} : { [name]: items }
}
