// Entries of listings: reading them, and telling them apart, for both dialects.
import type { Logger } from '../base/log.ts'
import type { Entry, FileEntry } from './drive.ts'
import { isWeiyunError, type WeiyunError } from './errors.ts'
import type { Fields } from './fields.ts'

export interface ReadItems<T> {
  /** In the order of the items; `undefined` for one that is broken. */
  readonly values: ReadonlyArray<T | undefined>
  readonly broken: readonly WeiyunError[]
}

/**
 * Reads a list item by item: one that is broken does not hide its directory. BAD_REPLY when there
 * is none that can be read: that is another protocol, and would show a full directory as empty.
 */
export function readItems<T>(items: readonly Fields[], read: (item: Fields) => T): ReadItems<T> {
  const broken: WeiyunError[] = []
  const values = items.map((item) => {
    try {
      return read(item)
    } catch (error) {
      if (!isWeiyunError(error, 'BAD_REPLY', 'NAME_INVALID')) throw error
      broken.push(error)
      return undefined
    }
  })
  const unread = broken.find(({ code }) => code === 'BAD_REPLY')
  if (unread !== undefined && broken.length === items.length) throw unread
  return { values, broken }
}

/** Says that there is more than is shown, without naming anything. */
export function logBroken(log: Logger, broken: readonly WeiyunError[]): void {
  const [first] = broken
  if (first === undefined) return
  const fields = { count: broken.length, failed: first.message }
  log.warn(fields, 'entries of a directory cannot be read and are left out')
}

/** Whether `entry` is the complete content asked about, or the beginning of it. */
export function hasContent(
  entry: Entry,
  content: { size: number; sha1: string },
): entry is FileEntry {
  return entry.kind === 'file' && entry.size === content.size && entry.sha1 === content.sha1
}

/** The id of a file, or the key of a directory. */
export function idOf(entry: EntryId): string {
  return entry.kind === 'dir' ? entry.key : entry.id
}

/** Whether both are the same file or directory, whatever their names. */
export function isSameEntry(a: EntryId, b: EntryId): boolean {
  return a.kind === b.kind && idOf(a) === idOf(b)
}

type EntryId =
  | { readonly kind: 'dir'; readonly key: string }
  | { readonly kind: 'file'; readonly id: string }

/** How far the service's clock may be behind ours. */
export const CLOCK_SKEW_MS = 5 * 60_000

/**
 * Whether an entry with the content of an upload is one that the upload made: by its name, or by
 * the name that a clash makes of it if it is not older than the upload. Somebody's copy of last
 * year stays out of this.
 */
export function isMadeFor(
  made: FileEntry,
  { name, sinceMs }: { readonly name: string; readonly sinceMs: number },
): boolean {
  if (made.name === name) return true
  return isRenamed(name, made.name) && made.ctimeMs >= sinceMs - CLOCK_SKEW_MS
}

/**
 * Whether an entry is what a form that was cut off left behind: it was announced without hashes
 * (classic 6b), so that name, size and time have to do.
 */
export function isCutOffForm(
  entry: FileEntry,
  {
    name,
    size,
    sinceMs,
  }: { readonly name: string; readonly size: number; readonly sinceMs: number },
): boolean {
  if (entry.complete || entry.sha1 !== '' || entry.size !== size) return false
  const isNamedSo = entry.name === name || isRenamed(name, entry.name)
  return isNamedSo && entry.ctimeMs >= sinceMs - CLOCK_SKEW_MS
}

/**
 * Whether `found` is what a clash makes of `asked`: `Amazon.pdf`, `Amazon2015-1-2 20.30.3.pdf`
 * (classic 6).
 */
export function isRenamed(asked: string, found: string): boolean {
  const dot = asked.lastIndexOf('.')
  const [stem, extension] = dot > 0 ? [asked.slice(0, dot), asked.slice(dot)] : [asked, '']
  if (!found.startsWith(stem) || !found.endsWith(extension)) return false
  const added = found.slice(stem.length, found.length - extension.length)
  return /^\D{0,2}\d{4}-\d{1,2}-\d{1,2} \d{1,2}\.\d{1,2}\.\d{1,2}\D{0,2}$/.test(added)
}
