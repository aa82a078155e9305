// Inodes as stat(2) and extended attributes show them.
import type { Seconds } from '../cache/state.ts'
import type { Quota } from '../weiyun/index.ts'
import { VfsError } from './error.ts'
import type { FileInode, Inode } from './inode.ts'

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const BLOCK_BYTES = 4096

export interface Stat {
  ino: number
  mode: number
  nlink: number
  uid: number
  gid: number
  size: number
  blksize: number
  blocks: number
  atime: Timespec
  mtime: Timespec
  ctime: Timespec
}

export interface Timespec {
  seconds: number
  nanoseconds: number
}

export interface StatFs {
  bsize: number
  frsize: number
  blocks: number
  bfree: number
  bavail: number
  files: number
  ffree: number
  favail: number
  namemax: number
}

/** Who owns what has no owner of its own, and how it may be used. */
export interface Ownership {
  uid: number
  gid: number
  umask: number
}

/** `size` overrides the inode's, for a handle that reads an older version. */
export function statOf(inode: Inode, { uid, gid, umask }: Ownership, size?: number): Stat {
  const { own } = inode
  const isDir = inode.kind === 'dir'
  const bytes = inode.kind === 'dir' ? BLOCK_BYTES : (size ?? inode.size)
  const permissions = own.mode ?? (isDir ? 0o777 : 0o666) & ~umask
  const mtime = timespec(own.mtime, inode.mtimeMs)
  return {
    ino: inode.ino,
    mode: (isDir ? S_IFDIR : S_IFREG) | permissions,
    nlink: 1, // for a directory: "do not count on it", as on btrfs
    uid: own.uid ?? uid,
    gid: own.gid ?? gid,
    size: bytes,
    blksize: BLOCK_BYTES,
    blocks: Math.ceil(bytes / 512),
    atime: own.atime === undefined ? mtime : timespec(own.atime, 0),
    mtime,
    ctime: timespec(undefined, inode.ctimeMs),
  }
}

export function statFsOf(
  quota: Quota | undefined,
  unsent: number,
  namemax: number,
  entriesMax: number,
): StatFs {
  const total = quota?.total ?? 0
  const free = Math.max(0, total - (quota?.used ?? 0) - unsent)
  const blocks = Math.floor(free / BLOCK_BYTES)
  return {
    bsize: BLOCK_BYTES,
    frsize: BLOCK_BYTES,
    blocks: Math.floor(total / BLOCK_BYTES),
    bfree: blocks,
    bavail: blocks,
    files: entriesMax,
    ffree: entriesMax,
    favail: entriesMax,
    namemax,
  }
}

const OURS = 'user.weiyun.'
const READ_ONLY = ['id', 'md5', 'sha1', 'state'].map((name) => OURS + name)
const XATTR_CREATE = 1
const XATTR_REPLACE = 2
const XATTR_BYTES_MAX = 64 * 1024

/** `state`: what `user.weiyun.state` is to say. */
export function getXattr(inode: Inode, name: string, state: string): Buffer {
  const value = name.startsWith(OURS) ? ours(inode, name, state) : inode.own.xattrs?.[name]
  if (value === undefined) throw new VfsError('ENODATA', 'no such attribute')
  return Buffer.from(value, name.startsWith(OURS) ? 'utf8' : 'base64')
}

export function listXattrs(inode: Inode, state: string): string[] {
  return [
    ...READ_ONLY.filter((name) => ours(inode, name, state) !== undefined),
    ...Object.keys(inode.own.xattrs ?? {}),
  ]
}

export function setXattr(inode: Inode, name: string, value: Buffer, flags: number): void {
  refuseForeign(name)
  const has = inode.own.xattrs?.[name] !== undefined
  if (flags === XATTR_CREATE && has) throw new VfsError('EEXIST', 'the attribute exists')
  if (flags === XATTR_REPLACE && !has) throw new VfsError('ENODATA', 'no such attribute')
  if (value.length > XATTR_BYTES_MAX) throw new VfsError('ENOSPC', 'the attribute is too long')
  inode.own.xattrs = { ...inode.own.xattrs, [name]: value.toString('base64') }
}

export function removeXattr(inode: Inode, name: string): void {
  refuseForeign(name)
  const { [name]: value, ...others } = inode.own.xattrs ?? {}
  if (value === undefined) throw new VfsError('ENODATA', 'no such attribute')
  inode.own.xattrs = others
}

function refuseForeign(name: string): void {
  if (!name.startsWith('user.'))
    throw new VfsError('ENOTSUP', 'only attributes of the user namespace are kept')
  if (name.startsWith(OURS)) throw new VfsError('EPERM', 'what the drive says cannot be set')
}

function ours(inode: Inode, name: string, state: string): string | undefined {
  const file: FileInode | undefined = inode.kind === 'file' ? inode : undefined
  switch (name.slice(OURS.length)) {
    case 'id':
      return inode.kind === 'dir' ? inode.remote?.key : inode.remote?.id
    case 'md5':
      return file?.stagedId === undefined ? file?.remote?.md5 : undefined
    case 'sha1':
      return file?.stagedId === undefined ? file?.remote?.sha1 : undefined
    case 'state':
      return state
    default:
      return undefined
  }
}

function timespec(own: Seconds | undefined, fallbackMs: number): Timespec {
  if (own !== undefined) return { seconds: own[0], nanoseconds: own[1] }
  const seconds = Math.floor(fallbackMs / 1000)
  return { seconds, nanoseconds: Math.round((fallbackMs - seconds * 1000) * 1_000_000) }
}
