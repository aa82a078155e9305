// `weiyun-mount doctor`: looks for what keeps a mount from working, and says what helps.
import { access, constants, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openDrive } from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand } from './command.ts'
import { EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { allowsOther, requireFuse } from './fuse-helper.ts'
import type { Config } from './options.ts'
import { accountOf, readSession, sessionPath } from './session-file.ts'
import { formatSize } from './units.ts'

export interface Finding {
  readonly check: string
  readonly level: 'ok' | 'warn' | 'fail'
  readonly message: string
  readonly remedy?: string
}

type Verdict = Omit<Finding, 'check'>

const ok = (message: string): Verdict => ({ level: 'ok', message })
const warn = (message: string, remedy: string): Verdict => ({ level: 'warn', message, remedy })
const fail = (message: string, remedy: string): Verdict => ({ level: 'fail', message, remedy })

/** Less than this and the cache directory is full before it is of use. */
const FREE_BYTES_MIN = 1024 ** 3

/** Each looks at one thing. One that throws has failed, with the error's own message. */
const CHECKS: Record<string, (config: Config) => Promise<Verdict>> = {
  async node() {
    const [major = 0] = process.versions.node.split('.').map(Number)
    if (major >= 24) return ok(`Node ${process.versions.node}`)
    return fail(`Node ${process.versions.node} is too old`, 'install Node 24 or newer')
  },

  async fuse() {
    await requireFuse()
    return ok('/dev/fuse and fusermount3 are there')
  },

  async 'allow-other'(config) {
    if (await allowsOther()) return ok('mounts can be opened to other users')
    const message = '/etc/fuse.conf has no user_allow_other'
    if (!config.allowOther) return ok(`${message}; only --allow-other needs it`)
    return fail(message, 'add the line user_allow_other to /etc/fuse.conf')
  },

  async session(config) {
    const path = sessionPath(config)
    const session = await readSession(path, config.dialect)
    return ok(`${path} (${session.dialect})`)
  },

  async service(config) {
    const session = await readSession(sessionPath(config), config.dialect).catch(() => undefined)
    if (session === undefined) return warn('not asked', 'it needs a session')
    const { service, timeoutMs } = config
    const where = service === undefined ? {} : { service }
    const drive = openDrive({ session, ...where, timeoutMs })
    try {
      const { nickname, quota } = await drive.account()
      const space = `${formatSize(quota.used)} of ${formatSize(quota.total)} used`
      return ok(`${accountOf(session)} ${nickname}, ${space}`)
    } finally {
      await drive.close()
    }
  },

  async cache(config) {
    return checkDir(config.cacheDir, 'choose another with --cache-dir')
  },

  async state(config) {
    return checkDir(config.stateDir, 'choose another with --state-dir')
  },

  async space(config) {
    const { bavail, bsize } = await statfs(await nearest(config.cacheDir))
    const free = bavail * bsize
    const message = `${formatSize(free)} free for a cache of ${formatSize(config.cacheSize)}`
    if (free < FREE_BYTES_MIN) return warn(message, 'make room, or move the cache (--cache-dir)')
    if (free < config.cacheSize) return warn(message, 'set a smaller --cache-size')
    return ok(message)
  },
}

/**
 * A doctor changes nothing: a directory that is not there yet is judged by the one it will be in.
 */
async function nearest(path: string): Promise<string> {
  const there = await access(path).then(
    () => true,
    (error) => error.code !== 'ENOENT',
  )
  return there ? path : nearest(dirname(path))
}

async function checkDir(path: string, remedy: string): Promise<Verdict> {
  const dir = await nearest(path)
  try {
    if (!(await stat(dir)).isDirectory()) return fail(`${dir} is not a directory`, remedy)
    await access(dir, constants.W_OK)
    return ok(dir === path ? `${path} is writable` : `${path} can be made`)
  } catch (error) {
    return fail((error as Error).message, remedy)
  }
}

async function examine(config: Config): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [check, look] of Object.entries(CHECKS)) {
    const verdict = await look(config).catch((error: unknown): Verdict => {
      return { level: 'fail', message: explain(error).message }
    })
    findings.push({ check, ...verdict })
  }
  return findings
}

export function declare() {
  const command = declareCommand('doctor')
    .option('--json', 'one JSON object: {ok, findings: [{check, level, message, remedy}]}')
    .addHelpText('after', '\nExit code 1 when something has failed; warnings alone are 0.')
  addOptions(command, ['session', 'dialect', 'service', 'allowOther', 'cacheDir', 'stateDir'])
  addOptions(command, ['cacheSize', 'timeoutMs'])
  return command
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare()
  command.parse(argv, { from: 'user' })
  const config = await configFor(command)
  const findings = await examine(config)
  const healthy = findings.every(({ level }) => level !== 'fail')
  if (command.opts<{ json?: boolean }>().json)
    console.log(JSON.stringify({ ok: healthy, findings }))
  else for (const finding of findings) console.log(inWords(finding))
  return healthy ? EXIT.OK : EXIT.FAILURE
}

function inWords({ check, level, message, remedy }: Finding): string {
  const line = `${level.padEnd(4)}  ${check.padEnd(11)}  ${message}`
  return remedy === undefined ? line : `${line}\n${' '.repeat(19)}→ ${remedy}`
}
