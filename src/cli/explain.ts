// Any failure → one message and one exit code.
import { CliError, EXIT } from './exit.ts'

export interface Explained {
  readonly message: string
  readonly exitCode: number
}

/** Errors of the parts below, by code: which exit code, and what helps. */
const BY_CODE: Record<string, { exitCode: number; remedy?: string }> = {
  SESSION_EXPIRED: {
    exitCode: EXIT.SESSION,
    remedy: 'the session has expired: run `weiyun-mount login`',
  },
  UNREACHABLE: { exitCode: EXIT.UNAVAILABLE },
  TIMEOUT: { exitCode: EXIT.UNAVAILABLE },
  SERVER: { exitCode: EXIT.UNAVAILABLE },
  THROTTLED: { exitCode: EXIT.TEMPORARY },
  BAD_REPLY: { exitCode: EXIT.UNAVAILABLE },
  // Of the cache directory.
  IN_USE: { exitCode: EXIT.TEMPORARY },
  TOO_NEW: { exitCode: EXIT.CONFIG },
  UNSAFE: { exitCode: EXIT.CANNOT_CREATE },
}

export function explain(error: unknown): Explained {
  if (error instanceof CliError) return { message: error.message, exitCode: error.exitCode }
  if (!(error instanceof Error)) return bug(String(error))
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || code.startsWith('ERR_')) return bug(error.stack ?? error.message)
  const { exitCode = EXIT.FAILURE, remedy = error.message } = BY_CODE[code] ?? {}
  return { message: remedy, exitCode }
}

function bug(text: string): Explained {
  return { message: `this is a bug: ${text}`, exitCode: EXIT.SOFTWARE }
}
