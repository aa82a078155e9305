// Sends what an announced upload still lacks: the service hands out pieces over several channels,
// each of which is followed until it ends (protocol notes, webapp 7.5 and 7.6).
import type { Logger } from '../../base/log.ts'
import type { Call } from '../call.ts'
import type { UploadSource } from '../drive.ts'
import { isWeiyunError } from '../errors.ts'
import { Lane, type Lanes } from '../lanes.ts'
import type { Throttle } from '../throttle.ts'
import { type Announced, BLOCK_BYTES, CHANNELS, type Channel, decodeChannels } from './announce.ts'
import type { WebappClient } from './client.ts'
import type { Message } from './envelope.ts'
import { type Outcome, RunningUpload } from './running-upload.ts'

const UPLOAD_PIECE: Message = { cmd: 247121, name: 'UploadPiece' }
const ADD_CHANNEL: Message = { cmd: 247122, name: 'AddChannel' }

/** Pieces of all files at once, which bounds the memory they take to as many blocks. */
const PIECES_MAX = 16
/** A file this large gets more channels, where the service has them. */
const LARGE_BYTES = 64 * BLOCK_BYTES
const CHANNELS_LARGE = 8
/** What the SDK says of its speed. */
const SPEED = 4303

export interface PieceSenderOptions {
  readonly client: WebappClient
  readonly lanes: Lanes
  readonly bandwidth: Throttle
  readonly log: Logger
}

export class PieceSender {
  readonly #options: PieceSenderOptions
  readonly #lane = new Lane(PIECES_MAX)

  constructor(options: PieceSenderOptions) {
    this.#options = options
  }

  async send(
    announced: Announced,
    source: UploadSource,
    call: Call,
    onProgress: (sent: number) => void,
  ): Promise<Outcome> {
    const upload = new RunningUpload(announced, source, onProgress)
    const run = (channel: Channel) => this.#run(upload, channel, call)
    const channels = announced.channels.filter((channel) => upload.isPiece(channel)).map(run)
    if (source.size - announced.sent >= LARGE_BYTES) {
      channels.push(this.#addChannels(upload, channels.length, call, run))
    }
    // The piece that completes the file ends it, whatever is still under way on the other channels.
    await Promise.race([upload.over, Promise.all(channels)])
    return upload.outcome
  }

  async #run(upload: RunningUpload, first: Channel, call: Call): Promise<void> {
    let channel: Channel | undefined = first
    try {
      while (channel !== undefined && !upload.isOver) {
        channel = await this.#sendPiece(upload, channel, call)
      }
    } catch (error) {
      // Idle for too long, or refused: a new announcement tells what is missing.
      const isMisread = channel?.isLengthAssumed && isWeiyunError(error, 'INVALID', 'REFUSED')
      if (!isMisread && !isWeiyunError(error, 'RESTART_TRANSFER')) return upload.fail(error)
      this.#options.log.warn({ failed: error.message }, 'lost a channel')
      upload.outcome = 'lost'
    }
  }

  /** The next piece of the channel, if there is one. */
  async #sendPiece(
    upload: RunningUpload,
    channel: Channel,
    call: Call,
  ): Promise<Channel | undefined> {
    const { lanes, bandwidth } = this.#options
    const { id, offset, length } = channel
    const { source } = upload
    const release = await this.#lane.enter(call)
    try {
      if (upload.isOver) return undefined
      const piece = await source.read(offset, Math.min(length, source.size - offset))
      const reply = await lanes.retry(call, async () => {
        await bandwidth.take(piece.length, call)
        const fields = { ...upload.keys, channel: { id, offset, len: length } }
        return this.#options.client.upload(UPLOAD_PIECE, fields, piece, call)
      })
      return upload.take(reply, channel, piece.length)
    } finally {
      release()
    }
  }

  /** More channels for a large file. A service that has none is none the worse. */
  async #addChannels(
    upload: RunningUpload,
    count: number,
    call: Call,
    run: (channel: Channel) => Promise<void>,
  ): Promise<void> {
    if (count < CHANNELS) return
    const counts = { orig_channel_count: count, dest_channel_count: CHANNELS_LARGE }
    const fields = { ...upload.keys, ...counts, speed: SPEED }
    try {
      const reply = await this.#options.client.upload(ADD_CHANNEL, fields, undefined, call)
      const added = decodeChannels(reply, 'channels').filter((channel) => upload.isPiece(channel))
      await Promise.all(added.map(run))
    } catch (error) {
      if (isWeiyunError(error, 'ABORTED', 'SESSION_EXPIRED')) throw error
      const failed = error instanceof Error ? error.message : String(error)
      this.#options.log.debug({ failed }, 'no more channels')
    }
  }
}
