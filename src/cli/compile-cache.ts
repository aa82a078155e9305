// Keeps between runs what V8 made of our modules: loading them is most of the time of a start.
// V8 believes what it finds there, so it must lie where nobody else can put anything.
import { existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { enableCompileCache, flushCompileCache } from 'node:module'
import { dirname, join } from 'node:path'
import { cacheDir, type Env } from './dirs.ts'

/** In the directory that has one for each account, too. */
export const COMPILED = 'compiled'
/** By then a command is done, and a mount has loaded what it needs. */
const LOADED_MS = 5_000

/** Never fails: without the cache a start is slower, and that is all. */
export function keepCompiled(env: Env): void {
  try {
    const dir = join(cacheDir(env), COMPILED)
    // Not `recursive`, which never returns where nothing can be made, as in /proc.
    for (const path of [dirname(cacheDir(env)), cacheDir(env), dir]) makeDir(path)
    if (!isOursAlone(realpathSync(dir))) return
    enableCompileCache(dir)
    // Node writes it when a process ends, but a mount may live for weeks and then be killed.
    setTimeout(flushCompileCache, LOADED_MS).unref()
  } catch {
    // A home that cannot be written, for instance.
  }
}

function makeDir(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { mode: 0o700 })
}

/** Only this user (and root) can change the directory, or put another one in its place. */
export function isOursAlone(path: string, uid = process.getuid?.()): boolean {
  const { uid: owner, mode } = lstatSync(path)
  if (owner !== uid || (mode & 0o077) !== 0) return false
  for (let at = dirname(path); ; at = dirname(at)) {
    const { uid: holder, mode: access } = lstatSync(at)
    const isOpen = (access & 0o022) !== 0 && (access & STICKY) === 0
    if ((holder !== uid && holder !== 0) || isOpen) return false
    if (at === dirname(at)) return true
  }
}

/** As in /tmp: others may add entries, and cannot touch ours. */
const STICKY = 0o1000
