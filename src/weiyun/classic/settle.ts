// What happens to a new entry after the service made it under some name: seeing what the name
// became, and getting the one that it should have (protocol notes, classic 6).
import type { Call } from '../call.ts'
import type { DirRef, Entry, FileEntry, FileRef, ItemError, RemoveItem } from '../drive.ts'
import { hasContent, isSameEntry } from '../entries.ts'
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
 * A new file that came out under another name, because the one asked for was taken: gets that name
 * if it is due. From the version to replace it is, which goes into the recycle bin only now, when
 * the new one is complete; but when that version is not what it was, both stay. And it is due from
 * a leftover of our own, the same content left by an upload whose end we never saw. Else the entry
 * tells the name it has.
 */
export async function claimName(
  drive: Surroundings,
  dir: DirRef,
  name: string,
  entry: FileEntry,
  replaces: FileRef | undefined,
  call: Call,
): Promise<FileEntry> {
  if (replaces !== undefined) {
    const error = await removeFile(drive, dir, replaces, call)
    if (isWeiyunError(error, 'STALE')) return entry
    if (error !== undefined) throw error
    try {
      return await giveName(drive, dir, name, entry, call)
    } catch (moveError) {
      if (!isWeiyunError(moveError, 'EXISTS')) throw moveError
    }
  }
  const holder = (await drive.list(dir, call)).find((other) => other.name === name)
  if (holder === undefined || !hasContent(holder, entry)) return entry
  // It got its name before a crash, and goes by the old one only in what we know of that time.
  if (isSameEntry(holder, entry)) return holder
  await removeFile(drive, dir, holder.complete ? entry : holder, call)
  return holder.complete ? holder : giveName(drive, dir, name, entry, call)
}

async function giveName(
  drive: Surroundings,
  dir: DirRef,
  name: string,
  entry: FileEntry,
  call: Call,
): Promise<FileEntry> {
  try {
    await drive.move({ dir, entry }, dir, name, call)
  } catch (error) {
    if (!isWeiyunError(error, 'UNSUPPORTED')) throw error
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
  await removeFile(drive, dir, goes, call)
  return stays
}

async function removeFile(
  drive: Surroundings,
  dir: DirRef,
  file: FileRef,
  call: Call,
): Promise<ItemError> {
  const [error] = await drive.remove([{ dir, entry: { ...file, kind: 'file' } }], call)
  return error
}
