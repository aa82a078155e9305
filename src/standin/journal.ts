// What was asked of the service and what it answered: one record a request, the newest kept, and
// sums by name. No secrets: paths and queries hold tokens and signed links, so only the route's own
// name is kept.

export interface JournalEntry {
  seq: number
  /** When the request came in, in ms since 1970. */
  timeMs: number
  method: string
  /**
   * The command, or the kind of transfer: `get_dir_list`, `2301`, `wy_down`, `ftn-chunk`,
   * `ftn-get`, …
   */
  name: string
  uin: number | null
  /** 0 while the request is under way, and for good when its connection was dropped. */
  status: number
  ret: number
  /** Why it was refused. */
  reason: string | null
  /** The fault that was injected. */
  fault: string | null
  range: string | null
  /** Bytes of the bodies. */
  bytesIn: number
  bytesOut: number
  ms: number
}

export interface Counter {
  requests: number
  /** Replies with a result code other than 0, or an HTTP status of 400 and more. */
  refused: number
  bytesIn: number
  bytesOut: number
  inFlight: number
  inFlightMax: number
}

const ENTRIES_MAX = 20_000

export class Journal {
  #entries: JournalEntry[] = []
  #counters = new Map<string, Counter>()
  #seq = 0

  /** Opens the record of a request; finish it with `end`. */
  begin(method: string, name: string, range: string | undefined): JournalEntry {
    this.#seq += 1
    const entry: JournalEntry = {
      seq: this.#seq,
      timeMs: Date.now(),
      method,
      name,
      uin: null,
      status: 0,
      ret: 0,
      reason: null,
      fault: null,
      range: range ?? null,
      bytesIn: 0,
      bytesOut: 0,
      ms: 0,
    }
    this.#entries.push(entry)
    // Cut in large steps: moving the whole array at every request would cost more than the request.
    if (this.#entries.length > 2 * ENTRIES_MAX) this.#entries = this.#entries.slice(-ENTRIES_MAX)
    const counter = this.#counter(name)
    counter.requests += 1
    counter.inFlight += 1
    counter.inFlightMax = Math.max(counter.inFlightMax, counter.inFlight)
    return entry
  }

  end(entry: JournalEntry): void {
    entry.ms = Date.now() - entry.timeMs
    const counter = this.#counter(entry.name)
    counter.inFlight -= 1
    counter.bytesIn += entry.bytesIn
    counter.bytesOut += entry.bytesOut
    if (entry.ret !== 0 || entry.status >= 400) counter.refused += 1
  }

  /** Records after `since`, oldest first. */
  entries(since = 0): JournalEntry[] {
    return this.#entries.filter((entry) => entry.seq > since).slice(-ENTRIES_MAX)
  }

  counters(): Record<string, Counter> {
    return Object.fromEntries([...this.#counters].map(([name, counter]) => [name, { ...counter }]))
  }

  /** Forgets records and sums; requests under way stay counted as such. */
  clear(): void {
    this.#entries = []
    for (const [name, { inFlight }] of this.#counters) {
      this.#counters.set(name, { ...newCounter(), inFlight, inFlightMax: inFlight })
    }
  }

  #counter(name: string): Counter {
    let counter = this.#counters.get(name)
    if (counter === undefined) {
      counter = newCounter()
      this.#counters.set(name, counter)
    }
    return counter
  }
}

function newCounter(): Counter {
  return { requests: 0, refused: 0, bytesIn: 0, bytesOut: 0, inFlight: 0, inFlightMax: 0 }
}
