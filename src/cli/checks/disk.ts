// Checks of the directories on this disk: whether they can be used, and whether what lies in them
// is sound. They are looked at without a lock, so a running mount is neither disturbed nor
// believed to be damage.
import { access, constants, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspectCacheDir } from '../../cache/cachedir.ts'
import { inspectState } from '../../cache/state.ts'
import { COMPILED } from '../compile-cache.ts'
import { runtimeDir } from '../dirs.ts'
import { tr } from '../language.ts'
import { formatFiles, formatSize } from '../units.ts'
import { type Check, fail, ok, type Verdict, warn } from './finding.ts'

/** Less than this and the cache directory is full before it is of use. */
const FREE_BYTES_MIN = 1024 ** 3

export const cache: Check = ({ config, machine }) =>
  usable(config.cacheDir, tr('choose another with --cache-dir'), machine.uid)

export const state: Check = ({ config, machine }) =>
  usable(config.stateDir, tr('choose another with --state-dir'), machine.uid)

export const runtime: Check = ({ env, machine }) =>
  usable(runtimeDir(env), tr('set XDG_RUNTIME_DIR to a directory of your own'), machine.uid)

async function usable(path: string, remedy: string, uid: number): Promise<Verdict> {
  const dir = await nearest(path)
  const stats = await stat(dir)
  if (!stats.isDirectory()) return fail(tr('{path} is not a directory', { path: dir }), remedy)
  if (dir === path && stats.uid !== uid) {
    return fail(tr('{path} belongs to another user', { path }), remedy)
  }
  try {
    await access(dir, constants.W_OK | constants.X_OK)
  } catch {
    return fail(tr('{path} is not writable', { path: dir }), remedy)
  }
  const isOpen = dir === path && (stats.mode & 0o077) !== 0
  if (isOpen) return warn(tr('others can look into {path}', { path }), `chmod 700 ${path}`)
  return ok(dir === path ? tr('{path} is writable', { path }) : tr('{path} can be made', { path }))
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

export const space: Check = async ({ config, machine }) => {
  const { bavail, bsize } = await machine.statfs(await nearest(config.cacheDir))
  const free = bavail * bsize
  const sizes = { free: formatSize(free), size: formatSize(config.cacheSize) }
  const message = tr('{free} free for a cache of {size}', sizes)
  if (free < FREE_BYTES_MIN) {
    return fail(message, tr('make room, or move the cache with --cache-dir'))
  }
  return free < config.cacheSize ? warn(message, tr('set a smaller --cache-size')) : ok(message)
}

/** What accounts left on this disk. */
export const leftovers: Check = async (subject) => {
  const verdicts: Verdict[] = []
  const { cacheDir, stateDir } = subject.config
  for (const dir of await accountDirs(cacheDir)) verdicts.push(...(await cacheVerdicts(dir)))
  for (const dir of await accountDirs(stateDir))
    verdicts.push(...stateVerdicts(join(dir, 'state.db')))
  return verdicts.length > 0 ? verdicts : ok(tr('nothing is left over'))
}

async function accountDirs(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
  const dirs = entries.filter((entry) => entry.isDirectory() && entry.name !== COMPILED)
  return dirs.map(({ name }) => join(parent, name))
}

async function cacheVerdicts(dir: string): Promise<Verdict[]> {
  const found = await inspectCacheDir(dir)
  const verdicts: Verdict[] = []
  if (found.foreign.length > 0) {
    const names = found.foreign.slice(0, 3).join(', ')
    verdicts.push(
      fail(
        tr('{path} has other files in it: {names}', { path: dir, names }),
        tr('move them away, or choose an empty directory with --cache-dir'),
      ),
    )
  }
  if (found.tooNew) {
    verdicts.push(
      fail(
        tr('{path} was written by a newer weiyun-mount', { path: dir }),
        tr('use that version, or other directories'),
      ),
    )
  }
  verdicts.push(...(await lockVerdicts(dir, found.lockedBy)))
  if (found.recovered.files > 0) {
    const { files, bytes } = found.recovered
    const path = join(dir, 'staging', 'recovered')
    verdicts.push(
      warn(
        tr('{what} that no program was promised lie in {path}', {
          what: formatFiles(files, bytes),
          path,
        }),
        tr('look at them, then keep or delete them'),
      ),
    )
  }
  if (found.staged.files > 0 && found.lockedBy === undefined) {
    const { files, bytes } = found.staged
    verdicts.push(
      warn(
        tr('{what} wait in {path} to be uploaded, and nothing is mounted', {
          what: formatFiles(files, bytes),
          path: dir,
        }),
        tr('mount the drive again: they go on by themselves'),
      ),
    )
  }
  return verdicts
}

async function lockVerdicts(dir: string, pid: number | undefined): Promise<Verdict[]> {
  if (pid === undefined) return []
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  const who = `${pid} ${name.trim()}`.trim()
  return [ok(tr('{path} is in use by process {who}', { path: dir, who }))]
}

function stateVerdicts(path: string): Verdict[] {
  switch (inspectState(pathToFileURL(path))) {
    case 'damaged':
      return [
        fail(
          tr('{path} is damaged', { path }),
          tr('the next mount sets it aside and rebuilds it; unsent files are not lost'),
        ),
      ]
    case 'too-new':
      return [
        fail(
          tr('{path} was written by a newer weiyun-mount', { path }),
          tr('use that version, or other directories'),
        ),
      ]
    default:
      return []
  }
}
