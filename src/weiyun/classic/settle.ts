// What happens to a new entry after the service made it under some name: seeing what the name became,
// and taking the place of the version that it replaces (protocol notes, classic 6).
import type { Call } from '../call.ts'
import type { DirRef, Entry, FileEntry, FileRef, ItemError, RemoveItem } from '../drive.ts'
import { isSameEntry } from '../entries.ts'
import { isWeiyunError } from '../errors.ts'
import type { WireNames } from './names.ts'

/** What settling needs of the drive around it. */
export interface Surroundings {
  list(dir: DirRef, call: Call): Promise<readonly Entry[]>
  remove(items: readonly RemoveItem[], call: Call): Promise<ItemError[]>
  move(item: RemoveItem, to: DirRef, newName: string, call: Call): Promise<void>
  uploadByHash(
    dir: DirRef,
    name: string,
    content: FileEntry,
    call: Call,
  ): Promise<FileEntry | undefined>
}

/** Looks what a doubtful name became, and mends it when that shows how names have to be sent. */
export async function settleName<T extends Entry>(
  drive: Surroundings,
  names: WireNames,
  dir: DirRef,
  entry: T,
  asked: string,
  call: Call,
): Promise<T> {
  if (!names.isDoubtful(asked)) return entry
  const found = (await drive.list(dir, call)).find((other) => isSameEntry(other, entry))
  if (found === undefined) return entry
  if (!names.learn(asked, found.name)) return { ...entry, name: found.name }
  await drive.move({ dir, entry: found }, dir, asked, call)
  return { ...entry, name: asked }
}

/**
 * A new file that could not get its name because an older version has it: removes that version, then
 * gives the name, so the old bytes go into the recycle bin only after the new ones are complete. When the
 * old version is not what it was, both stay, and the entry tells the name it has.
 */
export async function takePlace(
  drive: Surroundings,
  dir: DirRef,
  name: string,
  entry: FileEntry,
  replaces: FileRef,
  call: Call,
): Promise<FileEntry> {
  const [error] = await drive.remove([{ dir, entry: { ...replaces, kind: 'file' } }], call)
  if (isWeiyunError(error, 'STALE')) return entry
  if (error !== undefined) throw error
  try {
    await drive.move({ dir, entry }, dir, name, call)
  } catch (moveError) {
    if (!isWeiyunError(moveError, 'UNSUPPORTED')) throw moveError
    return copyOver(drive, dir, name, entry, call)
  }
  // A rename may have given it another version.
  const found = (await drive.list(dir, call)).find((other) => isSameEntry(other, entry))
  return found?.kind === 'file' ? found : { ...entry, name }
}

/** A rename for services without one: the content is known by now, so its hashes are enough. */
async function copyOver(
  drive: Surroundings,
  dir: DirRef,
  name: string,
  entry: FileEntry,
  call: Call,
): Promise<FileEntry> {
  const copy = await drive.uploadByHash(dir, name, entry, call)
  if (copy === undefined) return entry
  const [stays, goes] = copy.name === name ? [copy, entry] : [entry, copy]
  await drive.remove([{ dir, entry: goes }], call)
  return stays
}
