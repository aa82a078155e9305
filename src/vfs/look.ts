// Looks at directories of the service on behalf of write-back.
import {
  type CallOptions,
  type DirRef,
  type Drive,
  type Entry,
  isWeiyunError,
  WeiyunError,
} from '../weiyun/index.ts'
import { VfsError } from './error.ts'
import type { DirInode, Inode } from './inode.ts'
import type { Listings } from './listing.ts'

/** How much later than its connection's end a request may still take effect. */
export const LATE_MS = 500

export class Look {
  readonly #listings: Listings
  readonly #drive: Drive
  readonly #background: CallOptions

  /** `background`: how commands are given that nobody waits for. */
  constructor(listings: Listings, drive: Drive, background: CallOptions) {
    this.#listings = listings
    this.#drive = drive
    this.#background = background
  }

  /**
   * Keys for commands on what lies in `dir`. Throws UNREACHABLE while nothing is known of the
   * drive; a directory that is not there, for now, is the trouble of one entry.
   */
  refOf(dir: DirInode): DirRef {
    const ref = this.#listings.ref(dir)
    if (ref !== undefined) return ref
    if (this.#listings.rootRef === undefined)
      throw new WeiyunError('UNREACHABLE', 'the drive was never reached')
    throw new VfsError('EBUSY', 'the directory is not on the service yet')
  }

  /**
   * What the service has in `dir`, while the tree stays as it is. Empty when the directory is gone
   * from the service, and not only from the place where we believe it.
   */
  async entriesOf(dir: DirInode): Promise<readonly Entry[]> {
    const ref = this.#listings.ref(dir)
    if (ref === undefined) return []
    try {
      const listing = await this.#drive.list(ref, this.#background)
      return listing === 'unchanged' ? [] : listing.entries
    } catch (error) {
      if (!isWeiyunError(error, 'NOT_FOUND')) throw error
      await this.#listings.renew(dir, 'background').catch(() => {})
      if (this.#listings.ref(dir) !== undefined) throw error
      return []
    }
  }

  /** Lists `dir` anew on behalf of `inode`, which the listing tells of although it is busy. */
  async around(inode: Inode, dir: DirInode): Promise<void> {
    inode.asksListing = true
    try {
      await this.#listings.renew(dir, 'background')
    } finally {
      inode.asksListing = false
    }
  }
}
