// Keeps operations on overlapping ranges of one file in the order in which they came, and lets all
// others run at once.

interface Span {
  start: number
  end: number
  shared: boolean
  done: Promise<void>
}

export class RangeLock {
  readonly #spans = new Set<Span>()

  /** True while something runs or waits that is not shared. */
  get busy(): boolean {
    return [...this.#spans].some((span) => !span.shared)
  }

  /**
   * Runs `work` once no earlier work overlaps [start, end); shared work (reading) gives way only to
   * the other kind.
   */
  async run<T>(start: number, end: number, work: () => Promise<T>, shared = false): Promise<T> {
    const before = [...this.#spans].filter(
      (span) => span.start < end && start < span.end && !(shared && span.shared),
    )
    const { promise: done, resolve } = Promise.withResolvers<void>()
    const span = { start, end, shared, done }
    this.#spans.add(span)
    try {
      if (before.length > 0) await Promise.all(before.map((earlier) => earlier.done))
      return await work()
    } finally {
      this.#spans.delete(span)
      resolve()
    }
  }
}
