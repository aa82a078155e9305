// The recycle bin: what is in it, back to where it was, and gone for good (webapp.md, 5 and 5.4).
import { dirKey, fileId, list, optional, orEmpty, record, text } from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Entry } from '../store/entries.ts'
import { type Command, type Context, checkBatch, command, each, listed } from './command.ts'
import { cut, isDir, isFile, page } from './reads.ts'
import { dirFacts, fileFacts } from './replies.ts'

/** Keys and names are those of the restore command, the other fields a listing's [I]. */
const recycleList = command(2702, record(page), ({ store: { tree }, account }, asked) => {
  const all = tree.recycled(account)
  const { shown, finished } = cut(all, asked)
  const dir = (entry: Entry) => ({
    ...dirFacts(entry),
    recycle_dir_key: entry.id,
    recycle_dir_name: entry.name,
  })
  const file = (entry: Entry) => ({
    ...fileFacts(entry),
    recycle_file_id: entry.id,
    recycle_filename: entry.name,
  })
  return {
    ...listed('dir_list', shown.filter(isDir).map(dir)),
    ...listed('file_list', shown.filter(isFile).map(file)),
    total_dir_count: all.filter(isDir).length,
    total_file_count: all.filter(isFile).length,
    finish_flag: finished,
  }
})

const restore = command(
  2708,
  record({
    dst_ppdir_key: orEmpty(dirKey),
    dst_pdir_key: orEmpty(dirKey),
    dir_list: optional(list(record({ recycle_dir_key: dirKey, recycle_dir_name: text }))),
    file_list: optional(list(record({ recycle_file_id: fileId, recycle_filename: text }))),
  }),
  (context, { dst_ppdir_key, dst_pdir_key, dir_list = [], file_list = [] }) => {
    const { account, nowMs } = context
    const { tree } = context.store
    checkBatch(dir_list.length, file_list.length, restoreMax(context))
    const target =
      dst_pdir_key === ''
        ? undefined
        : tree.dirBelow(account, dst_ppdir_key, dst_pdir_key, {
            dir: RET.NO_TARGET_DIR,
            parent: RET.NO_TARGET_PARENT,
          })
    const back = (id: string, kind: Entry['kind']) => {
      const entry = tree.restore(account, id, kind, nowMs)
      if (target === undefined || entry.parent === target.id) return
      const name = tree.freeName(account, target, entry.name, nowMs)
      tree.move(account, { ...entry, name }, target, nowMs)
    }
    return {
      ...listed(
        'dir_list',
        each(dir_list, 'recycle_dir_key', (item) => back(item.recycle_dir_key, 'dir')),
      ),
      ...listed(
        'file_list',
        each(file_list, 'recycle_file_id', (item) => back(item.recycle_file_id, 'file')),
      ),
    }
  },
)

const purge = command(
  2710,
  record({
    dir_list: optional(list(record({ dir_key: dirKey, dir_name: text }))),
    file_list: optional(list(record({ file_id: fileId, filename: text }))),
  }),
  (context, { dir_list = [], file_list = [] }) => {
    const { account, nowMs } = context
    const { tree } = context.store
    checkBatch(dir_list.length, file_list.length, restoreMax(context))
    const gone = (id: string, kind: Entry['kind'], absent: number) => {
      const entry = tree.recycled(account).find((found) => found.id === id && found.kind === kind)
      if (entry === undefined) throw new Refusal(absent, 'not in the recycle bin')
      tree.erase(account, entry, nowMs)
    }
    return {
      ...listed(
        'dir_list',
        each(dir_list, 'dir_key', (item) => gone(item.dir_key, 'dir', RET.NO_DIR)),
      ),
      ...listed(
        'file_list',
        each(file_list, 'file_id', (item) => gone(item.file_id, 'file', RET.NO_FILE)),
      ),
    }
  },
)

function restoreMax({ account: { limits } }: Context): { dirs: number; files: number } {
  return { dirs: limits.batchRestoreDirsMax, files: limits.batchRestoreFilesMax }
}

export const RECYCLE: Readonly<Record<string, Command>> = {
  DiskRecycleList: recycleList,
  DiskRecycleDirFileBatchRestore: restore,
  DiskRecycleDirFileClear: purge,
}
