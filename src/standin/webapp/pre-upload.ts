// The announcement of an upload, command 247120, whichever way it came (webapp.md, 7.3).
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
import { RET, Refusal } from '../refusal.ts'
import type { Plan } from '../store/pieces.ts'
import type { Store } from '../store/store.ts'
import type { Content } from '../store/tree.ts'
import type { Upload } from '../store/uploads.ts'
import { CHANNELS_FIRST, CHANNELS_MAX } from './channels.ts'
import { uploadName } from './names.ts'
import { planOf } from './plan.ts'
import { complete, newEx, UPLOAD_STATE, type UploadContext } from './step.ts'

/** Largest file that may come along with its announcement. */
const INLINE_SIZE_MAX = 512 * 1024

const checkSha: Reader<string | number> = (value, field) =>
  value === 0 ? value : sha1Hex(value, field)

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
type Body = ReturnType<typeof PRE_UPLOAD>
type Common = Body['common_upload_req']

/**
 * Takes an announcement and returns the fields of the reply. Content that is here already, an empty
 * file, and a small file whose `bytes` came along are in place at once.
 */
export async function preUpload(
  context: UploadContext,
  given: unknown,
  bytes: Buffer | undefined,
): Promise<object> {
  const { store, account, nowMs } = context
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
  if (upload.done === 0 && plan !== undefined) {
    store.pieces.begin(upload.fileKey, plan)
    if (!(await complete(context, upload, plan))) {
      return { ...reply, file_exist: false, ...openChannels(context, upload, plan, body) }
    }
  }
  return {
    ...reply,
    file_exist: bytes === undefined,
    upload_state: UPLOAD_STATE.COMPLETE,
    uploaded_data_len: upload.size,
  }
}

/** Channels for the blocks that are missing: fewer than asked when there are not so many. */
function openChannels(
  { store, channels, nowMs }: UploadContext,
  { fileKey, size }: Upload,
  plan: Plan,
  { common_upload_req, channel_count }: Body,
): object {
  const arrived = store.pieces.arrived(fileKey)
  const missing = [...plan.states.keys()].filter((block) => !arrived.has(block))
  const session = channels.start(fileKey, plan, missing, nowMs)
  const wanted = common_upload_req.use_mutil_channel ? channel_count : 1
  const opened = session.add(Math.min(wanted, CHANNELS_FIRST))
  return {
    upload_state: UPLOAD_STATE.MORE,
    uploaded_data_len: Math.min(size, arrived.size * plan.blockSize),
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
    if (plan !== undefined || size === 0) return { size, sha, md5 }
    throw new Refusal(RET.BAD_UPLOAD, 'neither bytes nor blocks')
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
