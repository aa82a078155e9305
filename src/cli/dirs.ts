// Where the program keeps things: the XDG base directories, one subdirectory for each account.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

export type Env = Readonly<Record<string, string | undefined>>

const NAME = 'weiyun-mount'

function base(env: Env, variable: string, ...fallback: string[]): string {
  const value = env[variable]
  // A relative path in an XDG variable is to be ignored, says the specification.
  return value !== undefined && isAbsolute(value) ? value : join(env.HOME || homedir(), ...fallback)
}

export const configDir = (env: Env): string => join(base(env, 'XDG_CONFIG_HOME', '.config'), NAME)
export const dataDir = (env: Env): string => join(base(env, 'XDG_DATA_HOME', '.local/share'), NAME)
export const stateDir = (env: Env): string =>
  join(base(env, 'XDG_STATE_HOME', '.local/state'), NAME)
export const cacheDir = (env: Env): string => join(base(env, 'XDG_CACHE_HOME', '.cache'), NAME)

/** For control sockets: gone at logout where the system provides such a place. */
export function runtimeDir(env: Env): string {
  const given = env.XDG_RUNTIME_DIR
  if (given !== undefined && isAbsolute(given)) return join(given, NAME)
  return join(tmpdir(), `${NAME}-${process.getuid?.()}`)
}

export interface Place {
  readonly service?: string | undefined
  readonly local?: string | undefined
  /** The folder of the drive that is mounted, from a slash on. */
  readonly root?: string
}

/**
 * Name of a subdirectory of state and cache: one for each account, and for each folder of it that
 * is mounted, because paths in there count from that folder. The port of a service is left out: a
 * service that comes back on another port is the same one, with uploads waiting for it. A local
 * service is known by its data directory instead, for it has a new port each time.
 */
export function accountDirName(uin: string, { service, local, root = '/' }: Place): string {
  const account = uin.replace(/[^\w.-]/g, '_')
  const below = root === '/' ? '' : `+${shortHash(root)}`
  if (local !== undefined) return `${account}@local-${shortHash(local)}${below}`
  return `${account}${service === undefined ? '' : `@${new URL(service).hostname}`}${below}`
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** Makes a directory for this user only (0700), and refuses one that somebody else planted. */
export async function makePrivateDir(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    const stats = await lstat(path)
    if (!stats.isDirectory() || stats.uid !== process.getuid?.()) {
      throw new Error(tr('it must be a directory that belongs to you'))
    }
    if ((stats.mode & 0o077) !== 0) await chmod(path, 0o700)
  } catch (error) {
    throw new CliError(
      EXIT.CANNOT_CREATE,
      tr('cannot use {path}: {why}', { path, why: (error as Error).message }),
    )
  }
}
