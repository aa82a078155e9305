// The one door to pino. Modules take a Logger as an argument, so that tests can listen. A line is
// JSON, for files and service managers, or on a terminal text for people. No secret may be logged
// at any level: whoever logs passes addresses through `loggedUrl`, and never a session.
import pino from 'pino'

type Methods = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'

export type Logger = Pick<pino.Logger, Methods> & {
  child(bindings: Record<string, unknown>): Logger
}

export interface LogOptions {
  level: string
  /** Absolute path, readable only by its owner; without it the log goes to stderr. */
  file?: string
  /** Whether somebody reads stderr on a terminal. */
  terminal?: boolean
}

export async function createLogger({ level, ...where }: LogOptions): Promise<Logger> {
  const options = {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  }
  const logger: Logger = pino(options, await destination(where))
  return logger
}

async function destination({
  file,
  terminal = false,
}: Omit<LogOptions, 'level'>): Promise<pino.DestinationStream> {
  if (file !== undefined) {
    return pino.destination({ dest: file, sync: false, mkdir: true, mode: 0o600 })
  }
  if (!terminal) return pino.destination({ fd: 2, sync: false })
  // Only who looks at it pays for the formatter.
  const { default: pretty } = await import('pino-pretty')
  const words = { translateTime: 'SYS:HH:MM:ss', ignore: 'pid', singleLine: true, destination: 2 }
  return pretty({ ...words, colorize: process.env.NO_COLOR === undefined })
}

/** For tests and library users who do not care. */
export const silentLogger: Logger = pino({ level: 'silent' })
