// What webapp replies say, in the terms of drive.ts (protocol notes, webapp 5 and 6). Numbers come
// as numbers or as text; lists that are empty may be missing.
import type { Account, DirEntry, DirRef, Entry, FileEntry, Limits } from '../drive.ts'
import { readItems } from '../entries.ts'
import { WeiyunError } from '../errors.ts'
import {
  type Fields,
  flag,
  integer,
  isFields,
  itemResult,
  list,
  needName,
  needSize,
  needText,
  positive,
  text,
} from '../fields.ts'

/**
 * Taken where a reply leaves a limit out, and before the first reply. No recorded reply has the
 * figures of today: name and file size are the front-end's own bounds, the rest is what the seed's
 * account had [I].
 */
export const LIMITS: Limits = {
  batchDeleteFilesMax: 50,
  batchDeleteDirsMax: 10,
  batchMoveFilesMax: 50,
  batchMoveDirsMax: 10,
  nameLengthMax: 255,
  depthMax: 20,
  dirEntriesMax: 65535,
  fileSizeMax: 50 * 1024 ** 3,
  downloadsMax: 5,
  uploadsMax: 10,
  listingsMax: 3,
  retriesMax: 3,
}

/** The reply to DiskUserInfoGet. FORBIDDEN for an account that has no drive. */
export function decodeAccount(body: Fields, uin: string): Account {
  const mainKey = text(body, 'main_dir_key')
  if (mainKey === '') throw new WeiyunError('FORBIDDEN', 'this account has no Weiyun drive')
  return {
    uin: text(body, 'uin') || uin,
    nickname: text(body, 'nick_name') ?? '',
    mainDir: { key: needText(body, 'main_dir_key'), parentKey: needText(body, 'root_dir_key') },
    quota: { total: needSize(body, 'total_space'), used: needSize(body, 'used_space') },
    limits: decodeLimits(body),
  }
}

function decodeLimits(body: Fields): Limits {
  const limit = (key: string, fallback: number) => positive(body, key, fallback)
  const fileNameMax = limit('max_filename_length', LIMITS.nameLengthMax)
  return {
    ...LIMITS,
    batchDeleteFilesMax: limit('max_batch_file_delete_number', LIMITS.batchDeleteFilesMax),
    batchDeleteDirsMax: limit('max_batch_dir_delete_number', LIMITS.batchDeleteDirsMax),
    batchMoveFilesMax: limit('max_batch_file_move_number', LIMITS.batchMoveFilesMax),
    batchMoveDirsMax: limit('max_batch_dir_move_number', LIMITS.batchMoveDirsMax),
    nameLengthMax: Math.min(fileNameMax, limit('max_dir_name_length', fileNameMax)),
    depthMax: limit('max_dir_layer_number', LIMITS.depthMax),
    dirEntriesMax: limit('max_index_number_per_level', LIMITS.dirEntriesMax),
    // In bytes, like the other sizes of this reply [I].
    fileSizeMax: limit('max_single_file_size', LIMITS.fileSizeMax),
  }
}

/** A part of a listing, as long as the service makes them. */
export interface Page {
  /** By key or id. What a drive cannot show has no entry, but counts. */
  readonly items: ReadonlyArray<{ readonly id: string; readonly entry: Entry | undefined }>
  /** Entries that the service passed over; they count for where the next page starts. */
  readonly hiddenCount: number
  /** Of the whole directory, where the service says it. */
  readonly totalCount: number | undefined
  readonly isLast: boolean
  /** What is wrong with entries that cannot be read. */
  readonly broken: readonly WeiyunError[]
}

/**
 * The reply to DiskDirList. BAD_REPLY without any sign of a listing: it would empty a full
 * directory.
 */
export function decodePage(body: Fields): Page {
  const signs = ['dir_list', 'file_list', 'finish_flag', 'total_dir_count', 'total_file_count']
  if (!signs.some((key) => key in body)) {
    throw new WeiyunError('BAD_REPLY', 'the reply has neither lists nor counts')
  }
  const [dirs, files] = [list(body, 'dir_list'), list(body, 'file_list')]
  const readDirs = readItems<Entry | undefined>(dirs, decodeDir)
  const readFiles = readItems(files, (item) =>
    isOnlineDocument(item) ? undefined : decodeFile(item),
  )
  // What has no id to count it by is one with others of its kind.
  const idOf = (item: Fields | undefined, key: string) => text(item ?? {}, key) ?? ''
  const items = [
    ...readDirs.values.map((entry, index) => ({ id: idOf(dirs[index], 'dir_key'), entry })),
    ...readFiles.values.map((entry, index) => ({ id: idOf(files[index], 'file_id'), entry })),
  ]
  const counts = [integer(body, 'total_dir_count'), integer(body, 'total_file_count')]
  return {
    items,
    hiddenCount: count(body, 'hide_dir_count') + count(body, 'hide_file_count'),
    totalCount: counts.every((value) => value === undefined)
      ? undefined
      : counts.reduce<number>((sum, value) => sum + (value ?? 0), 0),
    isLast: flag(body, 'finish_flag') || items.length === 0,
    broken: [...readDirs.broken, ...readFiles.broken],
  }
}

function count(fields: Fields, key: string): number {
  return Math.max(0, integer(fields, key) ?? 0)
}

function decodeDir(item: Fields): DirEntry {
  return {
    kind: 'dir',
    key: needText(item, 'dir_key'),
    name: needName(item, 'dir_name'),
    ctimeMs: count(item, 'dir_ctime'),
    mtimeMs: count(item, 'dir_mtime'),
  }
}

function decodeFile(item: Fields): FileEntry {
  const size = needSize(item, 'file_size')
  return {
    kind: 'file',
    id: needText(item, 'file_id'),
    version: text(item, 'file_version') ?? '',
    name: needName(item, text(item, 'filename') || !item.file_name ? 'filename' : 'file_name'),
    size,
    sha1: (text(item, 'file_sha') ?? '').toLowerCase(),
    md5: (text(item, 'file_md5') ?? '').toLowerCase(),
    ctimeMs: count(item, 'file_ctime'),
    mtimeMs: count(item, 'file_mtime'),
    complete: (integer(item, 'file_cursize') ?? size) >= size,
  }
}

/** They have no bytes and open elsewhere. */
function isOnlineDocument({ ext_info }: Fields): boolean {
  return isFields(ext_info) && flag(ext_info, 'is_tencent_docs')
}

/** The reply to DiskDirCreate; `undefined` when it names no key. */
export function decodeMadeDir(body: Fields, name: string): DirEntry | undefined {
  const key = text(body, 'dir_key')
  if (key === undefined || key === '') return undefined
  return {
    kind: 'dir',
    key,
    name: text(body, 'dir_name') || name,
    ctimeMs: count(body, 'dir_ctime'),
    mtimeMs: count(body, 'dir_mtime'),
  }
}

/** Result of each item of a batch by its id or key. Empty when the reply has no lists at all. */
export function decodeResults(body: Fields): Map<string, number> {
  const results = new Map<string, number>()
  for (const [key, idKey] of [
    ['dir_list', 'dir_key'],
    ['file_list', 'file_id'],
  ] as const) {
    for (const item of list(body, key)) {
      results.set(needText(item, idKey), itemResult(item, 'retcode'))
    }
  }
  return results
}

/** The directory of an entry, as commands want it. */
export function inDir({ key, parentKey }: DirRef): { ppdir_key: string; pdir_key: string } {
  return { ppdir_key: parentKey, pdir_key: key }
}
