// What the classic generation says about accounts and entries, field by field as in the seed's own
// replies: decimal strings for big numbers, null for an empty list, two shapes for the items of a
// listing.
import { type Account, mainKey, rootKey } from '../store/accounts.ts'
import type { Entry } from '../store/entries.ts'
import { chinaTime } from '../times.ts'
import { CLASSIC_SIZE_MAX } from './command.ts'

/** Needed again by downloads: it is the account's, and never changes. */
export const checksumOf = (account: Account): string => String((account.uin * 7919) % 4294967291)

/** Body of `query_user`. Limits that mean nothing to this service carry the seed's values. */
export function userReply(account: Account, nowMs: number): object {
  const { limits } = account
  return {
    IsFavoritesUser: 0,
    MaxBatchCopyFileCnt: '10',
    MaxBatchCopyFileToOffineCnt: '10',
    MaxBatchCopyFileToOtherbidCnt: '10',
    MaxBatchDeleteFileCnt: String(limits.batchDeleteFilesMax),
    MaxBatchDeleteFolderCnt: String(limits.batchDeleteDirsMax),
    MaxBatchDownloadFileCnt: '50',
    MaxBatchMoveFileCnt: String(limits.batchMoveFilesMax),
    MaxBatchMoveFolderCnt: String(limits.batchMoveDirsMax),
    MaxBatchRestoreFileCnt: String(limits.batchRestoreFilesMax),
    MaxBatchRestoreFolderCnt: String(limits.batchRestoreDirsMax),
    MaxFileAndFolderCnt: String(limits.entriesMax),
    checksum: checksumOf(account),
    dir_count: account.dirCount,
    dir_level_max: limits.depthMax,
    file_count: account.fileCount,
    filename_max_len: limits.nameCharsMax,
    filepath_max_len: limits.pathCharsMax,
    get_timestamp_interval: 0,
    getlist_timestamp_flag: 1,
    is_new_user: 0,
    isset_passwd: 0,
    isset_pwd_qqdisk: 0,
    main_dir_key: mainKey(account.uin),
    main_dir_name: '微云',
    main_key: mainKey(account.uin),
    max_batch_dirs: 5,
    max_dir_file: limits.dirEntriesMax,
    max_dl_tasks: limits.downloadTasksMax,
    max_dts: 100000,
    max_fz: String(Math.min(limits.fileSizeMax, CLASSIC_SIZE_MAX)),
    max_indexs_per_dir: 3000,
    max_interval_getlist: 1,
    max_note_len: 255,
    max_retry: limits.retriesMax,
    max_retry_interval: 0,
    max_single_file_size: '1048576',
    max_tasks: 10,
    max_thread_getlist: limits.listTasksMax,
    max_ul_tasks: limits.uploadTasksMax,
    nickname: account.nickname,
    root_key: rootKey(account.uin),
    server_time: String(nowMs),
    stat_flag: false,
    stat_interval: 0,
    total_space: String(account.totalSpace),
    used_space: String(account.usedSpace),
    user_authed: 1,
    user_ctime: chinaTime(account.ctimeMs),
    user_mtime: chinaTime(account.mtimeMs),
    user_type: 2,
    user_wright: 7,
    vip_level: 0,
  }
}

const dirsOf = (entries: Entry[]) => entries.filter((entry) => entry.kind === 'dir')
const filesOf = (entries: Entry[]) => entries.filter((entry) => entry.kind === 'file')

function listOf<T>(entries: Entry[], item: (entry: Entry) => T): T[] | null {
  return entries.length === 0 ? null : entries.map(item)
}

/** Body of `root_dir_list`: names at the top of each item. */
export function plainList(entries: Entry[]): object {
  return {
    dirs: listOf(dirsOf(entries), (dir) => ({
      dir_ctime: chinaTime(dir.ctimeMs),
      dir_key: dir.id,
      dir_mtime: chinaTime(dir.mtimeMs),
      dir_name: dir.name,
      dir_note: dir.note,
    })),
    files: listOf(filesOf(entries), (file) => ({
      ...fileFacts(file),
      file_name: file.name,
      file_note: file.note,
      source: '',
    })),
  }
}

/** Body of `get_dir_list`: names inside `dir_attr` and `file_attr`. */
export function nestedList(dir: Entry, entries: Entry[], onlyDirs: boolean): object {
  return {
    dir_mtime: chinaTime(dir.mtimeMs),
    dirs: listOf(dirsOf(entries), (child) => ({
      dir_attr: { dir_name: child.name },
      dir_attr_bit: '0',
      dir_ctime: chinaTime(child.ctimeMs),
      dir_is_shared: 0,
      dir_key: child.id,
      dir_mtime: chinaTime(child.mtimeMs),
    })),
    files: onlyDirs ? null : listOf(filesOf(entries), nestedFile),
  }
}

function nestedFile(file: Entry): object {
  const facts = fileFacts(file)
  const { file_mtime } = facts
  return { ...facts, file_attr: { file_mtime, file_name: file.name, file_note: file.note } }
}

/**
 * Body of `recycle_query_list`; only the names of the two lists are known, the items are as in a
 * listing [I].
 */
export function recycleList(entries: Entry[]): object {
  return {
    files: listOf(filesOf(entries), (file) => ({ ...fileFacts(file), file_name: file.name })),
    folders: listOf(dirsOf(entries), (dir) => ({
      dir_ctime: chinaTime(dir.ctimeMs),
      dir_key: dir.id,
      dir_mtime: chinaTime(dir.mtimeMs),
      dir_name: dir.name,
    })),
  }
}

function fileFacts(file: Entry) {
  return {
    file_ctime: chinaTime(file.ctimeMs),
    file_cur_size: String(file.complete === 1 ? file.size : 0),
    file_id: file.id,
    file_md5: file.md5,
    file_mtime: chinaTime(file.mtimeMs),
    file_sha: file.sha,
    file_size: String(file.size),
    file_ver: String(file.ver),
  }
}
