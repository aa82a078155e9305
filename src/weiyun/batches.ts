// Items that go to the service several at a time: one bad item must not keep the others.
import type { ItemError } from './drive.ts'
import { isWeiyunError, WeiyunError } from './errors.ts'

/** Sends one batch; its results in the same order. */
type Send<T> = (batch: readonly T[]) => Promise<ItemError[]>

/** Removes all batches. What is gone already counts as removed. Results by item. */
export async function removeBatches<T>(
  batches: readonly (readonly T[])[],
  send: Send<T>,
): Promise<Map<T, ItemError>> {
  const results = await Promise.all(batches.map((batch) => removeBatch(batch, send)))
  const errors = results.flat()
  return new Map(batches.flat().map((item, index) => [item, errors[index]] as const))
}

/** A batch that is refused as a whole goes again item by item. */
async function removeBatch<T>(batch: readonly T[], send: Send<T>): Promise<ItemError[]> {
  try {
    return await send(batch)
  } catch (error) {
    const isOver = isWeiyunError(error, 'SESSION_EXPIRED', 'ABORTED')
    if (isOver || !(error instanceof WeiyunError)) throw error
    if (batch.length === 1) return [error.code === 'NOT_FOUND' ? undefined : error]
    if (error.retryable) return batch.map(() => error)
    const single = await Promise.all(batch.map((item) => removeBatch([item], send)))
    return single.flat()
  }
}
