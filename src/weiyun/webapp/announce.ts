// PreUpload: what is said of a file before its bytes are sent, and what the service answers
// (protocol notes, webapp 7.2 to 7.4).
import type { ContentHashes, DirRef } from '../drive.ts'
import { type Fields, flag, integer, isFields, list, needText, text } from '../fields.ts'
import type { Sha1States } from '../transfer/sha1-states.ts'
import { inDir } from './decode.ts'

/** The server takes 512 KiB as well; this halves the requests. */
export const BLOCK_BYTES = 1024 * 1024

export const CHANNELS = 4

/**
 * What becomes of an entry that has the name. Only 1 is sure; 6 is what the site sends, whose
 * uploads come out renamed [I].
 */
export const FILE_EXIST = { OVERWRITE: 1, RENAME: 6 } as const
export type FileExist = (typeof FILE_EXIST)[keyof typeof FILE_EXIST]

/** `upload_state` of a file that is done. */
export const STATE_COMPLETE = 2

/**
 * A part of the file that the service wants next by one of its channels. `length` may pass the
 * file's end.
 */
export interface Channel {
  readonly id: number
  readonly offset: number
  readonly length: number
  /** The service left the length out, which may mean something else than "as before". */
  readonly isLengthAssumed?: boolean
}

export interface Announced {
  readonly fileExist: FileExist
  /** Known before any byte is sent. */
  readonly id: string | undefined
  readonly version: string
  /** The name that the entry has or will have. */
  readonly name: string | undefined
  readonly ctimeMs: number
  readonly mtimeMs: number
  readonly isComplete: boolean
  readonly uploadKey: string
  /** Every reply brings a new one. */
  readonly ex: string
  readonly channels: readonly Channel[]
  /** Bytes that the service has from earlier. */
  readonly sent: number
}

export interface Announcement {
  readonly dir: DirRef
  readonly name: string
  readonly content: ContentHashes & { readonly size: number }
  readonly states: Sha1States
  readonly fileExist: FileExist
}

/** The request; `withBlocks`: false only for an empty file of an openid account. */
export function encodeAnnouncement(announcement: Announcement, withBlocks: boolean): object {
  const { dir, name, content, states, fileExist } = announcement
  const { size, sha1, md5 } = content
  const blocks = states.blocks.map((sha, index) => {
    const offset = index * BLOCK_BYTES
    return { sha, offset, size: Math.min(BLOCK_BYTES, size - offset) }
  })
  return {
    common_upload_req: {
      ...inDir(dir),
      file_size: size,
      filename: name,
      file_exist_option: fileExist,
      use_mutil_channel: true, // spelled so
      file_sha: sha1,
      file_md5: md5,
    },
    upload_scr: 0,
    channel_count: CHANNELS,
    block_size: BLOCK_BYTES,
    ...(withBlocks && { block_info_list: blocks }),
    check_sha: states.checkSha,
    check_data: states.checkData,
  }
}

export function decodeAnnounced(body: Fields, fileExist: FileExist): Announced {
  const common = isFields(body.common_upload_rsp) ? body.common_upload_rsp : {}
  const state = integer(body, 'upload_state')
  const isComplete = flag(body, 'file_exist') || state === STATE_COMPLETE
  const nowMs = Date.now()
  return {
    fileExist,
    id: text(common, 'file_id') || undefined,
    version: text(common, 'file_version') ?? '',
    name: text(common, 'filename') || undefined,
    ctimeMs: integer(common, 'file_ctime') ?? nowMs,
    mtimeMs: integer(common, 'file_mtime') ?? nowMs,
    isComplete,
    uploadKey: isComplete ? '' : needText(body, 'upload_key'),
    ex: text(body, 'ex') ?? '',
    channels: isComplete ? [] : decodeChannels(body, 'channel_list'),
    sent: Math.max(0, integer(body, 'uploaded_data_len') ?? 0),
  }
}

export function decodeChannels(body: Fields, key: string): Channel[] {
  return list(body, key).flatMap((item) => decodeChannel(item) ?? [])
}

/** `undefined` for what names no place. The length may be missing: then it is 0. */
export function decodeChannel(item: Fields): Channel | undefined {
  const [id, offset] = [integer(item, 'id'), integer(item, 'offset')]
  if (id === undefined || offset === undefined || offset < 0) return undefined
  return { id, offset, length: Math.max(0, integer(item, 'len') ?? 0) }
}
