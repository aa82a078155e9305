// The steps of an upload that follow its announcement: a piece for a channel (command 247121), and
// more channels (247122).
import { count, record, text } from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Plan } from '../store/pieces.ts'
import type { Upload } from '../store/uploads.ts'
import { CHANNELS_MAX, type ChannelSession } from './channels.ts'
import { channelCount } from './pre-upload.ts'
import { advanceState, finishState, INITIAL_STATE } from './sha1-state.ts'
import { checkEx, complete, newEx, UPLOAD_STATE, type UploadContext } from './step.ts'

const PIECE = record({
  upload_key: text,
  ex: text,
  channel: record({ id: count, offset: count, len: count }),
})

/**
 * Takes one block. It must be the one that its channel was asked for; a block that is here already
 * may come again, for a client that lost the reply.
 */
export async function uploadPiece(
  context: UploadContext,
  given: unknown,
  bytes: Buffer | undefined,
): Promise<object> {
  const { upload_key, ex, channel } = PIECE(given, 'body')
  const upload = announced(context, upload_key, ex)
  if (bytes === undefined) throw new Refusal(RET.BAD_UPLOAD, 'piece without bytes')
  if (upload.done === 1) return answer(context, upload, channel.id)
  const session = open(context, upload)
  const { plan } = session
  if (context.call.fault === 'dead-channel') session.close(channel.id)
  if (!session.has(channel.id)) throw new Refusal(RET.CHANNEL_CLOSED, 'channel closed')

  const { pieces } = context.store
  const block = channel.offset / plan.blockSize
  if (block === session.block(channel.id)) {
    checkPiece(plan, upload, block, channel.len, bytes)
    await pieces.write(upload.fileKey, plan, block, bytes)
    // The same piece may have come twice at once: the channel moves on once.
    if (block === session.block(channel.id)) session.advance(channel.id)
  } else if (!pieces.arrived(upload.fileKey).has(block)) {
    throw new Refusal(RET.BAD_UPLOAD, 'not the block that the channel was asked for')
  }

  if (await complete(context, upload, plan)) return answer(context, upload, channel.id)
  return answer(context, upload, channel.id, session)
}

const ADD_CHANNEL = record({
  upload_key: text,
  ex: text,
  orig_channel_count: channelCount,
  dest_channel_count: channelCount,
  speed: count,
})

/** Opens more channels, as far as there are blocks for them. */
export function addChannel(context: UploadContext, given: unknown): object {
  const { upload_key, ex, orig_channel_count, dest_channel_count } = ADD_CHANNEL(given, 'body')
  const upload = announced(context, upload_key, ex)
  if (upload.done === 1) throw new Refusal(RET.UPLOAD_FINISHED, 'complete already')
  const session = open(context, upload)
  const before = session.all()
  if (orig_channel_count !== before.length) throw new Refusal(RET.BAD_UPLOAD, 'orig_channel_count')
  const added = session.add(Math.min(dest_channel_count, CHANNELS_MAX) - before.length)
  return {
    orig_channel_count: before.length,
    final_channel_count: before.length + added.length,
    orig_channels: before,
    channels: added,
  }
}

/** The upload that was announced under this key, by this account. */
function announced({ store, account }: UploadContext, key: string, ex: string): Upload {
  const upload = store.uploads.find(key)
  if (upload === undefined) throw new Refusal(RET.CHANNEL_CLOSED, 'no such upload')
  if (upload.uin !== account.uin) throw new Refusal(RET.NOT_PERMITTED, "another account's upload")
  checkEx(upload, ex)
  return upload
}

function open(context: UploadContext, { fileKey }: Upload): ChannelSession {
  const { channels, knobs, nowMs } = context
  const session = channels.find(fileKey, knobs.uploadIdleMs, nowMs)
  if (session === undefined) throw new Refusal(RET.CHANNEL_CLOSED, 'no channels open')
  return session
}

/** A block must lead from the state before it to its own. */
function checkPiece(plan: Plan, upload: Upload, block: number, len: number, bytes: Buffer): void {
  const offset = block * plan.blockSize
  const length = Math.min(plan.blockSize, upload.size - offset)
  if (bytes.length !== length || (len !== length && len !== plan.blockSize)) {
    throw new Refusal(RET.BAD_UPLOAD, `piece of ${bytes.length} bytes instead of ${length}`)
  }
  const before = plan.states[block - 1] ?? INITIAL_STATE
  const isLast = block === plan.states.length - 1
  const state = isLast ? finishState(before, upload.size, bytes) : advanceState(before, bytes)
  if (state !== plan.states[block]) throw new Refusal(RET.WRONG_PIECE, 'SHA-1 of the piece')
}

/** @param session undefined when the file is complete */
function answer(
  { call }: UploadContext,
  upload: Upload,
  id: number,
  session?: ChannelSession,
): object {
  const channel = session?.channel(id) ?? { id, offset: 0, len: 0 }
  const open = channel.len > 0 ? UPLOAD_STATE.MORE : UPLOAD_STATE.CHANNEL_DONE
  const forced = /^state-(\d)$/.exec(call.fault ?? '')?.[1]
  return {
    channel,
    ex: newEx(upload),
    upload_state: Number(forced ?? (session === undefined ? UPLOAD_STATE.COMPLETE : open)),
    flow_state: 0,
  }
}
