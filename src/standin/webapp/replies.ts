// What the webapp generation says about accounts and entries, field by field (webapp.md, 5.1 and
// 5.2). As on the wire, some numbers are decimal strings.
import { type Account, mainKey, rootKey } from '../store/accounts.ts'
import type { Entry } from '../store/entries.ts'
import { NAME_LENGTH_MAX } from './names.ts'

/** Not an account's: the sheets name no value, the site's script lists 100 at a time [I]. */
const PAGE_SIZE = 100
/** Most directories of one batch listing, and files of one batch download [I]. */
export const BATCH_LISTS_MAX = 10
export const BATCH_DOWNLOADS_MAX = 10

/** Body of `DiskUserInfoGet`. */
export function userReply(account: Account, nowMs: number): object {
  const { limits } = account
  return {
    uin: account.uin,
    nick_name: account.nickname,
    head_img_url: '',
    https_head_img_url: '',
    total_space: account.totalSpace,
    used_space: String(account.usedSpace),
    dir_total: account.dirCount,
    file_total: account.fileCount,
    index_number: account.dirCount + account.fileCount,
    root_dir_key: rootKey(account.uin),
    main_dir_key: mainKey(account.uin),
    user_ctime: String(account.ctimeMs),
    user_mtime: String(account.mtimeMs),
    server_time: String(nowMs),
    checksum: '',
    is_pwd_open: false,
    max_dir_layer_number: limits.depthMax,
    max_index_number: limits.entriesMax,
    max_index_number_per_level: limits.dirEntriesMax,
    max_single_file_size: String(limits.fileSizeMax),
    max_filename_length: NAME_LENGTH_MAX,
    max_dir_name_length: NAME_LENGTH_MAX,
    max_batch_dir_delete_number: limits.batchDeleteDirsMax,
    max_batch_file_delete_number: limits.batchDeleteFilesMax,
    max_batch_dir_move_number: limits.batchMoveDirsMax,
    max_batch_file_move_number: limits.batchMoveFilesMax,
    max_batch_dir_list_number: BATCH_LISTS_MAX,
    max_batch_file_download_number: BATCH_DOWNLOADS_MAX,
    max_batch_dir_restore_number: limits.batchRestoreDirsMax,
    max_batch_file_restore_number: limits.batchRestoreFilesMax,
    page_size: PAGE_SIZE,
  }
}

export function dirFacts(dir: Entry): object {
  return {
    dir_key: dir.id,
    dir_name: dir.name,
    dir_ctime: dir.ctimeMs,
    dir_mtime: dir.mtimeMs,
  }
}

export function fileFacts(file: Entry): object {
  return {
    file_id: file.id,
    filename: file.name,
    file_size: file.size,
    file_cursize: file.complete === 1 ? file.size : 0,
    file_sha: file.sha,
    file_md5: file.md5,
    file_ctime: String(file.ctimeMs),
    file_mtime: String(file.mtimeMs),
    file_version: String(file.ver),
    diff_version: String(file.ver),
    star_flag: false,
    pdir_key: '',
    ext_info: file.mark === 'document' ? { is_tencent_docs: true } : {},
  }
}
