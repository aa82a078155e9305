// A whole listing out of its pages, while others may be changing the directory (protocol notes, webapp 5.2).
import type { Entry } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import type { Page } from './decode.ts'

/** How often a listing that was overtaken by changes is begun anew before its caller hears of it. */
const ATTEMPTS_MAX = 3

/** `ask` gets the number of entries before the page. SERVER when the directory does not keep still. */
export async function listWhole(ask: (start: number) => Promise<Page>): Promise<Entry[]> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const entries = await listOnce(ask)
    if (entries !== undefined) return entries
  }
  throw new WeiyunError('SERVER', 'the directory changes faster than it can be listed')
}

/**
 * `undefined` when an entry may have slipped from a page that was still to come into one that had been. New
 * entries push others the opposite way, where they are seen twice, which does no harm.
 */
async function listOnce(ask: (start: number) => Promise<Page>): Promise<Entry[] | undefined> {
  const found = new Map<string, Entry | undefined>()
  let total: number | undefined
  let hasGrown = false
  let hiddenCount = 0
  for (let start = 0; ; ) {
    const page = await ask(start)
    const before = found.size
    for (const { id, entry } of page.items) found.set(id, entry)
    const change = (page.totalCount ?? total ?? 0) - (total ?? page.totalCount ?? 0)
    if (change < 0) return undefined
    hasGrown ||= change > 0
    total = page.totalCount ?? total
    start += page.items.length + page.hiddenCount
    hiddenCount += page.hiddenCount
    if (page.isLast) {
      // Whether the totals count what is hidden is not known: either way all are there.
      const isWhole = found.size === total || found.size + hiddenCount === total
      if (hasGrown && !isWhole) return undefined
      return [...found.values()].filter((entry) => entry !== undefined)
    }
    if (found.size === before) return undefined
  }
}
