// A whole listing out of its pages, while others may be changing the directory (protocol notes,
// webapp 5.2).
import type { Entry } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import type { Page } from './decode.ts'

/**
 * How often a listing that was overtaken by changes is begun anew before its caller hears of it.
 */
const ATTEMPTS_MAX = 3

/** As many as the lane for listings sends at once. */
const PAGES_AHEAD = 3

/**
 * `ask` gets the number of entries before the page. SERVER when the directory does not keep still.
 */
export async function listWhole(ask: (start: number) => Promise<Page>): Promise<Entry[]> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const entries = await listOnce(ask)
    if (entries !== undefined) return entries
  }
  throw new WeiyunError('SERVER', 'the directory changes faster than it can be listed')
}

/**
 * `undefined` when an entry may have slipped from a page that was still to come into one that had
 * been. New entries push others the opposite way, where they are seen twice, which does no harm.
 */
async function listOnce(ask: (start: number) => Promise<Page>): Promise<Entry[] | undefined> {
  const found = new Map<string, Entry | undefined>()
  const pages = new PagesAhead(ask)
  let total: number | undefined
  let hasGrown = false
  let hiddenCount = 0
  for (let start = 0; ; ) {
    const page = await pages.take(start)
    const before = found.size
    for (const { id, entry } of page.items) found.set(id, entry)
    const { totalCount = total } = page
    if (totalCount !== undefined && total !== undefined) {
      if (totalCount < total) return undefined
      hasGrown ||= totalCount > total
    }
    total = totalCount
    start += page.items.length + page.hiddenCount
    hiddenCount += page.hiddenCount
    if (page.isLast) {
      // Whether the totals count what is hidden is not known: either way all are there.
      const isWhole = found.size === total || found.size + hiddenCount === total
      if (hasGrown && !isWhole) return undefined
      return [...found.values()].filter((entry) => entry !== undefined)
    }
    if (found.size === before) return undefined
    pages.expect(start, page.items.length, total ?? 0)
  }
}

/** The pages that will follow are asked for while the one before is on its way. */
class PagesAhead {
  readonly #ask: (start: number) => Promise<Page>
  readonly #asked = new Map<number, Promise<Page>>()

  constructor(ask: (start: number) => Promise<Page>) {
    this.#ask = ask
  }

  take(start: number): Promise<Page> {
    const page = this.#asked.get(start) ?? this.#ask(start)
    this.#asked.delete(start)
    return page
  }

  /** Guesses where pages of this length will start. A wrong guess costs a request and no more. */
  expect(start: number, length: number, end: number): void {
    for (let ahead = 0; ahead < PAGES_AHEAD && start + ahead * length < end; ahead++) {
      const at = start + ahead * length
      if (this.#asked.has(at)) continue
      const page = this.#ask(at)
      page.catch(() => {}) // perhaps nobody takes it
      this.#asked.set(at, page)
    }
  }
}
