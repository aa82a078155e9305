// Removing any number of entries, each in the version that was meant (protocol notes, webapp 5).
// The command carries no version, so files are looked at first, by their hashes where they have any
// and else in their directories.
import PQueue from 'p-queue'
import { removeBatches } from '../batches.ts'
import type { Call } from '../call.ts'
import type { Entry, FileRef, ItemError, Limits, RemoveItem } from '../drive.ts'
import { idOf } from '../entries.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { WebappCommands } from './commands.ts'
import type { Views } from './views.ts'

/** The front-end's own bound; what more items do is not known (webapp 11). */
const BATCH_ITEMS_MAX = 10
/** Batches under way: with more of them, what was looked at would wait for its turn. */
const BATCHES_MAX = 4

type FileItem = RemoveItem & { readonly entry: { readonly kind: 'file' } }

/** See Drive.remove. */
export async function removeEntries(
  commands: WebappCommands,
  views: Views,
  items: readonly RemoveItem[],
  { batchDeleteFilesMax, batchDeleteDirsMax }: Limits,
  call: Call,
): Promise<ItemError[]> {
  const filesMax = Math.min(BATCH_ITEMS_MAX, batchDeleteFilesMax)
  const dirsMax = Math.min(BATCH_ITEMS_MAX, batchDeleteDirsMax)
  const queue = new PQueue({ concurrency: BATCHES_MAX })
  const errors = new Map<RemoveItem, ItemError>()
  const files = items.filter(isFile)
  const untold = files.filter(({ entry }) => !entry.sha1)
  const remove = async (batch: readonly RemoveItem[], itemsMax: number) => {
    const wanted = batch.filter((item) => errors.get(item) === undefined)
    const results = await removeBatches(
      cut(wanted, itemsMax),
      (items) => commands.remove(items, call),
      (dir) => views.fresh(dir, call),
    )
    for (const [item, error] of results) errors.set(item, error)
  }
  // Each removal right after its own look.
  const removeByHash = async (batch: readonly FileItem[]) => {
    const told = await lookAtHashes(commands, batch, errors, call)
    untold.push(...batch.filter((item) => !told.includes(item)))
    await remove(told, filesMax)
  }
  const removeByListing = async (inDir: readonly FileItem[]) => {
    const found = await entriesIn(views, inDir, call)
    for (const item of inDir)
      errors.set(item, found instanceof Error ? found : staleness(item, found))
    await remove(inDir, filesMax)
  }
  const dirs = items.filter((item) => !isFile(item))
  const byHash = cut(
    files.filter(({ entry }) => entry.sha1),
    filesMax,
  )
  await queue.addAll([
    ...cut(dirs, dirsMax).map((batch) => () => remove(batch, dirsMax)),
    ...byHash.map((batch) => () => removeByHash(batch)),
  ])
  const byDir = Map.groupBy(untold, ({ dir }) => dir.key)
  await queue.addAll([...byDir.values()].map((inDir) => () => removeByListing(inDir)))
  return items.map((item) => errors.get(item))
}

/**
 * One request, however large the directories are. Returns the files of which the service told a
 * hash, or that they are gone.
 */
async function lookAtHashes(
  commands: WebappCommands,
  items: readonly FileItem[],
  refused: Map<RemoveItem, ItemError>,
  call: Call,
): Promise<FileItem[]> {
  const hashes = await commands.hashes(items, call).catch(toError)
  if (hashes instanceof Error) return []
  return items.filter((item) => {
    const { entry } = item
    if (!hashes.has(entry.id)) return false
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

function isFile(item: RemoveItem): item is FileItem {
  return item.entry.kind === 'file'
}

function toError(error: unknown): WeiyunError {
  if (!isWeiyunError(error) || ['SESSION_EXPIRED', 'ABORTED'].includes(error.code)) throw error
  return error
}

function staleness({ entry }: FileItem, found: ReadonlyMap<string, Entry>): Error | undefined {
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
