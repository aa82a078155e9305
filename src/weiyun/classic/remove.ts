// Removing any number of entries: cut into batches that the service takes, and taken apart further where
// it refuses one (protocol notes, classic 4; errors 2).
import type { Call } from '../call.ts'
import type { ItemError, Limits, RemoveItem } from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { ClassicCommands } from './commands.ts'

/**
 * A POST carries its JSON in the query as well, and servers commonly take request lines of 8 KiB. What is
 * left below that is for the rest of the line.
 */
const QUERY_BYTES_MAX = 6 * 1024

/** See Drive.remove. */
export async function removeEntries(
  commands: ClassicCommands,
  items: readonly RemoveItem[],
  { batchDeleteFilesMax, batchDeleteDirsMax }: Limits,
  call: Call,
): Promise<ItemError[]> {
  const toJson = (item: RemoveItem) => JSON.stringify(commands.removal(item))
  const ofKind = (kind: 'file' | 'dir') => items.filter(({ entry }) => entry.kind === kind)
  const all = [
    ...cutIntoBatches(ofKind('file'), batchDeleteFilesMax, toJson),
    ...cutIntoBatches(ofKind('dir'), batchDeleteDirsMax, toJson),
  ]
  const results = await Promise.all(all.map((batch) => removeBatch(commands, batch, call)))
  const errors = new Map(all.flat().map((item, index) => [item, results.flat()[index]] as const))
  return items.map((item) => errors.get(item))
}

// One bad item must not keep the others: a batch that is refused as a whole goes again item by item.
async function removeBatch(
  commands: ClassicCommands,
  batch: readonly RemoveItem[],
  call: Call,
): Promise<ItemError[]> {
  try {
    return await commands.remove(batch, call)
  } catch (error) {
    const isOver = isWeiyunError(error, 'SESSION_EXPIRED', 'ABORTED')
    if (isOver || !(error instanceof WeiyunError)) throw error
    if (batch.length === 1) return [error.code === 'NOT_FOUND' ? undefined : error]
    if (error.retryable) return batch.map(() => error)
    const single = await Promise.all(batch.map((item) => removeBatch(commands, [item], call)))
    return single.flat()
  }
}

/** Batches of at most `itemsMax` items that also fit into a query; a large item goes alone. */
export function cutIntoBatches<T>(
  items: readonly T[],
  itemsMax: number,
  toJson: (item: T) => string,
): T[][] {
  const batches: T[][] = []
  let bytes = 0
  for (const item of items) {
    const itemBytes = encodeURIComponent(`${toJson(item)},`).length
    const last = batches.at(-1)
    bytes += itemBytes
    if (last === undefined || last.length === itemsMax || bytes > QUERY_BYTES_MAX) {
      batches.push([item])
      bytes = itemBytes
    } else last.push(item)
  }
  return batches
}
