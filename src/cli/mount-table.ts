// What is mounted, as the kernel's table says.
import { readFile, realpath } from 'node:fs/promises'
import { relative, resolve, sep } from 'node:path'

export interface MountEntry {
  readonly mountpoint: string
  /** `fuse.weiyun-mount`, `ext4`, … */
  readonly type: string
  readonly source: string
}

/** The mount table of this process, the latest mount last. */
export async function readMounts(table = '/proc/self/mountinfo'): Promise<MountEntry[]> {
  const lines = (await readFile(table, 'utf8')).split('\n')
  return lines.flatMap((line) => {
    // proc(5): ID parent major:minor root MOUNTPOINT options optional… - TYPE SOURCE …
    const [, mountpoint, type, source] = /^\d+ \d+ \S+ \S+ (\S+) .* - (\S+) (\S+)/.exec(line) ?? []
    if (mountpoint === undefined || type === undefined || source === undefined) return []
    return { mountpoint: plain(mountpoint), type, source: plain(source) }
  })
}

/** Blanks and backslashes are written in octal. */
function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))
}

/** True for mounts of this program; `--desktop-remote` calls itself sshfs, its source tells. */
export function isOurs({ type, source }: MountEntry): boolean {
  return type === 'fuse.weiyun-mount' || (type.startsWith('fuse') && /^weiyun/.test(source))
}

export function isBelow(path: string, dir: string): boolean {
  const way = relative(dir, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`))
}

/**
 * The mount of this program that a path lies in, and the way from there. Goes by the kernel's table
 * before it touches the path, so that a hung mount does not hang the caller.
 */
export async function findMount(
  path: string,
): Promise<{ mountpoint: string; below: string } | undefined> {
  const ours = (await readMounts()).filter(isOurs).reverse()
  const within = (absolute: string) => {
    const mount = ours.find(({ mountpoint }) => isBelow(absolute, mountpoint))
    return mount && { mountpoint: mount.mountpoint, below: relative(mount.mountpoint, absolute) }
  }
  const absolute = resolve(path)
  return within(absolute) ?? within(await realpath(absolute).catch(() => absolute))
}
