// Every way in which Weiyun can fail, named once. `retcode.ts` files turn the service's numbers
// into these codes; `fuse/errno.ts` turns the codes into what the kernel hears. Nobody else knows
// numbers.

/**
 * One row per way to fail: the errno a program sees, and whether the same request may succeed
 * later. `retry: true` is worth repeating with back-off; `false` needs something else to change
 * first.
 */
export const FAILURES = {
  NOT_FOUND: { errno: 'ENOENT', retry: false },
  EXISTS: { errno: 'EEXIST', retry: false },
  NOT_EMPTY: { errno: 'ENOTEMPTY', retry: false },
  /** The entry changed since we last saw it: list again before doing anything to it. */
  STALE: { errno: 'ESTALE', retry: false },
  SESSION_EXPIRED: { errno: 'EACCES', retry: false }, // the CLI adds: run `weiyun-mount login`
  FORBIDDEN: { errno: 'EPERM', retry: false },
  BLOCKED_CONTENT: { errno: 'EPERM', retry: false },
  NO_SPACE: { errno: 'ENOSPC', retry: false },
  QUOTA: { errno: 'EDQUOT', retry: false },
  DIR_FULL: { errno: 'ENOSPC', retry: false },
  TOO_LARGE: { errno: 'EFBIG', retry: false },
  NAME_TOO_LONG: { errno: 'ENAMETOOLONG', retry: false },
  NAME_INVALID: { errno: 'EINVAL', retry: false },
  INVALID: { errno: 'EINVAL', retry: false },
  UNSUPPORTED: { errno: 'ENOTSUP', retry: false },
  BATCH_TOO_LARGE: { errno: 'E2BIG', retry: false },
  /** The transfer has to begin anew (keys expired, hashes refused); no byte is lost. */
  RESTART_TRANSFER: { errno: 'EIO', retry: true },
  /** What arrived is not what was promised: short body, wrong range, wrong hash. */
  CORRUPT: { errno: 'EIO', retry: true },
  /** The reply cannot be understood: HTML for JSON, a missing field. */
  BAD_REPLY: { errno: 'EIO', retry: true },
  THROTTLED: { errno: 'EIO', retry: true },
  SERVER: { errno: 'EIO', retry: true },
  /** The service says no for a reason that asking again does not change. */
  REFUSED: { errno: 'EIO', retry: false },
  UNREACHABLE: { errno: 'EIO', retry: true },
  TIMEOUT: { errno: 'ETIMEDOUT', retry: true },
  ABORTED: { errno: 'EINTR', retry: false },
} as const satisfies Record<string, { errno: string; retry: boolean }>

export type ErrorCode = keyof typeof FAILURES

export interface WeiyunErrorOptions {
  cause?: unknown
  /** The service's own number, for the log. Nobody branches on it. */
  ret?: number
}

/** The one error class of the client library. `message` never holds a secret. */
export class WeiyunError extends Error {
  readonly code: ErrorCode
  readonly ret: number | undefined

  constructor(code: ErrorCode, message: string, { cause, ret }: WeiyunErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'WeiyunError'
    this.code = code
    this.ret = ret
  }

  get retryable(): boolean {
    return FAILURES[this.code].retry
  }
}

/** True for a WeiyunError, with one of the codes if any are given. */
export function isWeiyunError(error: unknown, ...codes: ErrorCode[]): error is WeiyunError {
  return error instanceof WeiyunError && (codes.length === 0 || codes.includes(error.code))
}
