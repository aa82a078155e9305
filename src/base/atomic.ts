// Small files that are either old or new, never half of each, whatever happens in between.
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Replaces `path` with `data`. Once it resolves, the new content survives a power cut; until then a
 * reader sees the old one. The file gets `mode` (default 0600), whatever it had before.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Buffer,
  mode = 0o600,
): Promise<void> {
  const scratch = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await using file = await open(scratch, 'wx', mode)
    await file.writeFile(data)
    await file.sync()
    await rename(scratch, path)
  } catch (error) {
    await rm(scratch, { force: true })
    throw error
  }
  await syncDir(dirname(path))
}

/** Makes the names in a directory (new, renamed, removed) survive a power cut. */
export async function syncDir(path: string): Promise<void> {
  await using dir = await open(path, 'r')
  await dir.sync()
}
