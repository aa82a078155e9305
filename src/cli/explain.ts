// Any failure → words in the user's language, what helps, and one exit code.
import { CliError, EXIT } from './exit.ts'
import { type PlainMessage, tr } from './language.ts'

export interface Explained {
  readonly message: string
  readonly exitCode: number
}

interface Failure {
  readonly exitCode?: number
  /** The failure in words; without it the error speaks for itself. */
  readonly says?: PlainMessage
  readonly remedy?: PlainMessage
}

/** Errors of the parts below, by code. What is not here speaks for itself. */
const BY_CODE: Readonly<Record<string, Failure>> = {
  SESSION_EXPIRED: {
    exitCode: EXIT.SESSION,
    says: 'the session has expired',
    remedy: 'run `weiyun-mount login`',
  },
  UNREACHABLE: {
    exitCode: EXIT.UNAVAILABLE,
    says: 'the service cannot be reached',
    remedy: 'check the network; `weiyun-mount doctor` says more',
  },
  TIMEOUT: {
    exitCode: EXIT.UNAVAILABLE,
    says: 'the service does not answer in time',
    remedy: 'check the network; `weiyun-mount doctor` says more',
  },
  SERVER: {
    exitCode: EXIT.UNAVAILABLE,
    says: 'the service has a problem of its own',
    remedy: 'wait; it is tried again by itself',
  },
  BAD_REPLY: {
    exitCode: EXIT.UNAVAILABLE,
    says: 'the answer cannot be understood',
    remedy: 'a proxy or a login page may be in between; `weiyun-mount doctor` says more',
  },
  THROTTLED: {
    exitCode: EXIT.TEMPORARY,
    says: 'the service asks us to slow down',
    remedy: 'wait some minutes; a lower --request-rate avoids it',
  },
  QUOTA: {
    says: 'the drive is full',
    remedy: 'make room on the drive; its recycle bin counts too',
  },
  NO_SPACE: {
    says: 'the drive is full',
    remedy: 'make room on the drive; its recycle bin counts too',
  },
  DIR_FULL: { says: 'the folder is full', remedy: 'move some of its files to another folder' },
  TOO_LARGE: {
    says: 'larger than any file the account may hold',
    remedy: 'split the file, or store it elsewhere',
  },
  NAME_INVALID: { says: 'the service refuses this name', remedy: 'rename it' },
  NAME_TOO_LONG: { says: 'the name is too long for the service', remedy: 'give it a shorter name' },
  BLOCKED_CONTENT: {
    says: 'the service refuses this content',
    remedy: 'keep it elsewhere; it stays readable here',
  },
  FORBIDDEN: { says: 'the service does not allow it', remedy: 'look at it on the web site' },
  STALE: { says: 'it was changed on the service meanwhile', remedy: 'open it again' },
  // Of the directories on this machine.
  IN_USE: { exitCode: EXIT.TEMPORARY },
  TOO_NEW: { exitCode: EXIT.CONFIG, remedy: 'use that version, or other directories' },
  UNSAFE: { exitCode: EXIT.CANNOT_CREATE },
}

/** What helps against a failure, by the name of its code; `undefined` when we do not know. */
export function remedyFor(code: string | undefined): string | undefined {
  const remedy = code === undefined ? undefined : BY_CODE[code]?.remedy
  return remedy && tr(remedy)
}

/** A failure in the user's language, by its code; `fallback` is what it says itself. */
export function reasonFor(code: string | undefined, fallback: string): string {
  const says = code === undefined ? undefined : BY_CODE[code]?.says
  return says === undefined ? fallback : tr(says)
}

/** A failure in the user's language, with what helps apart. */
export function describeFailure(error: unknown): Explained & { readonly remedy?: string } {
  if (error instanceof CliError) return { message: error.message, exitCode: error.exitCode }
  if (!(error instanceof Error)) return bug(String(error))
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || code.startsWith('ERR_')) return bug(error.stack ?? error.message)
  const { exitCode = EXIT.FAILURE, says, remedy } = BY_CODE[code] ?? {}
  // Of an expired session there is nothing to add; of a service that is silent, which one.
  const detail = code === 'SESSION_EXPIRED' ? '' : ` (${error.message})`
  const message = says === undefined ? error.message : tr(says) + detail
  return { message, exitCode, ...(remedy !== undefined && { remedy: tr(remedy) }) }
}

export function explain(error: unknown): Explained {
  const { message, remedy, exitCode } = describeFailure(error)
  return { message: remedy === undefined ? message : `${message}: ${remedy}`, exitCode }
}

function bug(text: string): Explained {
  return { message: tr('this is a bug: {text}', { text }), exitCode: EXIT.SOFTWARE }
}
