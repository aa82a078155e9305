// Every exit code of the program, named once, and the error that carries one to main.ts.
import type { PlainMessage } from './language.ts'

/** Numbers of sysexits(3) where one fits. Scripts and service managers rely on them. */
export const EXIT = {
  OK: 0,
  FAILURE: 1,
  USAGE: 64,
  NO_INPUT: 66,
  UNAVAILABLE: 69,
  SOFTWARE: 70,
  CANNOT_CREATE: 73,
  TEMPORARY: 75,
  /**
   * Only this: a service manager must not restart on it (systemd: RestartPreventExitStatus=77),
   * because only `weiyun-mount login` helps.
   */
  SESSION: 77,
  CONFIG: 78,
  INTERRUPTED: 130,
} as const

/** The same in words, for `--help` and the man page. */
export const EXIT_MEANINGS = {
  OK: 'done',
  FAILURE: 'it could not be done; the message says why',
  USAGE: 'the command line is wrong',
  NO_INPUT: 'no such mount point or folder, or one that cannot be used',
  UNAVAILABLE: 'the service cannot be reached, or FUSE is missing',
  SOFTWARE: 'a bug',
  CANNOT_CREATE: 'a directory cannot be made or written',
  TEMPORARY: 'in use by another process: try again later',
  SESSION: 'no valid session: only a login helps',
  CONFIG: 'the configuration or the session file is wrong',
  INTERRUPTED: 'ended by a second Ctrl-C',
} as const satisfies Record<keyof typeof EXIT, PlainMessage>

/** A failure that the user can understand: printed as its message alone, without a stack. */
export class CliError extends Error {
  readonly exitCode: number

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}
