// What FUSE needs on this machine, and its helper program fusermount3.
import { execFile } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

/** Unmounts through the system's helper. Rejects with its message. */
export async function fusermount(mountpoint: string, { lazy }: { lazy: boolean }): Promise<void> {
  try {
    await promisify(execFile)('fusermount3', [lazy ? '-uz' : '-u', '--', mountpoint])
  } catch (error) {
    const { code, stderr = '', message } = error as NodeJS.ErrnoException & { stderr?: string }
    if (code === 'ENOENT') throw noFusermount()
    const busy = /busy/i.test(stderr)
    throw new CliError(
      busy ? EXIT.TEMPORARY : EXIT.FAILURE,
      busy
        ? tr('{mountpoint}: in use; close what is open there, or add --lazy', { mountpoint })
        : stderr.trim().replace(/^fusermount3: /, '') || message,
    )
  }
}

const noFusermount = () =>
  new CliError(EXIT.UNAVAILABLE, tr('fusermount3 is missing: install the package fuse3'))

/** What has to be on this machine before anything can be mounted. */
export async function requireFuse(): Promise<void> {
  await access('/dev/fuse', constants.R_OK | constants.W_OK).catch((error) => {
    const isMissing = error.code === 'ENOENT'
    throw new CliError(
      EXIT.UNAVAILABLE,
      isMissing
        ? tr('/dev/fuse is missing: try `modprobe fuse`')
        : tr('/dev/fuse cannot be opened: are you allowed to use FUSE?'),
    )
  })
  if ((await findProgram('fusermount3')) === undefined) throw noFusermount()
}

/** Where a program would be run from. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const dir of (process.env.PATH ?? '').split(':')) {
    const path = join(dir, name)
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (dir !== '' && runs) return path
  }
  return undefined
}

/** Whether the administrator lets ordinary users open their mounts to others. */
export async function allowsOther(
  conf = '/etc/fuse.conf',
  uid = process.getuid?.(),
): Promise<boolean> {
  if (uid === 0) return true
  return /^\s*user_allow_other\b/m.test(await readFile(conf, 'utf8').catch(() => ''))
}
