// Channels of uploads in pieces: each asks for one block after the other, and the service hands out
// every block once (webapp.md, 7.5 and 7.6). Held in memory only: after a restart, or when nothing
// came for a while, all channels are closed and the client announces the file again.
import type { Plan } from '../store/pieces.ts'

/** What the wire calls a channel: the block it has to bring. `len` may pass the end of the file. */
export interface Channel {
  id: number
  offset: number
  len: number
}

/** How many a file may have at once (webapp.md, 7.6: "4 to 32"), and how many it gets at first. */
export const CHANNELS_MAX = 32
export const CHANNELS_FIRST = 4

export class ChannelSession {
  readonly plan: Plan
  /** Blocks that nobody has been asked for, first to last. */
  readonly #free: number[]
  /** By channel: the block it has to bring, or undefined when none was left for it. */
  readonly #blocks = new Map<number, number | undefined>()
  #channelCount = 0
  activeMs: number

  constructor(plan: Plan, missing: number[], nowMs: number) {
    this.plan = plan
    this.#free = missing
    this.activeMs = nowMs
  }

  /** As many more channels as there are blocks for. */
  add(count: number): Channel[] {
    const added: Channel[] = []
    while (added.length < count && this.#free.length > 0) {
      const id = this.#channelCount
      this.#channelCount += 1
      this.#blocks.set(id, this.#free.shift())
      added.push(this.channel(id))
    }
    return added
  }

  has(id: number): boolean {
    return this.#blocks.has(id)
  }

  block(id: number): number | undefined {
    return this.#blocks.get(id)
  }

  /** The block has come: the channel gets another, while there are any. */
  advance(id: number): void {
    this.#blocks.set(id, this.#free.shift())
  }

  /** Nobody will bring its block any more. */
  close(id: number): void {
    this.#blocks.delete(id)
  }

  /** A channel that has nothing left has the length 0. */
  channel(id: number): Channel {
    const block = this.#blocks.get(id)
    if (block === undefined) return { id, offset: 0, len: 0 }
    const { blockSize } = this.plan
    return { id, offset: block * blockSize, len: blockSize }
  }

  all(): Channel[] {
    return [...this.#blocks.keys()].map((id) => this.channel(id))
  }
}

export class Channels {
  readonly #sessions = new Map<string, ChannelSession>()

  /** Opens an upload's channels; those it had are closed. */
  start(fileKey: string, plan: Plan, missing: number[], nowMs: number): ChannelSession {
    const session = new ChannelSession(plan, missing, nowMs)
    this.#sessions.set(fileKey, session)
    return session
  }

  /** The open channels of an upload; undefined when it has none, or rested for too long. */
  find(fileKey: string, idleMs: number, nowMs: number): ChannelSession | undefined {
    const session = this.#sessions.get(fileKey)
    if (session === undefined) return undefined
    if (nowMs - session.activeMs >= idleMs) {
      this.end(fileKey)
      return undefined
    }
    session.activeMs = nowMs
    return session
  }

  end(fileKey: string): void {
    this.#sessions.delete(fileKey)
  }
}
