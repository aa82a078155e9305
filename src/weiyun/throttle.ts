// A token bucket: the ceiling on requests a second, and the limits on bytes a second.

export interface ThrottleOptions {
  /** Units a second; 0 is no limit. */
  readonly perSecond: number
  /** Units that may be taken at once after a quiet time. */
  readonly burst: number
}

interface Waiter {
  rest(ms: number): Promise<void>
}

export class Throttle {
  readonly #perSecond: number
  readonly #burst: number
  #available: number
  #filledMs = performance.now()

  constructor({ perSecond, burst }: ThrottleOptions) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#available = burst
  }

  /** A limit on bytes a second; 0 is none. */
  static bytes(perSecond: number): Throttle {
    return new Throttle({ perSecond, burst: perSecond })
  }

  /**
   * Takes `amount` at once, into debt if need be, and waits until the debt is paid: whoever comes
   * next waits longer, so that the order stays fair and an amount larger than the burst is no
   * special case.
   */
  async take(amount: number, waiter: Waiter): Promise<void> {
    if (this.#perSecond === 0) return
    const nowMs = performance.now()
    const refill = ((nowMs - this.#filledMs) / 1000) * this.#perSecond
    this.#available = Math.min(this.#burst, this.#available + refill) - amount
    this.#filledMs = nowMs
    if (this.#available < 0) await waiter.rest((-this.#available / this.#perSecond) * 1000)
  }
}
