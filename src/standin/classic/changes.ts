// Commands that change the tree: making, deleting, renaming, moving, restoring (classic.md, section
// 4; newcgi.md, Appendix A).
import { dirKey, fileId, list, oneOf, record, text } from '../fields.ts'
import { checkName } from '../names.ts'
import { RET, Refusal } from '../refusal.ts'
import { type Account, rootKey } from '../store/accounts.ts'
import type { Tree } from '../store/tree.ts'
import { chinaTime } from '../times.ts'
import { type Command, command, dirTime, each, NOTHING, place } from './command.ts'

const move = {
  src_pdir_key: dirKey,
  src_ppdir_key: dirKey,
  dst_pdir_key: dirKey,
  dst_ppdir_key: dirKey,
}

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
      // What a flag of 0 means on the real service is not known; here it spares what is not empty
      // [I].
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

export const CHANGES: Readonly<Record<string, Command>> = {
  dir_create: dirCreate,
  batch_folder_delete: batchFolderDelete,
  batch_file_delete: batchFileDelete,
  file_attr_mod: fileAttrMod,
  dir_attr_mod: dirAttrMod,
  batch_file_move: batchFileMove,
  batch_folder_move: batchFolderMove,
  recycle_batch_undel_file: undeleteFile,
  recycle_batch_undel_folder: undeleteFolder,
  recycle_clear: recycleClear,
}

/** A directory named with its parent and grandparent. */
function childDir(
  tree: Tree,
  account: Account,
  item: { ppdir_key: string; pdir_key: string; dir_key: string },
) {
  if (item.dir_key === rootKey(account.uin)) throw new Refusal(RET.ROOT_MODIFY, 'root directory')
  tree.dirBelow(account, item.ppdir_key, item.pdir_key)
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
