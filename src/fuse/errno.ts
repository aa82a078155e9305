// Any failure → one negative errno, the only thing that the kernel hears.
import { constants } from 'node:os'
import type { Logger } from '../base/log.ts'
import { FAILURES, isWeiyunError } from '../weiyun/index.ts'

/** What is unknown becomes EIO and an error in the log: it is a bug until proven otherwise. */
export function toErrno(error: unknown, operation: string, log: Logger): number {
  const name = errnoName(error)
  const number =
    name === undefined ? undefined : constants.errno[name as keyof typeof constants.errno]
  if (number === undefined) {
    log.error({ err: error, operation }, 'a system call failed in an unknown way')
    return -constants.errno.EIO
  }
  // The kernel answers a stale open by asking again, and no program hears of it.
  const isNews = name === 'ESTALE' && operation === 'open'
  if (UNUSUAL.has(name as string) && !isNews)
    log.warn({ err: error, operation }, 'a system call failed')
  return -number
}

/** Failures that a user will ask about, and a program did not ask for. */
const UNUSUAL = new Set(['EIO', 'ETIMEDOUT', 'ESTALE', 'ENOSPC', 'EACCES'])

function errnoName(error: unknown): string | undefined {
  if (isWeiyunError(error)) return FAILURES[error.code].errno
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' && code in constants.errno ? code : undefined
}
