// Commands that change the tree: making, renaming, moving and deleting (webapp.md, section 5).
import {
  anyObject,
  bool,
  dirKey,
  fileId,
  oneOf,
  optional,
  orEmpty,
  record,
  text,
} from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import { batch, type Command, command, eachEntry, itemDir, itemFile, place } from './command.ts'
import { checkWebName } from './names.ts'

const dirCreate = command(
  2614,
  record({
    ...place,
    dir_name: text,
    file_exist_option: optional(oneOf([1, 2])),
    create_type: optional(oneOf([1, 2, 3])),
    ext_info: optional(anyObject),
  }),
  ({ store: { tree }, account, nowMs }, { ppdir_key, pdir_key, dir_name, file_exist_option }) => {
    checkWebName(dir_name)
    const parent = tree.dirBelow(account, ppdir_key, pdir_key)
    const taken = tree.child(parent, dir_name)
    // What each option does about a taken name is not known. Here 1 answers with the directory that
    // is there, the others with 1051 [I] (newcgi.md, 5.1; webapp.md, 11).
    const reused = file_exist_option === 1 && taken?.kind === 'dir' ? taken : undefined
    const dir = reused ?? tree.makeDir(account, parent, dir_name, '', nowMs)
    return {
      dir_key: dir.id,
      pdir_key: parent.id,
      dir_name: dir.name,
      dir_ctime: String(dir.ctimeMs),
      dir_mtime: String(dir.mtimeMs),
    }
  },
)

// The old names are read and left alone: the entry is named by its key, and another device may have
// renamed it meanwhile.
const fileRename = command(
  2605,
  record({ ...place, file_id: fileId, filename: text, src_filename: text }),
  ({ store: { tree }, account, nowMs }, item) => {
    checkWebName(item.filename)
    const file = itemFile(tree, account, item)
    tree.rename(file, item.filename, file.note, nowMs)
    return {}
  },
)

const dirAttrModify = command(
  2615,
  record({ ...place, dir_key: dirKey, dst_dir_name: text, src_dir_name: text }),
  ({ store: { tree }, account, nowMs }, item) => {
    checkWebName(item.dst_dir_name)
    const dir = itemDir(tree, account, item)
    tree.rename(dir, item.dst_dir_name, dir.note, nowMs)
    return {}
  },
)

const batchMove = command(
  2618,
  record({
    src_ppdir_key: orEmpty(dirKey),
    src_pdir_key: dirKey,
    dst_ppdir_key: orEmpty(dirKey),
    dst_pdir_key: dirKey,
    ...batch,
  }),
  (context, body) => {
    const { account, nowMs } = context
    const { tree } = context.store
    const items = [...(body.dir_list ?? []), ...(body.file_list ?? [])]
    if (items.some((item) => item.pdir_key !== body.src_pdir_key)) {
      throw new Refusal(RET.BAD_PARAMETER, 'item of another directory than the source')
    }
    tree.dirBelow(account, body.src_ppdir_key, body.src_pdir_key, {
      dir: RET.NO_SOURCE_DIR,
      parent: RET.NO_SOURCE_DIR,
    })
    const target = tree.dirBelow(account, body.dst_ppdir_key, body.dst_pdir_key, {
      dir: RET.NO_TARGET_DIR,
      parent: RET.NO_TARGET_PARENT,
    })
    const { batchMoveDirsMax: dirs, batchMoveFilesMax: files } = account.limits
    return eachEntry(context, body, { dirs, files }, (entry) => {
      // Onto a taken name it succeeds, under a name that the reply does not tell.
      const elsewhere = entry.parent !== target.id
      const name = elsewhere ? tree.freeName(account, target, entry.name, nowMs) : entry.name
      tree.move(account, { ...entry, name }, target, nowMs)
    })
  },
)

const batchDelete = command(
  2509,
  record({ ...batch, delete_completely: optional(bool) }),
  (context, body) => {
    const { account, nowMs } = context
    const { tree } = context.store
    const usedBefore = account.usedSpace
    const { batchDeleteDirsMax: dirs, batchDeleteFilesMax: files } = account.limits
    const results = eachEntry(context, body, { dirs, files }, (entry) => {
      if (body.delete_completely) tree.erase(account, entry, nowMs)
      else tree.recycle(account, entry, nowMs)
    })
    return { ...results, freed_space: String(usedBefore - account.usedSpace) }
  },
)

export const CHANGES: Readonly<Record<string, Command>> = {
  DiskDirCreate: dirCreate,
  DiskFileRename: fileRename,
  DiskDirAttrModify: dirAttrModify,
  DiskDirFileBatchMove: batchMove,
  DiskDirFileBatchDeleteEx: batchDelete,
}
