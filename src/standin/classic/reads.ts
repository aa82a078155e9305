// Commands that only look: the account, the listings, the recycle bin (classic.md, section 4).
import { dirKey, oneOf, record } from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import { mainKey, rootKey } from '../store/accounts.ts'
import { chinaTime } from '../times.ts'
import { type Command, command, dirTime, NOTHING } from './command.ts'
import { nestedList, plainList, recycleList, userReply } from './replies.ts'

const queryUser = command('GET', NOTHING, ({ account, nowMs }) => userReply(account, nowMs))

const rootDirList: Command = {
  ...command(
    'GET',
    NOTHING,
    ({ store: { tree }, account }) =>
      plainList(tree.children(tree.dir(account, mainKey(account.uin)))),
    '/weiyun_web_root_dir_list_cgi.fcg',
  ),
  plainHeader: true,
}

const getDirList = command(
  'GET',
  record({ pdir_key: dirKey, dir_key: dirKey, dir_mtime: dirTime, only_dir: oneOf([0, 1]) }),
  ({ store: { tree }, account }, { pdir_key, dir_key, dir_mtime, only_dir }) => {
    if (dir_key === rootKey(account.uin)) throw new Refusal(RET.ROOT_QUERY, 'root directory')
    const absent = { dir: RET.NO_DIR, parent: RET.NO_PARENT }
    const dir = tree.dirBelow(account, pdir_key, dir_key, absent)
    // That an equal time asks for changes only is inferred [I]: errors.md has the code 1018 for it.
    if (dir_mtime === chinaTime(dir.mtimeMs)) throw new Refusal(RET.LIST_UNCHANGED, 'unchanged')
    return nestedList(dir, tree.children(dir), only_dir === 1)
  },
)

const recycleQueryList = command('GET', NOTHING, ({ store: { tree }, account }) =>
  recycleList(tree.recycled(account)),
)

export const READS: Readonly<Record<string, Command>> = {
  query_user: queryUser,
  root_dir_list: rootDirList,
  get_dir_list: getDirList,
  recycle_query_list: recycleQueryList,
}
