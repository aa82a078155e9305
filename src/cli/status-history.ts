// Figures of mounts over the last minutes, for the charts of the status page.
import { RateMeter, type Rates } from './rates.ts'
import type { Status } from './status.ts'

export interface Sample extends Rates {
  readonly timeMs: number
  /** Used of the drive, in bytes; `undefined` while that is not known. */
  readonly used: number | undefined
}

/**
 * Ten minutes of one a second: enough to see what is going on, little enough to send every time.
 */
const SAMPLES_MAX = 600

export class History {
  readonly #samples = new Map<number, Sample[]>()
  readonly #meters = new Map<number, RateMeter>()

  /** Takes what mounts said now; those that have ended are forgotten. */
  record(statuses: readonly Status[], timeMs = Date.now()): void {
    const alive = new Set(statuses.map(({ pid }) => pid))
    for (const pid of this.#samples.keys()) {
      if (alive.has(pid)) continue
      this.#samples.delete(pid)
      this.#meters.delete(pid)
    }
    for (const { pid, traffic, quota } of statuses) {
      const meter = this.#meters.get(pid) ?? new RateMeter()
      this.#meters.set(pid, meter)
      const { up, down } = meter.rates(traffic, timeMs) ?? { up: 0, down: 0 }
      const samples = this.#samples.get(pid) ?? []
      samples.push({ timeMs, up, down, used: quota?.used })
      this.#samples.set(pid, samples.slice(-SAMPLES_MAX))
    }
  }

  /** Oldest first. */
  of({ pid }: Status): readonly Sample[] {
    return this.#samples.get(pid) ?? []
  }
}
