// Telling entries of listings apart, for both dialects.
import type { Entry, FileEntry } from './drive.ts'

/** Whether `entry` is the complete content asked about, or the beginning of it. */
export function hasContent(
  entry: Entry,
  content: { size: number; sha1: string },
): entry is FileEntry {
  return entry.kind === 'file' && entry.size === content.size && entry.sha1 === content.sha1
}

/** Whether both are the same file or directory, whatever their names. */
export function isSameEntry(a: EntryId, b: EntryId): boolean {
  if (a.kind === 'file') return b.kind === 'file' && a.id === b.id
  return b.kind === 'dir' && a.key === b.key
}

type EntryId =
  | { readonly kind: 'dir'; readonly key: string }
  | { readonly kind: 'file'; readonly id: string }
