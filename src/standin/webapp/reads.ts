// Commands that only look: the account, listings by page or by batch, the path of a directory
// (webapp.md, section 5).
import {
  bool,
  count,
  dirKey,
  list,
  oneOf,
  optional,
  orEmpty,
  type Reader,
  record,
} from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import { type Account, rootKey } from '../store/accounts.ts'
import type { Entry } from '../store/entries.ts'
import type { Tree } from '../store/tree.ts'
import { type Command, checkBatch, command, each, listed } from './command.ts'
import { BATCH_LISTS_MAX, dirFacts, fileFacts, userReply } from './replies.ts'

/** webapp.md, 5.2; what happens above is not known, here it is refused [I]. */
const COUNT_MAX = 500

const userInfo = command(
  2201,
  record({
    is_get_upload_flow_flag: optional(bool),
    is_get_high_speed_flow_info: optional(bool),
    is_get_weiyun_flag: optional(bool),
    is_get_space_clean_info: optional(bool),
  }),
  ({ account, nowMs }, asked) => ({
    ...userReply(account, nowMs),
    ...(asked.is_get_upload_flow_flag && {
      qdisk_flow_info: { flow_has_upload_size: '0', flow_every_day_max_upload_size: '0' },
    }),
    ...(asked.is_get_high_speed_flow_info && {
      high_speed_flow_info: { total_flow_size: '0', used_flow_size: '0' },
    }),
    ...(asked.is_get_weiyun_flag && { weiyun_vip_info: { weiyun_vip: false, super_vip: false } }),
    ...(asked.is_get_space_clean_info && {
      space_clean_info: { user_status: 0, left_cleaning_days: 0 },
    }),
  }),
)

const pageSize: Reader<number> = (value, field) => {
  const asked = count(value, field)
  if (asked === 0) throw new Refusal(RET.BAD_PARAMETER, `${field} is 0`)
  if (asked > COUNT_MAX) throw new Refusal(RET.OVER_LIMIT, `${field} over ${COUNT_MAX}`)
  return asked
}

/** Window and order of a listing. */
export const page = {
  start: count,
  count: pageSize,
  sort_field: oneOf([1, 2, 3]),
  reverse_order: bool,
  get_abstract_url: optional(bool),
}
const PAGE = record(page)

const LISTING = record({
  dir_key: dirKey,
  pdir_key: optional(orEmpty(dirKey)),
  get_type: oneOf([0, 1, 2]),
  ...page,
  get_dir_detail_info: optional(bool),
})

const dirList = command(
  2208,
  LISTING,
  ({ store: { tree }, account }, asked) => listDir(tree, account, asked),
  'weiyunQdisk',
)

const batchList = command(
  2209,
  record({ pdir_key: optional(orEmpty(dirKey)), dir_list: list(LISTING) }),
  ({ store: { tree }, account }, { pdir_key, dir_list }) => {
    checkBatch(dir_list.length, 0, { dirs: BATCH_LISTS_MAX, files: 0 })
    const list = (asked: ReturnType<typeof LISTING>) =>
      listDir(tree, account, { ...asked, pdir_key: asked.pdir_key ?? pdir_key })
    return { dir_list: each(dir_list, 'dir_key', list) }
  },
  'weiyunQdisk',
)

/** From the main directory down, the directory itself last; none for the root [I]. */
const dirPath = command(
  26150,
  record({ dir_key: dirKey }),
  ({ store: { tree }, account }, { dir_key }) => {
    const items: object[] = []
    let dir = tree.dir(account, dir_key)
    while (dir.parent !== null) {
      items.unshift({ dir_key: dir.id, pdir_key: dir.parent, dir_name: dir.name })
      dir = tree.dir(account, dir.parent)
    }
    return listed('items', items)
  },
  'weiyunFileLibClient',
)

export const READS: Readonly<Record<string, Command>> = {
  DiskUserInfoGet: userInfo,
  DiskDirList: dirList,
  DiskDirBatchList: batchList,
  LibDirPathGet: dirPath,
}

function listDir(tree: Tree, account: Account, asked: ReturnType<typeof LISTING>): object {
  if (asked.dir_key === rootKey(account.uin)) throw new Refusal(RET.ROOT_QUERY, 'root directory')
  const absent = { dir: RET.NO_DIR, parent: RET.NO_PARENT }
  const dir = tree.dirBelow(account, asked.pdir_key ?? '', asked.dir_key, absent)
  const kinds = [['dir', 'file'], ['dir'], ['file']][asked.get_type] ?? []
  const all = tree.children(dir).filter(({ kind }) => kinds.includes(kind))
  const { shown, finished } = cut(all, asked)
  const [hidden, visible] = [shown.filter(isHidden), shown.filter((entry) => !isHidden(entry))]
  const counted = all.filter((entry) => !isHidden(entry))
  return {
    pdir_key: dir.id,
    ...listed('dir_list', visible.filter(isDir).map(dirFacts)),
    ...listed('file_list', visible.filter(isFile).map(fileFacts)),
    total_dir_count: counted.filter(isDir).length,
    total_file_count: counted.filter(isFile).length,
    total_space: all.reduce((sum, { size }) => sum + size, 0),
    hide_dir_count: hidden.filter(isDir).length,
    hide_file_count: hidden.filter(isFile).length,
    finish_flag: finished,
  }
}

export const isDir = (entry: Entry): boolean => entry.kind === 'dir'
export const isFile = (entry: Entry): boolean => entry.kind === 'file'
const isHidden = (entry: Entry): boolean => entry.mark === 'hidden'

/**
 * One page: directories before files, each in the order asked for. What is hidden takes up room of
 * the page, so that a client must count it in its next `start`.
 */
export function cut(
  entries: readonly Entry[],
  asked: ReturnType<typeof PAGE>,
): { shown: Entry[]; finished: boolean } {
  const order = ORDERS[asked.sort_field]
  const sign = asked.reverse_order ? -1 : 1
  const sorted = entries.toSorted(
    (a, b) => compare(a.kind, b.kind) || sign * order(a, b) || sign * compare(a.id, b.id),
  )
  const end = asked.start + asked.count
  return { shown: sorted.slice(asked.start, end), finished: end >= sorted.length }
}

const ORDERS: Record<1 | 2 | 3, (a: Entry, b: Entry) => number> = {
  1: (a, b) => compare(a.name, b.name),
  2: (a, b) => a.mtimeMs - b.mtimeMs,
  3: (a, b) => a.size - b.size,
}

/** By code units: one order wherever the service runs, whatever the language there. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
