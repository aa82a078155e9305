// How a mount process is doing, for the benchmark and whoever looks into a slow mount.
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface Metrics {
  /**
   * How late the event loop was, since the request before this one; the first request starts the
   * watch.
   */
  readonly loopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number } | null
  /** Bytes: all of the process, and what of it is JavaScript's. */
  readonly memory: { readonly rss: number; readonly heap: number; readonly buffers: number }
}

/** The watch wakes the process this often, so it does not run unless somebody asked. */
const RESOLUTION_MS = 2

export class Meter {
  #delay: ReturnType<typeof monitorEventLoopDelay> | undefined

  read(): Metrics {
    const { rss, heapUsed: heap, arrayBuffers: buffers } = process.memoryUsage()
    return { loopDelayMs: this.#readDelay(), memory: { rss, heap, buffers } }
  }

  #readDelay(): Metrics['loopDelayMs'] {
    const delay = this.#delay
    if (delay === undefined) {
      this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
      this.#delay.enable()
      return null
    }
    // The histogram counts from wake to wake, and the loop is not late for as long as it meant to
    // sleep.
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    const [p50, p99] = [late(delay.percentile(50)), late(delay.percentile(99))]
    const max = late(delay.max)
    delay.reset()
    return { p50, p99, max }
  }
}
