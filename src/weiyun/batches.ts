// Items that go to the service several at a time: one bad item must not keep the others.
import type { DirRef, Entry, ItemError, RemoveItem } from './drive.ts'
import { idOf } from './entries.ts'
import { isWeiyunError, WeiyunError } from './errors.ts'

/** Sends one batch; its results in the same order. */
type Send = (batch: readonly RemoveItem[]) => Promise<ItemError[]>

/** Removes all batches; `entriesOf` lists a directory. Results by item. */
export async function removeBatches(
  batches: readonly (readonly RemoveItem[])[],
  send: Send,
  entriesOf: (dir: DirRef) => Promise<readonly Entry[]>,
): Promise<Map<RemoveItem, ItemError>> {
  const results = await Promise.all(batches.map((batch) => removeBatch(batch, send)))
  const flat = results.flat()
  const errors = new Map(batches.flat().map((item, index) => [item, flat[index]] as const))
  await tellGoneFromMisplaced(errors, entriesOf)
  return errors
}

/** A batch that is refused as a whole goes again item by item. */
async function removeBatch(batch: readonly RemoveItem[], send: Send): Promise<ItemError[]> {
  try {
    return await send(batch)
  } catch (error) {
    const isOver = isWeiyunError(error, 'SESSION_EXPIRED', 'ABORTED')
    if (isOver || !(error instanceof WeiyunError)) throw error
    if (batch.length === 1) return [error]
    if (error.retryable) return batch.map(() => error)
    const single = await Promise.all(batch.map((item) => removeBatch([item], send)))
    return single.flat()
  }
}

/**
 * What was not found is gone already, which is as good as removed; or its directory is not where we
 * believed. The directory's listing tells one from the other; without one it is not known.
 */
async function tellGoneFromMisplaced(
  errors: Map<RemoveItem, ItemError>,
  entriesOf: (dir: DirRef) => Promise<readonly Entry[]>,
): Promise<void> {
  const missing = [...errors].flatMap(([item, error]) =>
    isWeiyunError(error, 'NOT_FOUND') ? [item] : [],
  )
  const look = async (dir: DirRef, items: readonly RemoveItem[]): Promise<void> => {
    try {
      const there = new Set((await entriesOf(dir)).map(idOf))
      for (const item of items) if (!there.has(idOf(item.entry))) errors.set(item, undefined)
    } catch (error) {
      if (!(error instanceof WeiyunError)) throw error
      for (const item of items) errors.set(item, error)
    }
  }
  const byDir = Map.groupBy(missing, ({ dir }) => dir.key)
  await Promise.all([...byDir.values()].map(async (items) => items[0] && look(items[0].dir, items)))
}
