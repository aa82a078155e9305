// Second entries of one upload: a service that gets a request twice makes two files of it, and no
// reply tells of the other one.
import { LRUCache } from 'lru-cache'
import { CLOCK_SKEW_MS, type Entry, type FileEntry, isMadeFor } from '../weiyun/index.ts'
import type { DirInode, UploadAttempt } from './inode.ts'
import { type Content, isContent } from './remote.ts'

/** Entries of one upload are made within this time. */
const TWICE_MS = 2_000
/** Uploads of late that are remembered. */
const MADE_MAX = 1_000

export class Twins {
  readonly #made = new LRUCache<string, { attempt: UploadAttempt; entry: FileEntry }>({
    max: MADE_MAX,
  })

  /** An upload has ended, on `entry`. */
  note(attempt: UploadAttempt, entry: FileEntry): void {
    this.#made.set(keyOf(attempt.parent, attempt), { attempt, entry })
  }

  /** Whether an entry that belongs to no file here is the second one of an upload. */
  has(dir: DirInode, entry: Entry): entry is FileEntry {
    if (entry.kind !== 'file' || !entry.complete) return false
    const made = this.#made.get(keyOf(dir.ino, entry))
    if (made === undefined || made.entry.id === entry.id) return false
    return isOf(made.attempt, entry) && Math.abs(entry.ctimeMs - made.entry.ctimeMs) <= TWICE_MS
  }
}

/** An entry that an upload made: its bytes, its name or what a clash makes of that, not older. */
export function isOf(attempt: UploadAttempt, entry: FileEntry): boolean {
  const isNew = entry.ctimeMs > attempt.sinceMs - CLOCK_SKEW_MS
  return isContent(entry, attempt) && isMadeFor(entry, attempt) && isNew
}

function keyOf(dir: number, { sha1, size }: Content): string {
  return `${dir} ${sha1} ${size}`
}
