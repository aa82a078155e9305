// Lanes of concurrency: so many listings, commands, downloads and uploads at once, the urgent
// first; and for listings and commands a ceiling on requests a second, because services of this
// kind punish scans.
import PQueue from 'p-queue'
import type { Logger } from '../base/log.ts'
import { type Call, type RetryOptions, retry } from './call.ts'
import type { Limits, Priority } from './drive.ts'
import { Throttle } from './throttle.ts'

const RANK: Record<Priority, number> = { user: 2, ahead: 1, background: 0 }

/**
 * The account advertises no figure for short commands; this keeps a big `rm -r` from being a
 * flood.
 */
const COMMANDS_MAX = 4

export class Lane {
  readonly #queue: PQueue

  constructor(concurrency: number) {
    this.#queue = new PQueue({ concurrency })
  }

  set concurrency(concurrency: number) {
    this.#queue.concurrency = Math.max(1, concurrency)
  }

  /** Runs `work` when it is its turn. Rejects at once when the call is given up while it waits. */
  async run<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const release = await this.enter(call)
    try {
      return await work()
    } finally {
      release()
    }
  }

  /** Waits for a turn; whoever holds it gives it back by calling the result. */
  async enter(call: Call): Promise<() => void> {
    call.throwIfAborted()
    const options = { priority: RANK[call.priority], signal: call.signal }
    return new Promise((resolve, reject) => {
      const hold = () => new Promise<void>((release) => resolve(release))
      this.#queue.add(hold, options).catch(() => reject(call.signal.reason))
    })
  }
}

/**
 * Seconds' worth of requests that may go out at once: a folder tree being opened, a folder being
 * deleted.
 */
const BURST_SECONDS = 5

export interface LanesOptions {
  /**
   * Ceiling on listings and commands; 0 is none. Uploads and downloads are bounded by their lanes
   * alone.
   */
  readonly requestsPerSecond: number
  readonly log: Logger
}

export class Lanes {
  readonly listings = new Lane(3)
  readonly commands = new Lane(COMMANDS_MAX)
  readonly downloads = new Lane(5)
  readonly uploads = new Lane(10)
  readonly #ceiling: Throttle
  readonly #log: Logger

  constructor({ requestsPerSecond, log }: LanesOptions) {
    const burst = requestsPerSecond * BURST_SECONDS
    this.#ceiling = new Throttle({ perSecond: requestsPerSecond, burst })
    this.#log = log
  }

  /** From the account's own figures, once they are known. */
  resize({ listingsMax, downloadsMax, uploadsMax }: Limits): void {
    this.listings.concurrency = listingsMax
    this.downloads.concurrency = downloadsMax
    this.uploads.concurrency = uploadsMax
  }

  /**
   * Sends a listing or a command in its turn, again where that is worth it. `recover`: see
   * `retry`.
   */
  async ask<T>(
    lane: 'listings' | 'commands',
    call: Call,
    work: () => Promise<T>,
    recover?: RetryOptions<T>['recover'],
  ): Promise<T> {
    const attempt = () =>
      this[lane].run(call, async () => {
        await this.#ceiling.take(1, call)
        return work()
      })
    return this.retry(call, attempt, recover)
  }

  /** Repeats where that is worth it, and says so in the log. The caller is in a lane already. */
  async retry<T>(
    call: Call,
    attempt: () => Promise<T>,
    recover?: RetryOptions<T>['recover'],
  ): Promise<T> {
    const onRetry: RetryOptions<T>['onRetry'] = (error, delayMs) => {
      const message = error instanceof Error ? error.message : String(error)
      this.#log.warn({ failed: message, delayMs: Math.round(delayMs) }, 'trying again')
    }
    return retry(call, attempt, { onRetry, ...(recover && { recover }) })
  }
}
