// What the service has of an entry, as far as we know: how that changes, always on record.
import { type FileEntry, WeiyunError } from '../weiyun/index.ts'
import type { DirInode, FileInode, Inode, RemoteFile, RemotePlace } from './inode.ts'
import type { Tree } from './tree.ts'

export interface Content {
  readonly sha1: string
  readonly size: number
}

export function isContent(one: Content, other: Content): boolean {
  return one.sha1 === other.sha1 && one.size === other.size
}

export function remoteFile(dir: DirInode, entry: FileEntry): RemoteFile {
  const { name, id, version, size, sha1, md5 } = entry
  return { parent: dir.ino, name, id, version, size, sha1, md5 }
}

/** Changes where the service has an entry, whatever its kind. */
export function setPlace(inode: Inode, place: Partial<RemotePlace>): void {
  if (inode.kind === 'dir' && inode.remote !== undefined)
    inode.remote = { ...inode.remote, ...place }
  else if (inode.kind === 'file' && inode.remote !== undefined)
    inode.remote = { ...inode.remote, ...place }
}

/**
 * On record before the service hears of it: whatever becomes of us, what it leaves there is known
 * to be ours.
 */
export function recordAttempt<I extends Inode>(tree: Tree, inode: I, attempt: I['attempt']): void {
  inode.attempt = attempt
  tree.save(inode)
}

/** The new version becomes the entry's; the old one, if it is another entry, is to be removed. */
export function replaceRemote(tree: Tree, file: FileInode, remote: RemoteFile): void {
  disown(tree, file, remote.id)
  const old = file.remote
  file.remote = remote
  // The new id has to leave the old row before the tombstone takes the old id over.
  tree.save(file)
  if (old !== undefined && old.id !== remote.id) tree.bury(old)
}

/** Somebody sees an entry as another file, with a place of its own: that it stays. */
export function isInUse(tree: Tree, file: FileInode, id: string): boolean {
  const other = tree.byRemoteId(id)
  return other !== undefined && other !== file && (other.busy || other.parent !== undefined)
}

/** An entry that turns out to be ours again: a leftover on its way out. */
function disown(tree: Tree, file: FileInode, id: string): void {
  const other = tree.byRemoteId(id)
  if (other === undefined || other === file) return
  if (isInUse(tree, file, id))
    throw new WeiyunError('RESTART_TRANSFER', 'the service gave us an entry that is in use')
  other.remote = undefined
  tree.settle(other)
}
