// Transfer rates, from counters that only grow.
import type { Traffic } from '../weiyun/index.ts'

/** Whole bytes a second. */
export interface Rates {
  readonly up: number
  readonly down: number
}

export class RateMeter {
  #before: Traffic | undefined
  #beforeMs = 0

  /** The rates since the call before this one; `undefined` at the first. */
  rates(now: Traffic, nowMs = performance.now()): Rates | undefined {
    const before = this.#before
    const seconds = Math.max(1, nowMs - this.#beforeMs) / 1000
    this.#before = now
    this.#beforeMs = nowMs
    if (before === undefined) return undefined
    return {
      up: Math.round((now.sentBytes - before.sentBytes) / seconds),
      down: Math.round((now.receivedBytes - before.receivedBytes) / seconds),
    }
  }
}
