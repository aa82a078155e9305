// What has to happen next so that the service has what users of the mount see. A pure look at the
// tree: since the answer follows from the two places, and from what was begun, it is the same after
// a crash as before it.
import type { DirInode, FileInode, Inode } from './inode.ts'
import { toShown } from './names.ts'
import { isMisplaced, type Tree } from './tree.ts'

export type Step =
  /** Nothing to do, or not before somebody touches the entry again. */
  | { do: 'nothing' }
  /** Another entry has to get on first; `instead`: what can be done if that one waits for us. */
  | { do: 'wait'; on: Inode; instead?: Step }
  | { do: 'mkdir'; inode: DirInode; dir: DirInode; name: string }
  | { do: 'upload'; inode: FileInode; dir: DirInode }
  | { do: 'move'; inode: Inode; dir: DirInode; name: string }
  | { do: 'remove'; inode: Inode }
  /** To find out where the service has it, after moves whose end was not heard of. */
  | { do: 'locate'; inode: Inode }
  /** To find out what came of an upload, or a directory, that was given up. */
  | { do: 'settle'; inode: Inode }

export type RemoveStep = Extract<Step, { do: 'remove' }>
/** A step that is taken by itself; removals come in batches. */
export type SingleStep = Extract<Step, { do: 'mkdir' | 'upload' | 'move' | 'locate' | 'settle' }>

const NOTHING: Step = { do: 'nothing' }
/** How much of its own name an entry keeps while it is out of the way. */
const ASIDE_CHARACTERS = 60

export function nextStep(tree: Tree, inode: Inode): Step {
  const step = ownStep(tree, inode)
  if (step.do !== 'wait' || step.instead === undefined || isDone(step.instead)) return step
  return isAwaited(tree, inode, step.on) ? step.instead : step
}

/** It stepped aside already. */
function isDone(step: Step): boolean {
  if (step.do !== 'move') return false
  const { remote } = step.inode
  return remote?.parent === step.dir.ino && remote.name === step.name
}

/** `other` waits in the end for `inode`: if that waited too, it would be for ever. */
function isAwaited(tree: Tree, inode: Inode, other: Inode): boolean {
  const passed = new Set<Inode>()
  for (let at = other; !passed.has(at); ) {
    if (at === inode) return true
    passed.add(at)
    const step = ownStep(tree, at)
    if (step.do !== 'wait') return false
    at = step.on
  }
  return false
}

function ownStep(tree: Tree, inode: Inode): Step {
  if (inode.changedMs === undefined || inode.busy) return NOTHING
  if (inode.strays !== undefined) return { do: 'locate', inode }
  if (isGivenUp(inode)) return settle(tree, inode)
  if (inode.parent === undefined)
    return inode.kind === 'file' ? removeFile(tree, inode) : removeDir(tree, inode)
  if (inode.kind === 'dir' && inode.attempt !== undefined) {
    // Where it was begun: what came of it there must not stay behind.
    const dir = tree.get(inode.attempt.parent)
    if (dir?.kind === 'dir' && isOnService(tree, dir))
      return { do: 'mkdir', inode, dir, name: inode.attempt.name }
  }
  const dir = tree.dir(inode.parent)
  if (!isOnService(tree, dir)) return { do: 'wait', on: dir }
  if (inode.kind === 'file' && inode.stagedId !== undefined) {
    // Its bytes may be long in coming, and others may wait for its old place.
    const isOpen = inode.writers > 0 || !inode.promised
    const isAhead = isOpen && isMisplaced(inode)
    // What its own upload left under the name is not what is to be there any more.
    if (isAhead && isInItsWay(tree, inode, dir)) return { do: 'settle', inode }
    const ahead = isAhead ? move(tree, inode, dir) : NOTHING
    if (!inode.promised || ahead.do === 'move') return ahead
    return upload(tree, inode, dir)
  }
  if (inode.remote !== undefined) return isMisplaced(inode) ? move(tree, inode, dir) : NOTHING
  return inode.kind === 'dir' ? makeDir(tree, inode, dir) : NOTHING
}

/** An upload of its own was begun where it is to be moved. */
function isInItsWay(tree: Tree, inode: FileInode, dir: DirInode): boolean {
  const { attempt } = inode
  return attempt?.parent === dir.ino && attempt.name === tree.serviceName(inode)
}

/** An upload or a directory was begun, and will not be repeated. */
function isGivenUp(inode: Inode): boolean {
  if (inode.attempt === undefined) return false
  if (inode.parent === undefined) return true
  if (inode.kind === 'dir') return false
  return inode.stagedId === undefined || inode.localOnly || inode.lost
}

function settle(tree: Tree, inode: Inode): Step {
  const attempt = inode.kind === 'file' ? inode.attempt : undefined
  const rival = attempt && tree.rivalOf(inode, attempt)
  return rival === undefined ? { do: 'settle', inode } : { do: 'wait', on: rival }
}

function removeFile(tree: Tree, file: FileInode): Step {
  if (file.remote === undefined) return NOTHING
  const holder = tree.get(file.remote.parent)
  const heir = holder?.kind === 'dir' ? tree.lookup(holder, toShown(file.remote.name)) : undefined
  // Whoever has it open goes on reading; the last close brings us back here.
  if (file.opens > 0) {
    const dir = remoteAncestors(tree, holder).find((one) => isThere(tree, one))
    if (dir === undefined || (dir === holder && heir === undefined)) return NOTHING
    // Somebody else gets its name, or its directory is to go.
    return { do: 'move', inode: file, dir, name: asideName(file, file.remote.name) }
  }
  // The version that is to take its place must be safe first.
  if (heir?.kind === 'file' && heir.stagedId !== undefined && !heir.localOnly)
    return { do: 'wait', on: heir }
  const copy = copyOnItsWay(tree, file)
  const step: Step = { do: 'remove', inode: file }
  return copy === undefined ? step : { do: 'wait', on: copy, instead: step }
}

function removeDir(tree: Tree, dir: DirInode): Step {
  // A directory goes with all that is in it: what was moved out, or removed by itself, goes first,
  // and so does what is still on its way there.
  const inside = tree.remoteChildren(dir).find((child) => child.changedMs !== undefined)
  const on = inside ?? tree.arriving(dir)
  return on === undefined ? { do: 'remove', inode: dir } : { do: 'wait', on }
}

function upload(tree: Tree, inode: FileInode, dir: DirInode): Step {
  const step: Step = { do: 'upload', inode, dir }
  const occupant = leavingOccupant(tree, inode, dir)
  // Whose bytes are safe elsewhere, or are just being removed, and which must not be taken for the
  // upload's: it goes first.
  const isGoing =
    occupant?.parent === undefined ? occupant?.busy : occupant.remote?.parent === dir.ino
  const place = { parent: dir.ino, name: tree.serviceName(inode), size: inode.size }
  // What is found there afterwards could have been made by either.
  const rival = tree.rivalOf(inode, inode.attempt ?? place)
  const first = isGoing ? occupant : (rival ?? copyOnItsWay(tree, inode))
  return first === undefined ? step : { do: 'wait', on: first, instead: step }
}

/**
 * A copy of the version that is to go: once it is sent by its hashes it needs none of the bytes,
 * which would else be fetched for it (see `Writer.rescue`).
 */
function copyOnItsWay(tree: Tree, file: FileInode): FileInode | undefined {
  return tree.bases.over(file).find((other) => other.isCopy && isOnItsWay(tree, other))
}

/** It will be sent soon: nobody has refused it, or what holds it. */
function isOnItsWay(tree: Tree, file: FileInode): boolean {
  if (!file.promised || file.localOnly) return false
  for (let at: Inode = file; ; ) {
    if (at.error !== undefined || at.parent === undefined) return false
    const dir = tree.dir(at.parent)
    if (isOnService(tree, dir)) return true
    at = dir
  }
}

function makeDir(tree: Tree, inode: DirInode, dir: DirInode): Step {
  const name = tree.serviceName(inode)
  const occupant = leavingOccupant(tree, inode, dir)
  return occupant === undefined
    ? { do: 'mkdir', inode, dir, name }
    : {
        do: 'wait',
        on: occupant,
        instead: { do: 'mkdir', inode, dir, name: asideName(inode, name) },
      }
}

function move(tree: Tree, inode: Inode, dir: DirInode): Step {
  const way = remoteAncestors(tree, dir)
  if (way.some((ancestor) => ancestor === inode)) {
    // The target still lies inside what is to be moved there, on the service: it has to come out
    // first.
    const inside = way.slice(0, way.indexOf(inode as DirInode))
    const mover = inside.find((ancestor) => isMisplaced(ancestor))
    return mover === undefined ? NOTHING : { do: 'wait', on: mover }
  }
  const name = tree.serviceName(inode)
  const occupant = leavingOccupant(tree, inode, dir)
  return occupant === undefined
    ? { do: 'move', inode, dir, name }
    : {
        do: 'wait',
        on: occupant,
        instead: { do: 'move', inode, dir, name: asideName(inode, name) },
      }
}

/** For an entry that is in the way, or whose place is not free yet: a name of its own for now. */
function asideName(inode: Inode, name: string): string {
  return `${[...name].slice(0, ASIDE_CHARACTERS).join('')}.weiyun-mount-${inode.ino}`
}

/** What the service has where an entry is to be, and what will not stay there. */
function leavingOccupant(tree: Tree, inode: Inode, dir: DirInode): Inode | undefined {
  const occupant = tree.occupant(dir, tree.serviceName(inode))
  return occupant === inode || occupant?.changedMs === undefined ? undefined : occupant
}

/** `dir` and what holds it on the service, inside out. */
function remoteAncestors(tree: Tree, dir: Inode | undefined): DirInode[] {
  const way: DirInode[] = []
  let at = dir
  while (at?.kind === 'dir' && !way.includes(at)) {
    way.push(at)
    at = at.remote === undefined ? undefined : tree.get(at.remote.parent)
  }
  return way
}

/** Seen by users of the mount, and on the service. */
function isThere(tree: Tree, dir: DirInode): boolean {
  return dir === tree.root || (dir.parent !== undefined && dir.remote !== undefined)
}

function isOnService(tree: Tree, dir: DirInode): boolean {
  return dir === tree.root || dir.remote !== undefined
}
