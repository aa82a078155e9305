// The data server's numbers, which only its frames and its form use (protocol notes, errors 8).
import type { ErrorCode } from '../errors.ts'

/** The directory was deleted while the file was on its way into it [I: the sign]. */
const DIR_DELETED: ReadonlySet<number> = new Set([7005, -7005])

/**
 * What a non-zero result of the data server means. The table has hardly a text in it, and its advice is
 * the same for all: the keys may have expired, so announce the file again, a few times.
 */
export function dataErrorCodeOf(ret: number): ErrorCode {
  return DIR_DELETED.has(ret) ? 'NOT_FOUND' : 'RESTART_TRANSFER'
}
