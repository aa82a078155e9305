// What classic replies say about accounts, directories and files, in the terms of drive.ts
// (protocol notes, classic 4).
import type { Account, DirEntry, DirRef, Entry, FileEntry, Limits, Listing } from '../drive.ts'
import { readItems } from '../entries.ts'
import { WeiyunError } from '../errors.ts'
import {
  type Fields,
  integer,
  isFields,
  list,
  needName,
  needSize,
  needText,
  positive,
  text,
} from '../fields.ts'

/**
 * Largest file that this generation can move: a frame's offset is a signed 32-bit integer (classic
 * 6c).
 */
const FILE_SIZE_MAX = 2 ** 31 - 1

/**
 * What the seed's account had; taken where a reply leaves a limit out, and before the first reply.
 */
export const LIMITS: Limits = {
  batchDeleteFilesMax: 50,
  batchDeleteDirsMax: 10,
  batchMoveFilesMax: 50,
  batchMoveDirsMax: 10,
  nameLengthMax: 128,
  depthMax: 25,
  dirEntriesMax: 65535,
  fileSizeMax: FILE_SIZE_MAX,
  downloadsMax: 5,
  uploadsMax: 10,
  listingsMax: 3,
  retriesMax: 3,
}

export interface ClassicAccount extends Account {
  /** Downloads have to present it. */
  readonly checksum: string
}

/** The reply to `query_user`. */
export function decodeAccount(body: Fields, uin: string): ClassicAccount {
  return {
    uin,
    nickname: text(body, 'nickname') ?? '',
    mainDir: { key: needText(body, 'main_dir_key'), parentKey: needText(body, 'root_key') },
    quota: { total: needSize(body, 'total_space'), used: needSize(body, 'used_space') },
    limits: decodeLimits(body),
    checksum: needText(body, 'checksum'),
  }
}

function decodeLimits(body: Fields): Limits {
  const limit = (key: string, fallback: number) => positive(body, key, fallback)
  const retriesMax = integer(body, 'max_retry') ?? LIMITS.retriesMax
  const largest = limit('max_fz', FILE_SIZE_MAX)
  // The unit is KiB [I]: 1048576 is then the 1 GiB that free accounts are said to have.
  const largestForAccount = limit('max_single_file_size', Infinity) * 1024
  return {
    batchDeleteFilesMax: limit('MaxBatchDeleteFileCnt', LIMITS.batchDeleteFilesMax),
    batchDeleteDirsMax: limit('MaxBatchDeleteFolderCnt', LIMITS.batchDeleteDirsMax),
    batchMoveFilesMax: limit('MaxBatchMoveFileCnt', LIMITS.batchMoveFilesMax),
    batchMoveDirsMax: limit('MaxBatchMoveFolderCnt', LIMITS.batchMoveDirsMax),
    nameLengthMax: limit('filename_max_len', LIMITS.nameLengthMax),
    depthMax: limit('dir_level_max', LIMITS.depthMax),
    dirEntriesMax: limit('max_dir_file', LIMITS.dirEntriesMax),
    fileSizeMax: Math.min(largest, largestForAccount, FILE_SIZE_MAX),
    downloadsMax: limit('max_dl_tasks', LIMITS.downloadsMax),
    uploadsMax: limit('max_ul_tasks', LIMITS.uploadsMax),
    listingsMax: limit('max_thread_getlist', LIMITS.listingsMax),
    retriesMax: Math.max(0, retriesMax),
  }
}

/** A listing, and what is wrong with the entries that it has to leave out. */
export interface DecodedListing extends Listing {
  readonly broken: readonly WeiyunError[]
}

/**
 * The reply to `get_dir_list` or `root_dir_list`. A reply without any sign of a listing is
 * BAD_REPLY, for it would show a full directory as empty.
 */
export function decodeListing(body: Fields): DecodedListing {
  const stamp = text(body, 'dir_mtime')
  if (stamp === undefined && !('dirs' in body) && !('files' in body)) {
    throw new WeiyunError('BAD_REPLY', 'the reply has neither lists nor a time')
  }
  const dirs = readItems<Entry>(list(body, 'dirs'), decodeDir)
  const files = readItems<Entry>(list(body, 'files'), decodeFile)
  const entries = [...dirs.values, ...files.values].filter((entry) => entry !== undefined)
  return { entries, stamp, broken: [...dirs.broken, ...files.broken] }
}

function decodeDir(item: Fields): DirEntry {
  return {
    kind: 'dir',
    key: needText(item, 'dir_key'),
    name: needName(attributes(item, 'dir_attr', 'dir_name'), 'dir_name'),
    ctimeMs: timeMs(item, 'dir_attr', 'dir_ctime'),
    mtimeMs: timeMs(item, 'dir_attr', 'dir_mtime'),
  }
}

function decodeFile(item: Fields): FileEntry {
  const size = needSize(item, 'file_size')
  return {
    kind: 'file',
    id: needText(item, 'file_id'),
    version: text(item, 'file_ver') ?? '',
    name: needName(attributes(item, 'file_attr', 'file_name'), 'file_name'),
    size,
    sha1: (text(item, 'file_sha') ?? '').toLowerCase(),
    md5: (text(item, 'file_md5') ?? '').toLowerCase(),
    ctimeMs: timeMs(item, 'file_attr', 'file_ctime'),
    mtimeMs: timeMs(item, 'file_attr', 'file_mtime'),
    complete: (integer(item, 'file_cur_size') ?? size) >= size,
  }
}

// Items come plain, or with their attributes one level down (newcgi, Appendix A).
function attributes(item: Fields, nested: string, key: string): Fields {
  const inner = item[nested]
  return isFields(inner) && inner[key] !== undefined ? inner : item
}

function timeMs(item: Fields, nested: string, key: string): number {
  return parseTime(text(attributes(item, nested, key), key) ?? '')
}

/**
 * `YYYY-MM-DD HH:MM:SS mmm`, the last part optional, in China Standard Time [I]; 0 for anything
 * else.
 */
function parseTime(time: string): number {
  const [, date, clock, millis = '0'] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?: (\d{1,3}))?$/.exec(time) ?? []
  const secondsMs = Date.parse(`${date}T${clock}+08:00`)
  return Number.isNaN(secondsMs) ? 0 : secondsMs + Number(millis)
}

/**
 * A time of the newcgi generation: milliseconds [I], or the classic form; now when there is none.
 */
function decodeTime(body: Fields, key: string): number {
  return integer(body, key) ?? (parseTime(text(body, key) ?? '') || Date.now())
}

/** The entry that the announcement of an upload made; it is broken until the bytes are there. */
export interface Announced {
  readonly id: string | undefined
  readonly version: string
  readonly name: string | undefined
  readonly timeMs: number
}

/** What the reply to an announcement says of the entry, in either generation. */
export function decodeAnnounced(body: Fields): Announced {
  return {
    id: text(body, 'file_id') || undefined,
    version: text(body, 'file_ver') ?? '',
    name: text(body, 'filename') || undefined,
    timeMs: decodeTime(body, 'file_ctime'),
  }
}

/** The present time as `file_attr_mod` wants it. */
export function formatTime(timeMs: number): string {
  return new Date(timeMs + 8 * 3600_000).toISOString().slice(0, 19).replace('T', ' ')
}

/** The key of the directory that `dir_create` made, as an entry. */
export function decodeMadeDir(body: Fields, name: string): DirEntry | undefined {
  const key = text(body, 'dir_key')
  if (key === undefined || key === '') return undefined
  return {
    kind: 'dir',
    key,
    name,
    ctimeMs: timeMs(body, 'dir_attr', 'dir_ctime'),
    mtimeMs: timeMs(body, 'dir_attr', 'dir_mtime'),
  }
}

/**
 * Result of each item of a batch, in the order of the request. A reply without results says all is
 * well [I].
 */
export function decodeResults(body: Fields, count: number): number[] {
  const items = list(body, 'results')
  if (items.length === 0) return Array<number>(count).fill(0)
  const results = items.map((item) => integer(item, 'result'))
  if (results.length !== count || results.includes(undefined)) {
    throw new WeiyunError('BAD_REPLY', `a batch of ${count} got ${results.length} results`)
  }
  return results.filter((result) => result !== undefined)
}

/** The directory of a file, as commands want it. */
export function inDir({ key, parentKey }: DirRef): { ppdir_key: string; pdir_key: string } {
  return { ppdir_key: parentKey, pdir_key: key }
}
