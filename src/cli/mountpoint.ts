// What may be mounted on: checked before anything is started.
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { askMount, NotRunning } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { fusermount } from './fuse-helper.ts'
import { tr } from './language.ts'
import { isBelow, isOurs, readMounts } from './mount-table.ts'
import { probeMount } from './probe.ts'

/** The canonical path of a directory to mount on, after every check. Rejects with a CliError. */
export async function prepareMountpoint(path: string, keptApart: readonly string[]) {
  const mountpoint = await canonical(path)
  await replaceDeadMount(mountpoint)
  const refuse = (why: string) => new CliError(EXIT.NO_INPUT, `${mountpoint}: ${why}`)
  const stats = await stat(mountpoint).catch((error: Error) => {
    throw refuse(error.message)
  })
  if (!stats.isDirectory()) throw refuse(tr('not a directory'))
  if ((await readdir(mountpoint)).length > 0) {
    throw refuse(tr('not empty; move away what was written there while nothing was mounted'))
  }
  // The process would wait for itself.
  const inside = keptApart.find((other) => isBelow(other, mountpoint))
  if (inside !== undefined)
    throw refuse(tr('{path} must not lie inside the mount', { path: inside }))
  return mountpoint
}

/** Resolves symlinks above the mount point, and itself only if it is no mount already. */
async function canonical(path: string): Promise<string> {
  const absolute = resolve(path)
  if ((await readMounts()).some(({ mountpoint }) => mountpoint === absolute)) return absolute
  try {
    return await realpath(absolute)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTCONN') return join(await realpath(dirname(absolute)), basename(absolute))
    if (code === 'ENOENT')
      throw new CliError(EXIT.NO_INPUT, tr('{path}: no such directory', { path }))
    throw new CliError(EXIT.NO_INPUT, (error as Error).message)
  }
}

/** Clears what a killed process left behind; refuses a living mount. */
async function replaceDeadMount(mountpoint: string): Promise<void> {
  const entry = (await readMounts()).findLast((mount) => mount.mountpoint === mountpoint)
  if (entry === undefined || !isOurs(entry)) return
  const pid = await pidOf(mountpoint)
  if (pid !== undefined) {
    throw new CliError(
      EXIT.NO_INPUT,
      tr('{mountpoint}: already mounted by process {pid}', { mountpoint, pid }),
    )
  }
  if ((await probeMount(mountpoint)) !== 'dead') {
    throw new CliError(
      EXIT.NO_INPUT,
      tr('{mountpoint}: already mounted, by a process that is silent', { mountpoint }),
    )
  }
  await fusermount(mountpoint, { lazy: true })
}

async function pidOf(mountpoint: string): Promise<number | undefined> {
  try {
    const status = await askMount(mountpoint, { do: 'status' })
    return (status as { pid: number }).pid
  } catch (error) {
    if (error instanceof NotRunning) return undefined
    throw error
  }
}
