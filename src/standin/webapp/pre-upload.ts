// The announcement of an upload, command 247120, whichever way it came (webapp.md, 7.3).
import { randomBytes } from 'node:crypto'
import {
  anyObject,
  bool,
  count,
  dirKey,
  list,
  md5Hex,
  oneOf,
  optional,
  orEmpty,
  type Reader,
  record,
  sha1Hex,
  text,
} from '../fields.ts'
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import type { Account } from '../store/accounts.ts'
import type { Plan } from '../store/pieces.ts'
import type { Store } from '../store/store.ts'
import type { Content } from '../store/tree.ts'
import type { Upload } from '../store/uploads.ts'
import { CHANNELS_FIRST, CHANNELS_MAX, type Channels } from './channels.ts'
import { uploadName } from './names.ts'
import { planOf } from './plan.ts'

/** Largest file that may come along with its announcement. */
const INLINE_SIZE_MAX = 512 * 1024

const checkSha: Reader<string | 0> = (value, field) => (value === 0 ? 0 : sha1Hex(value, field))

export const channelCount: Reader<number> = (value, field) => {
  const asked = count(value, field)
  if (asked < 1 || asked > CHANNELS_MAX) throw new Refusal(RET.BAD_UPLOAD, field)
  return asked
}

const PRE_UPLOAD = record({
  common_upload_req: record({
    ppdir_key: orEmpty(dirKey),
    pdir_key: dirKey,
    file_size: count,
    filename: text,
    // Only that 1 overwrites is known; here all others rename [I] (webapp.md, 10 and 11).
    file_exist_option: oneOf([1, 2, 3, 4, 5, 6]),
    use_mutil_channel: bool,
    file_sha: optional(sha1Hex),
    file_md5: optional(md5Hex),
    ext_info: optional(anyObject),
  }),
  // 2, 3 and 6 are for places that are no part of this drive.
  upload_scr: oneOf([0]),
  channel_count: channelCount,
  block_size: optional(oneOf([524_288, 1_048_576], RET.BAD_UPLOAD)),
  block_info_list: optional(list(record({ sha: sha1Hex, offset: count, size: count }))),
  check_sha: optional(checkSha),
  check_data: optional(text),
  add_channel: optional(bool),
})
type Common = ReturnType<typeof PRE_UPLOAD>['common_upload_req']

/** What a step of an upload works with. */
export interface UploadContext {
  store: Store
  channels: Channels
  account: Account
  call: Call
  knobs: Knobs
  nowMs: number
}

/**
 * Takes an announcement and returns the fields of the reply. Content that is here already, an empty
 * file, and a small file whose `bytes` came along are in place at once.
 */
export async function preUpload(
  { store, channels, account, nowMs }: UploadContext,
  given: unknown,
  bytes: Buffer | undefined,
): Promise<object> {
  const body = PRE_UPLOAD(given, 'body')
  const { common_upload_req: common } = body
  const name = uploadName(common.filename)
  const dir = store.tree.dirBelow(account, common.ppdir_key, common.pdir_key)
  const plan = body.block_info_list === undefined ? undefined : planOf(common.file_size, body)
  const content = await contentOf(store, common, plan, bytes)
  const onClash = common.file_exist_option === 1 ? 'overwrite' : 'rename'
  const { upload, entry } = store.uploads.announce(
    account,
    dir,
    { name, ...content, onClash },
    nowMs,
  )
  const reply = {
    common_upload_rsp: {
      file_id: entry.id,
      filename: entry.name,
      file_ctime: String(entry.ctimeMs),
      file_mtime: String(entry.mtimeMs),
      file_version: String(entry.ver),
    },
    upload_key: upload.fileKey,
    ex: newEx(upload),
    speedlimit: 0,
    flow_state: 0,
  }
  if (upload.done === 1 || plan === undefined) {
    return { ...reply, file_exist: !bytes?.length, upload_state: 2, uploaded_data_len: upload.size }
  }
  store.pieces.begin(upload.fileKey, plan)
  const arrived = store.pieces.arrived(upload.fileKey)
  const missing = plan.states.map((_, block) => block).filter((block) => !arrived.has(block))
  const session = channels.start(upload.fileKey, plan.blockSize, missing, nowMs)
  const wanted = common.use_mutil_channel ? Math.min(body.channel_count, CHANNELS_FIRST) : 1
  const opened = session.add(wanted)
  return {
    ...reply,
    file_exist: false,
    upload_state: 1,
    uploaded_data_len: Math.min(upload.size, arrived.size * plan.blockSize),
    channel_list: opened,
    ext_channel_count: CHANNELS_MAX - opened.length,
  }
}

/** What the file will hold, as far as the client says. Bytes that came along are stored. */
async function contentOf(
  { blobs }: Store,
  common: Common,
  plan: Plan | undefined,
  bytes: Buffer | undefined,
): Promise<Content> {
  const { file_size: size, file_md5: md5 = '' } = common
  const sha = plan?.states.at(-1) ?? common.file_sha ?? ''
  if (sha !== (common.file_sha ?? sha)) throw new Refusal(RET.WRONG_SHA, 'file_sha')
  if (bytes === undefined) {
    if (plan === undefined && size > 0)
      throw new Refusal(RET.BAD_UPLOAD, 'neither bytes nor blocks')
    return { size, sha, md5 }
  }
  if (bytes.length !== size || size > INLINE_SIZE_MAX) {
    throw new Refusal(RET.BAD_UPLOAD, 'bytes of another size, or too many')
  }
  const stored = await blobs.put([bytes])
  if (stored.sha !== (sha || stored.sha) || stored.md5 !== (md5 || stored.md5)) {
    throw new Refusal(RET.WRONG_SHA, 'bytes with other hashes')
  }
  return stored
}

/** A value that changes with every reply; any that was given out for the upload is good. */
export function newEx(upload: Upload): string {
  return exPrefix(upload) + randomBytes(8).toString('hex')
}

export function checkEx(upload: Upload, ex: string): void {
  if (!ex.startsWith(exPrefix(upload))) throw new Refusal(RET.BAD_UPLOAD, 'ex of another upload')
}

const exPrefix = ({ checkKey }: Upload): string => checkKey.slice(0, 32)
