// Every exit code of the program, named once, and the error that carries one to main.ts.

/** Numbers of sysexits(3) where one fits. Scripts and service managers rely on them. */
export const EXIT = {
  OK: 0,
  /** What was asked for could not be done; the message says why. */
  FAILURE: 1,
  /** The command line is wrong. */
  USAGE: 64,
  /** A mount point, path or running mount that is named does not exist or cannot be used. */
  NO_INPUT: 66,
  /** Something this program needs is missing: FUSE, the service, the local service. */
  UNAVAILABLE: 69,
  /** A bug. */
  SOFTWARE: 70,
  /** A directory that the program needs cannot be made or written. */
  CANNOT_CREATE: 73,
  /** Held by another process, or not finished yet: trying again later can help. */
  TEMPORARY: 75,
  /**
   * No session that the service takes. Only this: a service manager must not restart on it
   * (systemd: RestartPreventExitStatus=77), because only `weiyun-mount login` helps.
   */
  SESSION: 77,
  /** The configuration file, the environment or the session file is wrong. */
  CONFIG: 78,
  /** A second Ctrl-C: ended at once. */
  INTERRUPTED: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A failure that the user can understand: printed as its message alone, without a stack. */
export class CliError extends Error {
  readonly exitCode: number

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}
