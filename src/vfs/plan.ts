// What has to happen next so that the service has what users of the mount see. A pure look at the tree:
// since the answer follows from the two places alone, it is the same after a crash as before it.
import type { StateFile } from '../cache/state.ts'
import type { DirInode, FileInode, Inode } from './inode.ts'
import { toShown } from './names.ts'
import { isMisplaced, type Tree } from './tree.ts'

export type Step =
  /** Nothing to do, or not before somebody touches the entry again. */
  | { do: 'nothing' }
  /** Another entry has to get on first. */
  | { do: 'wait'; on: Inode }
  | { do: 'mkdir'; inode: DirInode; dir: DirInode }
  | { do: 'upload'; inode: FileInode; dir: DirInode }
  /** `aside`: under a name of its own for now, because two entries exchange their places. */
  | { do: 'move'; inode: Inode; dir: DirInode; name: string; aside: boolean }
  | { do: 'remove'; inode: Inode }

const NOTHING: Step = { do: 'nothing' }

export function nextStep(tree: Tree, state: StateFile, inode: Inode): Step {
  if (inode.changedMs === undefined || inode.busy) return NOTHING
  if (inode.parent === undefined)
    return inode.kind === 'file' ? removeFile(tree, inode) : removeDir(tree, inode)
  const dir = tree.dir(inode.parent)
  if (!isOnService(tree, dir)) return { do: 'wait', on: dir }
  if (inode.kind === 'file' && inode.stagedId !== undefined) {
    return inode.promised ? { do: 'upload', inode, dir } : NOTHING
  }
  if (inode.remote === undefined)
    return inode.kind === 'dir' ? { do: 'mkdir', inode, dir } : NOTHING
  return isMisplaced(inode) ? move(tree, state, inode, dir) : NOTHING
}

function removeFile(tree: Tree, file: FileInode): Step {
  // Whoever has it open goes on reading; the last close brings us back here.
  if (file.opens > 0 || file.remote === undefined) return NOTHING
  // The version that is to take its place must be safe first.
  const holder = tree.get(file.remote.parent)
  const heir = holder?.kind === 'dir' ? tree.lookup(holder, toShown(file.remote.name)) : undefined
  if (heir?.kind === 'file' && heir.stagedId !== undefined && !heir.localOnly)
    return { do: 'wait', on: heir }
  return { do: 'remove', inode: file }
}

function removeDir(tree: Tree, dir: DirInode): Step {
  // A directory goes with all that is in it: what was moved out, or removed by itself, goes first.
  const inside = tree.remoteChildren(dir).find((child) => child.changedMs !== undefined)
  return inside === undefined ? { do: 'remove', inode: dir } : { do: 'wait', on: inside }
}

function move(tree: Tree, state: StateFile, inode: Inode, dir: DirInode): Step {
  const name = tree.serviceName(inode)
  const above = remoteAncestors(tree, dir).find((ancestor) => ancestor.ino === inode.ino)
  if (above !== undefined) {
    // The target still lies inside what is to be moved there, on the service: it has to come out first.
    const way = remoteAncestors(tree, dir)
    const mover = way.slice(0, way.indexOf(above)).find((ancestor) => isMisplaced(ancestor))
    return mover === undefined ? NOTHING : { do: 'wait', on: mover }
  }
  const occupant = occupantOf(tree, state, dir, name)
  if (occupant === undefined || occupant === inode || occupant.changedMs === undefined) {
    return { do: 'move', inode, dir, name, aside: false }
  }
  return isCircle(tree, state, inode, occupant)
    ? { do: 'move', inode, dir, name: asideName(inode), aside: true }
    : { do: 'wait', on: occupant }
}

function isCircle(tree: Tree, state: StateFile, start: Inode, first: Inode): boolean {
  let at: Inode | undefined = first
  for (let hops = 0; at !== undefined && hops < 100; hops++) {
    if (at === start) return true
    if (at.parent === undefined || !isMisplaced(at)) return false
    at = occupantOf(tree, state, tree.dir(at.parent), tree.serviceName(at))
  }
  return false
}

function occupantOf(tree: Tree, state: StateFile, dir: DirInode, name: string): Inode | undefined {
  tree.flushLater()
  const row = state.byRemotePlace(dir.ino, name)
  return row === undefined ? undefined : tree.get(row.ino)
}

/** `dir` and what holds it on the service, inside out. */
function remoteAncestors(tree: Tree, dir: DirInode): DirInode[] {
  const way: DirInode[] = []
  let at: Inode | undefined = dir
  while (at?.kind === 'dir' && !way.includes(at)) {
    way.push(at)
    at = at.remote === undefined ? undefined : tree.get(at.remote.parent)
  }
  return way
}

export function isOnService(tree: Tree, dir: DirInode): boolean {
  return dir === tree.root || dir.remote !== undefined
}

function asideName(inode: Inode): string {
  return `.weiyun-mount-${inode.ino}-${inode.name}`.slice(0, 60)
}
