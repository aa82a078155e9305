// What the channels of one upload have in common: the newest key, how far it is, and how it ends
// (protocol notes, webapp 7.5).
import type { UploadSource } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import { type Fields, integer, isFields, text } from '../fields.ts'
import { type Announced, type Channel, decodeChannel, STATE_COMPLETE } from './announce.ts'

/**
 * `complete`; or it ended, and whether all is there only a listing tells; or channels died, and
 * the service knows what it has.
 */
export type Outcome = 'complete' | 'ended' | 'lost'

/** Other values of `upload_state`. */
const STATE_GO_ON = 1
const STATE_CHANNEL_ENDS = 3

/** How often bytes that were sent may be asked for again before the upload counts as stuck. */
const REPEATS_MAX = 16

export class RunningUpload {
  readonly source: UploadSource
  readonly #uploadKey: string
  readonly #onProgress: (sent: number) => void
  readonly #over = Promise.withResolvers<void>()
  readonly #offsetsSent = new Set<number>()
  #ex: string
  #sent: number
  #repeats = 0
  #isOver = false
  outcome: Outcome = 'ended'

  constructor(announced: Announced, source: UploadSource, onProgress: (sent: number) => void) {
    this.source = source
    this.#uploadKey = announced.uploadKey
    this.#ex = announced.ex
    this.#sent = announced.sent
    this.#onProgress = onProgress
    this.#over.promise.catch(() => {}) // a failure that comes after the end
  }

  /** Resolves when the service calls the file complete, rejects with the first failure. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Nothing more is to be sent. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** What every request of this upload presents. */
  get keys(): { upload_key: string; ex: string } {
    return { upload_key: this.#uploadKey, ex: this.#ex }
  }

  /**
   * Whether there is anything to send in answer to this. An empty file has one piece without
   * bytes.
   */
  isPiece({ offset, length }: Channel): boolean {
    const { size } = this.source
    return size === 0 ? offset === 0 : offset < size && length > 0
  }

  /** Takes the reply to a piece. The next piece of this channel, if the service wants one. */
  take(reply: Fields, channel: Channel, sentBytes: number): Channel | undefined {
    this.#ex = text(reply, 'ex') || this.#ex
    this.#note(channel.offset, sentBytes)
    const state = integer(reply, 'upload_state')
    if (state === STATE_COMPLETE) return this.#complete()
    if (state === STATE_CHANNEL_ENDS) return undefined
    if (state !== STATE_GO_ON) throw restart(`unknown upload state ${state}`)
    const next = isFields(reply.channel) ? decodeChannel(reply.channel) : undefined
    if (next === undefined) throw restart('the service names no next piece')
    // A missing length stays as it was.
    const isLengthAssumed = next.length === 0
    const length = isLengthAssumed ? channel.length : next.length
    const piece = { ...next, length, isLengthAssumed }
    if (!this.isPiece(piece)) throw restart(`the service asks for ${next.offset}, past the end`)
    return piece
  }

  fail(error: unknown): void {
    this.#isOver = true
    this.#over.reject(error)
  }

  /** A service that says so before it can have all is not taken at its word. */
  #complete(): undefined {
    this.#isOver = true
    this.outcome = this.#sent === this.source.size ? 'complete' : 'ended'
    this.#over.resolve()
  }

  #note(offset: number, length: number): void {
    if (this.#offsetsSent.has(offset)) {
      if (++this.#repeats > REPEATS_MAX) throw restart('the service wants the same again and again')
      return
    }
    this.#offsetsSent.add(offset)
    this.#sent = Math.min(this.source.size, this.#sent + length)
    this.#onProgress(this.#sent)
  }
}

function restart(message: string): WeiyunError {
  return new WeiyunError('RESTART_TRANSFER', message)
}
