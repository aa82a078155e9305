// Removing any number of entries, each in the version that was meant (protocol notes, webapp 5).
// The command carries no version, so files are looked at first, by their hashes where they have any
// and else in their directories.
import { removeBatches } from '../batches.ts'
import type { Call } from '../call.ts'
import type { Entry, FileRef, ItemError, Limits, RemoveItem } from '../drive.ts'
import { idOf } from '../entries.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { WebappCommands } from './commands.ts'
import type { Views } from './views.ts'

/** The front-end's own bound; what more items do is not known (webapp 11). */
const BATCH_ITEMS_MAX = 10

/** See Drive.remove. */
export async function removeEntries(
  commands: WebappCommands,
  views: Views,
  items: readonly RemoveItem[],
  { batchDeleteFilesMax, batchDeleteDirsMax }: Limits,
  call: Call,
): Promise<ItemError[]> {
  const refused = await findRefused(commands, views, items, call)
  const ofKind = (kind: 'file' | 'dir') =>
    items.filter((item) => item.entry.kind === kind && !refused.has(item))
  const batches = [
    ...cut(ofKind('dir'), Math.min(BATCH_ITEMS_MAX, batchDeleteDirsMax)),
    ...cut(ofKind('file'), Math.min(BATCH_ITEMS_MAX, batchDeleteFilesMax)),
  ]
  const errors = await removeBatches(
    batches,
    (batch) => commands.remove(batch, call),
    (dir) => views.fresh(dir, call),
  )
  return items.map((item) => refused.get(item) ?? errors.get(item))
}

/** Files that must stay, with the reason: STALE, or that nobody could look. */
async function findRefused(
  commands: WebappCommands,
  views: Views,
  items: readonly RemoveItem[],
  call: Call,
): Promise<Map<RemoveItem, Error>> {
  const refused = new Map<RemoveItem, Error>()
  const byHash = items.filter(({ entry }) => entry.kind === 'file' && entry.sha1)
  const told = await Promise.all(
    cut(byHash, BATCH_ITEMS_MAX).map((batch) => lookAtHashes(commands, batch, refused, call)),
  )
  const isTold = new Set(told.flat())
  const others = items.filter((item) => item.entry.kind === 'file' && !isTold.has(item))
  const byDir = Map.groupBy(others, ({ dir }) => dir.key)
  const look = async (inDir: readonly RemoveItem[]) => {
    const found = await entriesIn(views, inDir, call)
    for (const item of inDir) {
      const error = found instanceof Error ? found : staleness(item, found)
      if (error !== undefined) refused.set(item, error)
    }
  }
  await Promise.all([...byDir.values()].map(look))
  return refused
}

/**
 * One request, however large the directories are. Returns the files of which the service told a
 * hash, or that they are gone.
 */
async function lookAtHashes(
  commands: WebappCommands,
  items: readonly RemoveItem[],
  refused: Map<RemoveItem, Error>,
  call: Call,
): Promise<RemoveItem[]> {
  const files = items.flatMap(({ dir, entry }) =>
    entry.kind === 'file' ? [{ dir, file: entry }] : [],
  )
  const hashes = await commands.hashes(files, call).catch(toError)
  if (hashes instanceof Error) return []
  return items.filter((item) => {
    const { entry } = item
    if (entry.kind === 'dir' || !hashes.has(entry.id)) return false
    const hash = hashes.get(entry.id)
    if (hash !== undefined && hash !== entry.sha1) refused.set(item, anotherVersion())
    return true
  })
}

async function entriesIn(
  views: Views,
  [item]: readonly RemoveItem[],
  call: Call,
): Promise<Map<string, Entry> | WeiyunError> {
  const entries = item === undefined ? [] : await views.fresh(item.dir, call).catch(toError)
  if (!(entries instanceof Error)) return new Map(entries.map((entry) => [idOf(entry), entry]))
  // The command will say so.
  return entries.code === 'NOT_FOUND' ? new Map() : entries
}

function toError(error: unknown): WeiyunError {
  if (!isWeiyunError(error) || ['SESSION_EXPIRED', 'ABORTED'].includes(error.code)) throw error
  return error
}

function staleness({ entry }: RemoveItem, found: ReadonlyMap<string, Entry>): Error | undefined {
  if (entry.kind === 'dir') return undefined
  const there = found.get(entry.id)
  if (there === undefined || (there.kind === 'file' && isVersion(there, entry))) return undefined
  return anotherVersion()
}

function anotherVersion(): WeiyunError {
  return new WeiyunError('STALE', 'the file has another version by now')
}

/**
 * By content where that is known on both sides: what else gives a file a new version is not
 * documented [I].
 */
export function isVersion(file: FileRef, wanted: FileRef): boolean {
  if (file.sha1 && wanted.sha1) return file.sha1 === wanted.sha1 && file.size === wanted.size
  return file.version === wanted.version && file.size === wanted.size
}

function cut<T>(items: readonly T[], itemsMax: number): T[][] {
  const count = Math.ceil(items.length / itemsMax)
  return Array.from({ length: count }, (_, index) =>
    items.slice(index * itemsMax, (index + 1) * itemsMax),
  )
}
