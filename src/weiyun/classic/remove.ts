// Removing any number of entries: cut into batches that the service takes, and taken apart further
// where it refuses one (protocol notes, classic 4; errors 2).
import { removeBatches } from '../batches.ts'
import type { Call } from '../call.ts'
import type { DirRef, Entry, ItemError, Limits, RemoveItem } from '../drive.ts'
import type { ClassicCommands } from './commands.ts'

/**
 * A POST carries its JSON in the query as well, and servers commonly take request lines of 8 KiB.
 * What is left below that is for the rest of the line.
 */
const QUERY_BYTES_MAX = 6 * 1024

/** See Drive.remove. */
export async function removeEntries(
  commands: ClassicCommands,
  entriesOf: (dir: DirRef) => Promise<readonly Entry[]>,
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
  const errors = await removeBatches(all, (batch) => commands.remove(batch, call), entriesOf)
  return items.map((item) => errors.get(item))
}

/** Batches of at most `itemsMax` items that also fit into a query; a large item goes alone. */
function cutIntoBatches<T>(
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
