// The one door to pino. Modules take a Logger as an argument, so that tests can listen.
import pino from 'pino'

export type Logger = Pick<pino.Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error'> & {
  child(bindings: Record<string, unknown>): Logger
}

export interface LogOptions {
  level: string
  /** Absolute path; without it the log goes to stderr. */
  file?: string
}

export function createLogger({ level, file }: LogOptions): Logger {
  const target = pino.destination(file === undefined ? { fd: 2, sync: false } : { dest: file, sync: false, mkdir: true })
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, target)
}

/** For tests and library users who do not care. */
export const silentLogger: Logger = pino({ level: 'silent' })
