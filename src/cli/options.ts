// The one table of options: `--help`, the configuration file, the environment and mount(8)'s `-o`
// all come from it. `cache-size` is --cache-size, WEIYUN_MOUNT_CACHE_SIZE and cache-size = "10G".
import { resolve } from 'node:path'
import { LOCAL_ONLY } from '../vfs/local-only.ts'
import * as dirs from './dirs.ts'
import { type PlainMessage, tr } from './language.ts'
import { parseBoolean, parseCount, parseDurationMs, parseSize, parseUmask } from './units.ts'

export interface OptionSpec<T> {
  readonly flag: string
  /** `X` takes a value, `[X]` may have one; without it the option is a switch. */
  readonly arg?: string
  readonly help: PlainMessage
  /** Throws a RangeError. `previous` is what came before, for options that add up. */
  parse(text: string, previous: T): T
  initial(env: dirs.Env): T
  /** Adds up: arrays in the file, `:` between its values in the environment. */
  readonly list?: true
  /** The default in words, where there is one worth showing. */
  readonly shown?: string
  /** All values there are, for completions. */
  readonly words?: readonly string[]
}

/** Keeps the type of the value while the table is checked. */
function option<T>(spec: OptionSpec<T>): OptionSpec<T> {
  return spec
}

function toggle(flag: string, help: PlainMessage): OptionSpec<boolean> {
  return { flag, help, parse: parseBoolean, initial: () => false }
}

/** One of a few words. */
function choice<const T extends string>(...words: T[]) {
  const parse = (text: string): T => {
    const word = words.find((known) => known === text)
    if (word !== undefined) return word
    throw new RangeError(tr("'{text}' is none of {words}", { text, words: words.join(', ') }))
  }
  return { parse, words }
}

function parsePath(text: string): string {
  if (text === '') throw new RangeError(tr('an empty path'))
  const home = process.env.HOME
  return resolve(home !== undefined && text.startsWith('~/') ? home + text.slice(1) : text)
}

/** Switches for which a bare `--local` stands for the usual place. */
function parseLocal(text: string): string | undefined {
  if (/^(?:false|no)$/i.test(text)) return undefined
  return text === '' || text === 'true' ? `${dirs.dataDir(process.env)}/local` : parsePath(text)
}

function parseUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RangeError(tr("'{text}' is not an http or https URL", { text }))
  }
  if (url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new RangeError(tr('a base URL has no user name, query or fragment'))
  }
  return url.href.replace(/\/$/, '')
}

function parseRoot(text: string): string {
  const parts = text.split('/').filter((part) => part !== '')
  if (parts.includes('..') || parts.includes('.'))
    throw new RangeError(tr("'{text}' has dots in it", { text }))
  return `/${parts.join('/')}`
}

export const OPTIONS = {
  local: option<string | undefined>({
    flag: 'local',
    arg: '[DIR]',
    help: 'start a local stand-in for the service, its data in DIR, and mount that',
    parse: parseLocal,
    initial: () => undefined,
  }),
  session: option<string | undefined>({
    flag: 'session',
    arg: 'FILE',
    help: 'session file, readable only by you',
    parse: parsePath,
    initial: () => undefined,
    shown: '~/.config/weiyun-mount/session.json',
  }),
  dialect: option<'classic' | 'webapp' | undefined>({
    flag: 'dialect',
    arg: 'NAME',
    help: 'classic or webapp',
    ...choice('classic', 'webapp'),
    initial: () => undefined,
    shown: "the session file's",
  }),
  service: option<string | undefined>({
    flag: 'service',
    arg: 'URL',
    help: 'reach every host of the protocol at this base URL',
    parse: parseUrl,
    initial: () => undefined,
  }),
  root: option<string>({
    flag: 'root',
    arg: 'FOLDER',
    help: 'mount this folder of the drive instead of the whole',
    parse: parseRoot,
    initial: () => '/',
  }),
  readOnly: toggle('read-only', 'refuse every change'),
  allowOther: toggle('allow-other', 'let other users of this machine in'),
  desktopRemote: toggle('desktop-remote', 'keep file managers from making thumbnails'),
  uid: option<number>({
    flag: 'uid',
    arg: 'N',
    help: 'owner of files',
    parse: parseCount,
    initial: () => process.getuid?.() ?? 0,
    shown: 'you',
  }),
  gid: option<number>({
    flag: 'gid',
    arg: 'N',
    help: 'group of files',
    parse: parseCount,
    initial: () => process.getgid?.() ?? 0,
    shown: 'yours',
  }),
  umask: option<number>({
    flag: 'umask',
    arg: 'MODE',
    help: 'permission bits that files do not get',
    parse: parseUmask,
    initial: () => 0o022,
    shown: '022',
  }),
  localOnly: option<readonly string[]>({
    flag: 'local-only',
    arg: 'GLOB',
    help: "names that stay on this machine, beside desktop litter (repeatable; '' forgets all)",
    list: true,
    parse: (text, previous) => (text === '' ? [] : [...previous, text]),
    initial: () => LOCAL_ONLY,
  }),
  cacheDir: option<string>({
    flag: 'cache-dir',
    arg: 'DIR',
    help: 'blocks read and files written',
    parse: parsePath,
    initial: dirs.cacheDir,
    shown: '~/.cache/weiyun-mount',
  }),
  stateDir: option<string>({
    flag: 'state-dir',
    arg: 'DIR',
    help: 'what is known of the drive, and the journal',
    parse: parsePath,
    initial: dirs.stateDir,
    shown: '~/.local/state/weiyun-mount',
  }),
  cacheSize: option<number>({
    flag: 'cache-size',
    arg: 'SIZE',
    help: 'hard bound of the cache directory',
    parse: parseSize,
    initial: () => 10 * 1024 ** 3,
    shown: '10G',
  }),
  dirTtlMs: option<number>({
    flag: 'dir-ttl',
    arg: 'TIME',
    help: 'how long a listing is trusted',
    parse: parseDurationMs,
    initial: () => 60_000,
    shown: '60s',
  }),
  writeBackMs: option<number>({
    flag: 'write-back',
    arg: 'TIME',
    help: 'quiet time before a closed file is uploaded; 0: at close',
    parse: parseDurationMs,
    initial: () => 1000,
    shown: '1s',
  }),
  fsync: option<'local' | 'remote'>({
    flag: 'fsync',
    arg: 'WHERE',
    help: 'fsync waits for the local disk or for the remote service',
    ...choice('local', 'remote'),
    initial: () => 'local',
    shown: 'local',
  }),
  drainMs: option<number>({
    flag: 'drain',
    arg: 'TIME',
    help: 'time to finish uploads when unmounting',
    parse: parseDurationMs,
    initial: () => 30_000,
    shown: '30s',
  }),
  timeoutMs: option<number>({
    flag: 'timeout',
    arg: 'TIME',
    help: 'longest wait without progress',
    parse: parseDurationMs,
    initial: () => 15_000,
    shown: '15s',
  }),
  requestRate: option<number | undefined>({
    flag: 'request-rate',
    arg: 'N',
    help: 'listings and commands a second at most; 0: no limit',
    parse: parseCount,
    initial: () => undefined,
    shown: '50; no limit with --service or --local',
  }),
  bwlimitUp: option<number>({
    flag: 'bwlimit-up',
    arg: 'SIZE',
    help: 'bytes a second sent at most',
    parse: parseSize,
    initial: () => 0,
    shown: 'no limit',
  }),
  bwlimitDown: option<number>({
    flag: 'bwlimit-down',
    arg: 'SIZE',
    help: 'bytes a second fetched at most',
    parse: parseSize,
    initial: () => 0,
    shown: 'no limit',
  }),
  logLevel: option<string>({
    flag: 'log-level',
    arg: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent',
    ...choice('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    initial: () => 'info',
    shown: 'info',
  }),
  logFile: option<string | undefined>({
    flag: 'log-file',
    arg: 'FILE',
    help: 'where to log',
    parse: parsePath,
    initial: () => undefined,
    shown: 'stderr with -f',
  }),
} as const

export type OptionKey = keyof typeof OPTIONS

/** The order of `--help`. */
export const OPTION_GROUPS = {
  'What to mount:': ['local', 'session', 'dialect', 'service', 'root'],
  'How it looks:': ['readOnly', 'allowOther', 'desktopRemote', 'uid', 'gid', 'umask', 'localOnly'],
  'Caches and uploads:': [
    'cacheDir',
    'stateDir',
    'cacheSize',
    'dirTtlMs',
    'writeBackMs',
    'fsync',
    'drainMs',
  ],
  'Limits and logs:': [
    'timeoutMs',
    'requestRate',
    'bwlimitUp',
    'bwlimitDown',
    'logLevel',
    'logFile',
  ],
} as const satisfies Partial<Record<PlainMessage, readonly OptionKey[]>>

/** Everything that can be configured, resolved. Sizes in bytes, times in milliseconds. */
export type Config = {
  readonly [K in OptionKey]: (typeof OPTIONS)[K] extends OptionSpec<infer T> ? T : never
}
