// The commands of the classic generation: what each takes, does and answers (classic.md, section 4; renames, moves
// and the recycle bin: newcgi.md, Appendix A).
import { type Account, mainKey, rootKey } from './accounts.ts'
import { nestedList, plainList, recycleList, userReply } from './classic-replies.ts'
import {
  decimal,
  dirKey,
  fileId,
  list,
  md5Hex,
  oneOf,
  orEmpty,
  type Reader,
  record,
  sha1Hex,
  text,
} from './fields.ts'
import type { Call } from './http.ts'
import { checkName } from './names.ts'
import { RET, Refusal } from './refusal.ts'
import type { Store } from './store.ts'
import { chinaTime } from './times.ts'
import { FORM_SIZE_MAX } from './uploads.ts'

/** What a command works with. */
export interface Context {
  store: Store
  account: Account
  call: Call
  nowMs: number
}

export interface Command {
  method: 'GET' | 'POST'
  path: string
  /** The reply's header has neither sequence number nor uin, as the seed shows for `root_dir_list`. */
  plainHeader?: boolean
  run(context: Context, body: unknown): object
}

const JSONP = '/wy_web_jsonp.fcg'
const NOTHING = record({})

function command<T>(
  method: Command['method'],
  read: Reader<T>,
  run: (context: Context, body: T) => object,
  path = JSONP,
): Command {
  return { method, path, run: (context, body) => run(context, read(body, 'req_body')) }
}

const dirTime: Reader<string> = (value, field) => {
  const time = text(value, field)
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( \d{3})?$/.test(time)) {
    throw new Refusal(RET.WRONG_TYPE, `${field} is not a time`)
  }
  return time
}

const place = { ppdir_key: dirKey, pdir_key: dirKey }
const move = {
  src_pdir_key: dirKey,
  src_ppdir_key: dirKey,
  dst_pdir_key: dirKey,
  dst_ppdir_key: dirKey,
}

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

const dirCreate = command(
  'POST',
  record({ ...place, dir_attr: record({ dir_name: text, dir_note: text }) }),
  ({ store: { tree }, account, nowMs }, { ppdir_key, pdir_key, dir_attr }) => {
    checkName(dir_attr.dir_name, account.limits.nameCharsMax)
    const parent = tree.dirBelow(account, ppdir_key, pdir_key)
    const dir = tree.makeDir(account, parent, dir_attr.dir_name, dir_attr.dir_note, nowMs)
    const time = chinaTime(nowMs)
    return { dir_key: dir.id, dir_ctime: time, dir_mtime: time }
  },
)

const batchFolderDelete = command(
  'POST',
  record({
    del_folders: list(record({ ...place, dir_key: dirKey, flag: oneOf([0, 1]), dir_name: text })),
  }),
  ({ store: { tree }, account, nowMs }, { del_folders }) =>
    each(del_folders, account.limits.batchDeleteDirsMax, (item) => {
      const dir = childDir(tree, account, item)
      // What a flag of 0 means on the real service is not known; here it spares what is not empty [I].
      if (item.flag === 0 && dir.childCount > 0) throw new Refusal(RET.NOT_EMPTY, 'not empty')
      tree.recycle(account, dir, nowMs)
    }),
)

const batchFileDelete = command(
  'POST',
  record({
    del_files: list(record({ ...place, file_id: fileId, file_name: text, file_ver: text })),
  }),
  ({ store: { tree }, account, nowMs }, { del_files }) =>
    each(del_files, account.limits.batchDeleteFilesMax, (item) => {
      const dir = tree.dirBelow(account, item.ppdir_key, item.pdir_key)
      const file = tree.file(account, dir, item.file_id)
      if (item.file_ver !== '' && item.file_ver !== String(file.ver)) {
        throw new Refusal(RET.VERSION_CONFLICT, 'file_ver')
      }
      tree.recycle(account, file, nowMs)
    }),
)

const fileAttrMod = command(
  'POST',
  record({
    ...place,
    file_id: fileId,
    // The time is read and left alone: whether the real service keeps it is not known.
    file_attr: record({ file_name: text, file_note: text, file_mtime: dirTime }),
  }),
  ({ store: { tree }, account, nowMs }, { ppdir_key, pdir_key, file_id, file_attr }) => {
    checkName(file_attr.file_name, account.limits.nameCharsMax)
    const file = tree.file(account, tree.dirBelow(account, ppdir_key, pdir_key), file_id)
    tree.rename(file, file_attr.file_name, file_attr.file_note, nowMs)
    return {}
  },
)

const dirAttrMod = command(
  'POST',
  record({ ...place, dir_key: dirKey, dir_attr: record({ dir_name: text, dir_note: text }) }),
  ({ store: { tree }, account, nowMs }, item) => {
    checkName(item.dir_attr.dir_name, account.limits.nameCharsMax)
    const dir = childDir(tree, account, item)
    tree.rename(dir, item.dir_attr.dir_name, item.dir_attr.dir_note, nowMs)
    return {}
  },
)

const batchFileMove = command(
  'POST',
  record({
    move_files: list(
      record({
        ...move,
        file_id: fileId,
        file_attr: record({ file_name: text }),
        src_file_name: text,
      }),
    ),
  }),
  ({ store: { tree }, account, nowMs }, { move_files }) =>
    each(move_files, account.limits.batchMoveFilesMax, (item) => {
      // Whether a move may rename on the way is not known: here it may not.
      if (item.file_attr.file_name !== item.src_file_name) {
        throw new Refusal(RET.BAD_PARAMETER, 'move under another name')
      }
      const { source, target } = moveEnds(tree, account, item)
      tree.move(account, tree.file(account, source, item.file_id), target, nowMs)
    }),
)

const batchFolderMove = command(
  'POST',
  record({ move_folders: list(record({ ...move, dir_key: dirKey, folder_name: text })) }),
  ({ store: { tree }, account, nowMs }, { move_folders }) =>
    each(move_folders, account.limits.batchMoveDirsMax, (item) => {
      const { source, target } = moveEnds(tree, account, item)
      const dir = tree.dirBelow(account, source.id, item.dir_key, {
        dir: RET.NO_DIR,
        parent: RET.NO_DIR,
      })
      tree.move(account, dir, target, nowMs)
    }),
)

const fileUpload = command(
  'GET',
  record({
    ...place,
    upload_type: oneOf([0, 1]),
    file_md5: orEmpty(md5Hex),
    file_sha: orEmpty(sha1Hex),
    file_size: decimal,
    file_attr: record({ file_name: text }),
  }),
  ({ store: { tree, uploads }, account, call, nowMs }, body) => {
    const { file_md5: md5, file_sha: sha, file_size: size } = body
    const { file_name: name } = body.file_attr
    checkHashes(body.upload_type, sha, md5, size)
    checkName(name, account.limits.nameCharsMax)
    const dir = tree.dirBelow(account, body.ppdir_key, body.pdir_key)
    const wanted = { name, size, sha, md5, onClash: 'rename' } as const
    const { upload, entry } = uploads.announce(account, dir, wanted, nowMs)
    return {
      file_exist: upload.done === 1,
      file_id: entry.id,
      file_name: entry.name,
      file_ver: String(entry.ver),
      file_key: upload.fileKey,
      upload_csum: upload.checkKey,
      upload_svr_host: call.self.host,
      upload_svr_port: call.self.port,
    }
  },
  '/upload.fcg',
)

const recycleQueryList = command('GET', NOTHING, ({ store: { tree }, account }) =>
  recycleList(tree.recycled(account)),
)

const undeleteFile = command(
  'POST',
  record({ files: list(record({ file_id: fileId })) }),
  ({ store: { tree }, account, nowMs }, { files }) =>
    each(files, account.limits.batchRestoreFilesMax, ({ file_id }) => {
      tree.restore(account, file_id, 'file', nowMs)
    }),
)

const undeleteFolder = command(
  'POST',
  record({ folders: list(record({ dir_key: dirKey })) }),
  ({ store: { tree }, account, nowMs }, { folders }) =>
    each(folders, account.limits.batchRestoreDirsMax, ({ dir_key }) => {
      tree.restore(account, dir_key, 'dir', nowMs)
    }),
)

const recycleClear = command('POST', NOTHING, ({ store: { tree }, account, nowMs }) => {
  for (const entry of tree.recycled(account)) tree.erase(account, entry, nowMs)
  return { timestamp: String(nowMs) }
})

export const COMMANDS: Readonly<Record<string, Command>> = {
  query_user: queryUser,
  root_dir_list: rootDirList,
  get_dir_list: getDirList,
  dir_create: dirCreate,
  batch_folder_delete: batchFolderDelete,
  batch_file_delete: batchFileDelete,
  file_attr_mod: fileAttrMod,
  dir_attr_mod: dirAttrMod,
  batch_file_move: batchFileMove,
  batch_folder_move: batchFolderMove,
  file_upload: fileUpload,
  recycle_query_list: recycleQueryList,
  recycle_batch_undel_file: undeleteFile,
  recycle_batch_undel_folder: undeleteFolder,
  recycle_clear: recycleClear,
}

/** An upload either carries both hashes (type 0) or is sent as one form (type 1). */
export function checkHashes(type: 0 | 1, sha: string, md5: string, size: number): void {
  if (type === 0) {
    if (sha === '') throw new Refusal(RET.BAD_SHA, 'upload by hash without SHA-1')
    if (md5 === '') throw new Refusal(RET.BAD_MD5, 'upload by hash without MD5')
    return
  }
  if (sha !== '' || md5 !== '') throw new Refusal(RET.BAD_PARAMETER, 'form upload with hashes')
  if (size > FORM_SIZE_MAX) throw new Refusal(RET.ONLY_INSTANT, 'too big for a form')
}

type Tree = Store['tree']

/** A directory named with its parent and grandparent. */
function childDir(
  tree: Tree,
  account: Account,
  item: { ppdir_key: string; pdir_key: string; dir_key: string },
) {
  if (item.dir_key === rootKey(account.uin)) throw new Refusal(RET.ROOT_MODIFY, 'root directory')
  if (item.pdir_key !== rootKey(account.uin)) tree.dirBelow(account, item.ppdir_key, item.pdir_key)
  return tree.dirBelow(account, item.pdir_key, item.dir_key, {
    dir: RET.NO_DIR,
    parent: RET.NO_PARENT,
  })
}

function moveEnds(tree: Tree, account: Account, item: { [K in keyof typeof move]: string }) {
  const target = tree.dirBelow(account, item.dst_ppdir_key, item.dst_pdir_key, {
    dir: RET.NO_TARGET_DIR,
    parent: RET.NO_TARGET_PARENT,
  })
  const source = tree.dirBelow(account, item.src_ppdir_key, item.src_pdir_key, {
    dir: RET.NO_SOURCE_DIR,
    parent: RET.NO_SOURCE_DIR,
  })
  return { source, target }
}

/** Does a batch item by item and reports each, in the order of the request. */
function each<T>(items: T[], itemsMax: number, act: (item: T) => void): object {
  if (items.length === 0) throw new Refusal(RET.BATCH_EMPTY, 'empty batch')
  if (items.length > itemsMax) throw new Refusal(RET.BATCH_TOO_BIG, `batch over ${itemsMax}`)
  const results = items.map((item) => {
    try {
      act(item)
      return { result: RET.OK as number }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { result: error.ret }
    }
  })
  return { results }
}
