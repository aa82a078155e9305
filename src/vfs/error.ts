// Failures that the file system itself finds, by the errno they are.
import type { constants } from 'node:os'

export type Errno = keyof (typeof constants)['errno']

/**
 * `code` is an errno name, like the `code` of Node's own errors, so that one edge translates both.
 */
export class VfsError extends Error {
  readonly code: Errno

  constructor(code: Errno, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'VfsError'
    this.code = code
  }
}

/** The folder that was to be the root of the mount is not on the drive. */
export class NoRoot extends VfsError {
  constructor(root: string) {
    super('ENOENT', `no folder ${root} on the drive`)
    this.name = 'NoRoot'
  }
}

export function isErrno(error: unknown, code: Errno): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === code
}
