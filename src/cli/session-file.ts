// The session file of a mount: found, read with errors that a user understands, and watched, so
// that `weiyun-mount login` in another terminal revives a running mount.
import { watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Logger } from '../base/log.ts'
import { isWeiyunError, loadSession, type Session, saveSession } from '../weiyun/index.ts'
import { configDir } from './dirs.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import type { Config } from './options.ts'

/** What a running mount does with a session that arrives later. */
type Use = (session: Session) => void

export function sessionPath(config: Config): string {
  return config.session ?? join(configDir(process.env), 'session.json')
}

/** Reads a session file for use with `--dialect`. Rejects with a CliError that says what to do. */
export async function readSession(path: string, dialect: Config['dialect']): Promise<Session> {
  const session = await loadSession(path).catch((error: unknown) => {
    if (isWeiyunError(error, 'NOT_FOUND')) {
      throw new CliError(
        EXIT.SESSION,
        tr('no session at {path}: run `weiyun-mount login`, or try --local without an account', {
          path,
        }),
      )
    }
    throw new CliError(EXIT.CONFIG, (error as Error).message)
  })
  if (dialect !== undefined && dialect !== session.dialect) {
    throw new CliError(
      EXIT.CONFIG,
      tr('{path} is a {found} session, not {dialect}', { path, found: session.dialect, dialect }),
    )
  }
  return session
}

/** The user's number, which names the account's directories. */
export function accountOf(session: Session): string {
  if (session.dialect === 'classic') return session.uin
  // QQ, WeChat, and accounts of the new logins (protocol notes, webapp 3).
  for (const name of ['uin', 'p_uin', 'wx_uid', 'uid']) {
    const [, uin] = new RegExp(`(?:^|; *)${name}=o?0*([^;]+)`).exec(session.cookies) ?? []
    if (uin !== undefined) return uin
  }
  throw new CliError(EXIT.CONFIG, tr('the cookies of the session name no account (uin)'))
}

/** Keeps a running drive and a session file in step, both ways. */
export class SessionFile {
  readonly #path: string
  readonly #log: Logger
  #text: string

  constructor(path: string, session: Session, log: Logger) {
    this.#path = path
    this.#text = JSON.stringify(session)
    this.#log = log
  }

  /** The service gave us other cookies: they are the session now. */
  async save(session: Session): Promise<void> {
    this.#text = JSON.stringify(session)
    try {
      await saveSession(this.#path, session)
    } catch (error) {
      this.#log.warn({ err: error }, 'cannot write the session file')
    }
  }

  /** Calls `use` whenever somebody else puts another session there. */
  watch(use: Use): { close(): void } {
    // The directory, not the file: a new session arrives by rename.
    const name = basename(this.#path)
    const watcher = watch(dirname(this.#path), { persistent: false }, (_event, changed) => {
      if (changed === name) void this.#reload(use)
    })
    watcher.on('error', (error) => this.#log.warn({ err: error }, 'session file is not watched'))
    return watcher
  }

  async #reload(use: Use): Promise<void> {
    try {
      const session = await loadSession(this.#path)
      const text = JSON.stringify(session)
      if (text === this.#text) return
      this.#text = text
      this.#log.info('new session')
      use(session)
    } catch (error) {
      // Half written, or removed for the moment: the next event tells more.
      this.#log.debug({ err: error }, 'session file is not readable')
    }
  }
}
