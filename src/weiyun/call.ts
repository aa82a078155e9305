// One call of the drive, from its caller's point of view: how urgent it is, when it is given up,
// and how often it is worth repeating. Passed down through every layer that waits.
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions, Priority } from './drive.ts'
import { isWeiyunError, WeiyunError } from './errors.ts'

/** A user waits at most this many time limits of one request without any progress. */
const PATIENCE = 1.5

export interface CallSettings {
  /** Time limit without progress for one request. */
  readonly timeoutMs: number
  /** Repeats for a user who waits. */
  readonly retriesMax: number
}

export class Call {
  readonly priority: Priority
  readonly settings: CallSettings
  readonly #controller = new AbortController()
  readonly #once: boolean
  readonly #callerSignal: AbortSignal | undefined
  readonly #onAbort = () => this.abort(new WeiyunError('ABORTED', 'given up by the caller'))
  #timer: NodeJS.Timeout | undefined
  #ended = false
  #progressMs = performance.now()

  constructor({ priority = 'user', signal, once = false }: CallOptions, settings: CallSettings) {
    setMaxListeners(0, this.signal) // one call may send hundreds of batches
    this.priority = priority
    this.settings = settings
    this.#once = once
    this.#callerSignal = signal
    if (signal?.aborted) this.#onAbort()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.progress()
  }

  /** Aborted with a WeiyunError as its reason. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(reason: WeiyunError): void {
    this.#controller.abort(reason)
  }

  /**
   * Something arrived: patience begins anew. Background work needs none, its requests have limits.
   */
  progress(): void {
    this.#progressMs = performance.now()
    if (this.priority !== 'user' || this.#ended || this.signal.aborted) return
    if (this.#timer) this.#timer.refresh()
    else this.#timer = setTimeout(() => this.#outOfPatience(), this.#patienceMs).unref()
  }

  /** Now we wait for the caller, not for the service; `progress` goes on. */
  pause(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  end(): void {
    this.#ended = true
    this.pause()
    this.#callerSignal?.removeEventListener('abort', this.#onAbort)
  }

  /**
   * Waits, unless the call is given up meanwhile. The timer keeps the process alive on purpose: a
   * script that awaits this call must not end in the middle of it.
   */
  async sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal }).catch(() => {})
    this.throwIfAborted()
  }

  /** The same for a wait of our own making, which does not count as the service's silence. */
  async rest(ms: number): Promise<void> {
    this.pause()
    await this.sleep(ms)
    this.progress()
  }

  throwIfAborted(): void {
    if (this.signal.aborted) throw this.signal.reason
  }

  /** Waits for work that goes on without this call, unless the call is given up meanwhile. */
  async join<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}) // who has given up does not hear how it ends
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    const onAbort = () => reject(this.signal.reason)
    this.signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.throwIfAborted()
      return await Promise.race([work, aborted])
    } finally {
      this.signal.removeEventListener('abort', onAbort)
    }
  }

  /**
   * How long to wait before trying again after so many failures in a row; `undefined`: not at all.
   */
  retryDelayMs(error: unknown, failures: number): number | undefined {
    if (!isWeiyunError(error) || !error.retryable || this.signal.aborted) return undefined
    // That is repeated from its beginning, by whoever began it.
    if (error.code === 'RESTART_TRANSFER') return undefined
    if (failures > this.#retriesMax(error)) return undefined
    const stepMs = error.code === 'THROTTLED' ? 1000 : 200
    const delayMs = stepMs * 2 ** (failures - 1) * (0.5 + Math.random())
    return this.priority === 'user' && delayMs > this.#patienceLeftMs() ? undefined : delayMs
  }

  // Who works in the background has patience of its own, longer than any that belongs here.
  #retriesMax(error: WeiyunError): number {
    if (this.#once) return 0
    if (error.code === 'BAD_REPLY') return 1
    return this.priority === 'user'
      ? this.settings.retriesMax
      : Math.min(2, this.settings.retriesMax)
  }

  get #patienceMs(): number {
    return this.settings.timeoutMs * PATIENCE
  }

  #patienceLeftMs(): number {
    return this.#progressMs + this.#patienceMs - performance.now()
  }

  #outOfPatience(): void {
    const seconds = this.#patienceMs / 1000
    this.abort(new WeiyunError('TIMEOUT', `no progress for ${seconds} seconds`))
  }
}

/** The service may have done what it was asked, although we have no usable answer. */
function isAmbiguous(error: unknown): boolean {
  return isWeiyunError(error, 'TIMEOUT', 'UNREACHABLE', 'SERVER', 'BAD_REPLY')
}

export interface RetryOptions<T> {
  readonly onRetry?: (error: unknown, delayMs: number) => void
  /** Looks whether an earlier attempt that failed ambiguously did its work after all. */
  readonly recover?: () => Promise<T | undefined>
}

/** Repeats `attempt` as long as the call's patience and the kind of failure make it worth while. */
export async function retry<T>(
  call: Call,
  attempt: () => Promise<T>,
  { onRetry, recover }: RetryOptions<T> = {},
): Promise<T> {
  let isDoubtful = false
  for (let failures = 1; ; failures++) {
    try {
      const found = isDoubtful ? await recover?.() : undefined
      return found ?? (await attempt())
    } catch (error) {
      const delayMs = call.retryDelayMs(error, failures)
      if (delayMs === undefined) {
        // A plain refusal after a lost reply, "exists" above all, may mean what we did ourselves.
        const found = isDoubtful && !isAmbiguous(error) ? await recover?.() : undefined
        if (found === undefined) throw error
        return found
      }
      onRetry?.(error, delayMs)
      isDoubtful ||= isAmbiguous(error)
      await call.sleep(delayMs)
    }
  }
}
