// The data server's numbers, which only its frames and its form use (protocol notes, errors 8).
import type { ErrorCode } from '../errors.ts'

/** The directory was deleted while the file was on its way into it [I: the sign]. */
const DIR_DELETED: ReadonlySet<number> = new Set([7005, -7005])

/** The bytes are not those that were announced. */
const FILE_CHANGED: ReadonlySet<number> = new Set([38020, 92260005])

/**
 * What a non-zero result of the data server means. The table has hardly a text in it, and its
 * advice is the same for all others: try a few times, then announce the file again.
 */
export function dataErrorCodeOf(ret: number): ErrorCode {
  if (DIR_DELETED.has(ret)) return 'NOT_FOUND'
  return FILE_CHANGED.has(ret) ? 'RESTART_TRANSFER' : 'SERVER'
}
