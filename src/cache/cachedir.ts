// The cache directory: who may use it, what lies where, and which version of the layout it has.
// Nothing here, and nothing that runs at start, deletes a byte that might be unsaved.
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { syncDir, writeFileAtomic } from '../base/atomic.ts'

/**
 * IN_USE: by another process. TOO_NEW: written by a later version. UNSAFE: not ours, or not a cache
 * directory.
 */
export type CacheDirErrorCode = 'IN_USE' | 'TOO_NEW' | 'UNSAFE'

export class CacheDirError extends Error {
  override readonly name = 'CacheDirError'
  readonly code: CacheDirErrorCode

  constructor(code: CacheDirErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Brings the directory from one version of the layout to the next; must be safe to repeat. */
export type Migration = (dir: string) => Promise<void>

/** The first brings version 1 to 2, and so on: the version we write follows from their number. */
const MIGRATIONS: readonly Migration[] = []

export interface CacheDirOptions {
  dir: string
  migrations?: readonly Migration[]
}

const FORMAT_FILE = 'format.json'
const LOCK_FILE = 'lock.db'
const PID_FILE = 'lock.pid'
/** Any of these marks a directory as a cache. */
const OWN_FILES = [FORMAT_FILE, LOCK_FILE, 'blocks', 'staging']
const SQLITE_BUSY = 5

/**
 * Makes the directory and what belongs in it, and brings its layout up to date. Call `lockCacheDir`
 * before. Rejects with a CacheDirError.
 */
export async function openCacheDir({
  dir,
  migrations = MIGRATIONS,
}: CacheDirOptions): Promise<void> {
  await makePrivate(dir)
  await migrate(dir, migrations)
  for (const name of ['blocks', 'staging']) {
    await mkdir(join(dir, name), { recursive: true, mode: 0o700 })
  }
  await syncDir(dir)
}

/**
 * Keeps other processes out of a directory, which is made if need be, until released or until this
 * process ends, however it does. Rejects with a CacheDirError; IN_USE names the other process.
 */
export async function lockCacheDir(dir: string): Promise<{ release(): void }> {
  await makePrivate(dir)
  const pidFile = join(dir, PID_FILE)
  const db = new DatabaseSync(join(dir, LOCK_FILE))
  try {
    // A lock of the operating system underneath: no stale lock can outlive its process.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error
    const pid = await readFile(pidFile, 'utf8').catch(() => 'unknown')
    throw new CacheDirError('IN_USE', `${dir} is in use by another process (pid ${pid.trim()})`)
  }
  await writeFile(pidFile, `${process.pid}\n`, { mode: 0o600 })
  return { release: () => db.close() }
}

/**
 * Makes the directory, or sees to it that it is ours, that it is a cache, and that only we can read
 * it.
 */
async function makePrivate(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const { uid, mode } = await stat(dir)
  if (uid !== process.getuid?.()) {
    throw new CacheDirError('UNSAFE', `${dir} belongs to another user`)
  }
  const names = await readdir(dir)
  if (names.length > 0 && !OWN_FILES.some((name) => names.includes(name))) {
    throw new CacheDirError('UNSAFE', `${dir} has other files in it: choose an empty directory`)
  }
  if ((mode & 0o077) !== 0) await chmod(dir, 0o700)
}

/** What can be said of a cache directory from outside, while a mount may use it. */
export interface CacheDirFacts {
  /** Names of files that make it no cache. */
  readonly foreign: readonly string[]
  readonly tooNew: boolean
  /** The process that holds it; 0 when that is not known. */
  readonly lockedBy: number | undefined
  readonly staged: { readonly files: number; readonly bytes: number }
  /** Staged files that nobody understands, set aside. */
  readonly recovered: { readonly files: number; readonly bytes: number }
}

/** Looks and changes nothing. Rejects when the directory cannot be read. */
export async function inspectCacheDir(dir: string): Promise<CacheDirFacts> {
  const names = await readdir(dir)
  const isCache = names.length === 0 || OWN_FILES.some((name) => names.includes(name))
  const version = await readVersion(dir)
  return {
    foreign: isCache ? [] : names,
    tooNew: version !== undefined && version > MIGRATIONS.length + 1,
    lockedBy: names.includes(LOCK_FILE) ? await holderOf(dir) : undefined,
    staged: await sumOf(join(dir, 'staging')),
    recovered: await sumOf(join(dir, 'staging', 'recovered')),
  }
}

async function holderOf(dir: string): Promise<number | undefined> {
  const db = new DatabaseSync(join(dir, LOCK_FILE), { readOnly: true })
  try {
    db.prepare('SELECT count(*) FROM sqlite_master').get()
    return undefined
  } catch (error) {
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error
    return Number(await readFile(join(dir, PID_FILE), 'utf8').catch(() => '0'))
  } finally {
    db.close()
  }
}

async function sumOf(dir: string): Promise<{ files: number; bytes: number }> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile())
  const sizes = files.map(async ({ name }) => {
    return (await stat(join(dir, name)).catch(() => undefined))?.size ?? 0
  })
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
  return { files: files.length, bytes }
}

async function migrate(dir: string, migrations: readonly Migration[]): Promise<void> {
  const current = migrations.length + 1
  const found = await readVersion(dir)
  if (found !== undefined && found > current) {
    const what = `version ${found}, and this program knows ${current}`
    throw new CacheDirError('TOO_NEW', `${dir} was written by a newer weiyun-mount (${what})`)
  }
  for (let version = found ?? current; version < current; version++) {
    await migrations[version - 1]?.(dir)
    await writeVersion(dir, version + 1)
  }
  if (found === undefined) await writeVersion(dir, current)
}

/**
 * Undefined in a new directory, and when the file is damaged: blocks and staged files know their
 * own formats.
 */
async function readVersion(dir: string): Promise<number | undefined> {
  try {
    const { version } = JSON.parse(await readFile(join(dir, FORMAT_FILE), 'utf8'))
    return Number.isSafeInteger(version) && version > 0 ? version : undefined
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (isMissing || error instanceof SyntaxError) return undefined
    throw error
  }
}

async function writeVersion(dir: string, version: number): Promise<void> {
  await writeFileAtomic(join(dir, FORMAT_FILE), `${JSON.stringify({ version })}\n`)
}
