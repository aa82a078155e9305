// Simulated bandwidth: holds back the bytes of one connection and one direction so that they take
// as long as they would on a line of that speed.
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Idle time that may be made up for: timers fire late, and their lateness must not add up to a
 * slower line.
 */
const CREDIT_MS = 20

export class Pace {
  #freeMs = 0

  /**
   * Resolves when a line of `bandwidth` bytes a second would have carried `size` more bytes; 0 is
   * no limit.
   */
  async pass(size: number, bandwidth: number, signal: AbortSignal): Promise<void> {
    if (bandwidth <= 0) return
    const nowMs = performance.now()
    this.#freeMs = Math.max(this.#freeMs, nowMs - CREDIT_MS) + (size / bandwidth) * 1000
    const waitMs = this.#freeMs - nowMs
    if (waitMs >= 1) await sleep(waitMs, undefined, { signal })
  }
}
