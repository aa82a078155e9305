// Which bytes of a file are there: a set of half-open ranges [start, end). The staging area and
// whoever fetches what is missing share it. Offsets are safe integers, up to 2^53 - 1.

/** A half-open range of bytes. */
export type Range = [start: number, end: number]

/** An ExtentSet for looking at only. */
export type ReadonlyExtentSet = Omit<ExtentSet, 'add' | 'remove' | 'clip'>

export class ExtentSet {
  // Strictly ascending: start, end, start, end … so touching ranges are always merged, and an
  // offset lies inside exactly when the number of edges at or below it is odd.
  #edges: number[] = []

  /** Takes what `toJSON` gave. Throws RangeError on anything else. */
  static fromJSON(edges: readonly number[]): ExtentSet {
    const ascending = edges.every(
      (edge, i) => Number.isSafeInteger(edge) && edge > (edges[i - 1] ?? -1),
    )
    if (!ascending || edges.length % 2 !== 0) {
      throw new RangeError('not a list of disjoint ascending ranges')
    }
    const set = new ExtentSet()
    set.#edges = [...edges]
    return set
  }

  /** Flat: start, end, start, end … */
  toJSON(): number[] {
    return [...this.#edges]
  }

  *[Symbol.iterator](): Generator<Range> {
    for (let i = 0; i < this.#edges.length; i += 2) yield [this.#edge(i), this.#edge(i + 1)]
  }

  /** Number of disjoint ranges. */
  get ranges(): number {
    return this.#edges.length / 2
  }

  /** Number of bytes in all ranges together. */
  get bytes(): number {
    return this.#edges.reduce((sum, edge, i) => (i % 2 === 0 ? sum - edge : sum + edge), 0)
  }

  /** Where the last range ends; 0 for the empty set. */
  get end(): number {
    return this.#edges.at(-1) ?? 0
  }

  add(start: number, end: number): void {
    this.#replace(start, end, 0)
  }

  remove(start: number, end: number): void {
    this.#replace(start, end, 1)
  }

  /** Removes everything from `size` on. */
  clip(size: number): void {
    if (size < this.end) this.remove(size, this.end)
  }

  /** The parts of [start, end) that are not in the set, ascending. */
  gaps(start: number, end: number): Range[] {
    const gaps: Range[] = []
    let at = start
    for (let next = this.#countUpTo(start); at < end; next++) {
      const edge = Math.min(this.#edge(next), end)
      if (next % 2 === 0 && edge > at) gaps.push([at, edge])
      at = edge
    }
    return gaps
  }

  // Makes [start, end) wholly in (parity 0) or out. An edge survives at either end only where the
  // outside differs from the inside, which the parity of its position tells.
  #replace(start: number, end: number, parity: 0 | 1): void {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
      throw new RangeError(`not a range of bytes: ${start} to ${end}`)
    }
    if (start === end) return
    const from = this.#countUpTo(start - 1)
    const to = this.#countUpTo(end)
    const kept: number[] = []
    if (from % 2 === parity) kept.push(start)
    if (to % 2 === parity) kept.push(end)
    this.#edges.splice(from, to - from, ...kept)
  }

  /** How many edges are at or below `offset`. */
  #countUpTo(offset: number): number {
    let low = 0
    let high = this.#edges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#edge(middle) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #edge(index: number): number {
    return this.#edges[index] ?? Number.POSITIVE_INFINITY
  }
}
