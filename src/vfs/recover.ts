// What happens at the start of a run: unsent bytes are found again, whatever the last run died of.
// Nothing here deletes bytes that were promised to a program.
import { rename } from 'node:fs/promises'
import PQueue from 'p-queue'
import type { Logger } from '../base/log.ts'
import type { StagedDescription, StagingArea } from '../cache/staging.ts'
import { StateError, StateFile } from '../cache/state.ts'
import type { DirInode, FileInode } from './inode.ts'
import { sideName } from './names.ts'
import type { Tree } from './tree.ts'
import { predecessorOf, type Writer } from './writer.ts'

/**
 * Opens the state file; a damaged one is set aside, and what matters is rebuilt from the staging
 * area.
 */
export async function openState(path: string, log: Logger): Promise<StateFile> {
  try {
    return await StateFile.open(path)
  } catch (error) {
    if (error instanceof StateError || isLocked(error)) throw error
    const aside = `${path}.damaged-${Date.now()}`
    log.error(
      { err: error, aside },
      'the state file is damaged: starting anew from the staged files',
    )
    await rename(path, aside)
    for (const suffix of ['-wal', '-shm'])
      await rename(path + suffix, aside + suffix).catch(() => {})
    return StateFile.open(path)
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && /locked/u.test(error.message)
}

const LOST = 'the unsent bytes are missing from the staging area'
/** In the state file while nobody has it open: it was closed in an orderly way. */
const CLOSED = 'closed'
/** Staged files looked into at once. */
const LOOKS_MAX = 16

interface RecoverParts {
  tree: Tree
  state: StateFile
  staging: StagingArea
  writer: Writer
  log: Logger
}

export async function recover(parts: RecoverParts): Promise<void> {
  const { tree, state, staging, writer } = parts
  await writer.sweep()
  const found = new Set(await staging.list())
  // Nothing can be done about these; a staged file knows itself where it was.
  for (const inode of tree.pending()) if (!tree.hasPlaces(inode)) tree.forget(inode)
  const dirty = tree.pending().filter((inode) => inode.kind === 'file' && inode.stagedId)
  for (const file of dirty as FileInode[]) checkStaged(parts, file, found)
  if (state.getMeta(CLOSED) === undefined) await learnSizes(parts, dirty as FileInode[])
  state.removeMeta(CLOSED)
  const known = state.staged()
  for (const id of found) if (!known.has(id)) await takeUp(parts, id)
}

/** To be called last: the next run need not look into every staged file. */
export function noteClosed(state: StateFile): void {
  state.setMeta(CLOSED, '')
}

/**
 * A killed program may have written or cut more than it recorded; what is shown must be what will
 * be sent.
 */
async function learnSizes({ tree, staging }: RecoverParts, files: FileInode[]): Promise<void> {
  const queue = new PQueue({ concurrency: LOOKS_MAX })
  const look = async (file: FileInode): Promise<void> => {
    const description = await staging.describe(file.stagedId as string).catch(() => undefined)
    if (description === undefined || description.size === file.stagedSize) return
    file.stagedSize = description.size
    tree.save(file)
  }
  await queue.addAll(files.map((file) => () => look(file)))
}

/**
 * The staged file is gone: a power cut took what was never fsynced, or the news that the service
 * has it, or somebody emptied the cache directory. The version that the service has is seen again.
 * What is only known from here stays in sight as an error, until the service turns out to have it
 * or the user removes it.
 */
function checkStaged(
  { tree, log }: RecoverParts,
  file: FileInode,
  found: ReadonlySet<string>,
): void {
  if (file.stagedId === undefined || found.has(file.stagedId)) return
  log.error(
    { path: tree.path(file).join('/') },
    'its unsent bytes are missing from the staging area',
  )
  file.lost = true
  // On record, for the service may not be there to ask before the next start.
  if (file.attempt !== undefined) file.attempt = { ...file.attempt, lost: true }
  if (file.remote !== undefined) {
    file.stagedId = undefined
    file.promised = false
    delete file.own.mtime
    tree.touch(file)
    return
  }
  if (file.stagedSize > 0) file.error = LOST
  tree.save(file)
}

/**
 * A staged file that no entry knows: the state file was lost, or is older than the staging area.
 */
async function takeUp(parts: RecoverParts, id: string): Promise<void> {
  const { tree, staging, log } = parts
  const description = await staging.describe(id).catch(() => undefined)
  if (description === undefined || !description.closed || description.path.length === 0) {
    const aside = await staging.setAside(id)
    log.warn({ aside }, 'bytes that were never promised to a program are set aside')
    return
  }
  const path = [...description.path]
  const name = path.pop() as string
  const dir = path.reduce((at, part) => dirAt(tree, at, part), tree.root)
  const file = fileAt(tree, dir, name, description)
  file.stagedId = id
  file.lost = false
  file.error = undefined
  file.stagedSize = description.size
  file.promised = true
  file.unsure = true
  // Before a listing shows that one beside ours.
  file.predecessor = predecessorOf(description)
  file.own.mtime = seconds(description.mtimeMs)
  file.own.atime = seconds(description.atimeMs)
  if (description.mode !== undefined) file.own.mode = description.mode
  tree.touch(file)
  log.warn({ path: description.path.join('/') }, 'unsent bytes found again')
}

function dirAt(tree: Tree, parent: DirInode, name: string): DirInode {
  const here = tree.lookup(parent, name)
  if (here?.kind === 'dir') return here
  const free =
    here === undefined
      ? name
      : sideName(name, 'recovered', new Date(), (taken) => tree.lookup(parent, taken) !== undefined)
  return tree.create('dir', parent, free)
}

/** The entry whose bytes these are: the one they were written over, or a new one. */
function fileAt(tree: Tree, dir: DirInode, name: string, found: StagedDescription): FileInode {
  const here = tree.lookup(dir, name)
  if (here === undefined) return tree.create('file', dir, name)
  if (here.kind === 'file' && mayTake(here, found)) return here
  return tree.create(
    'file',
    dir,
    sideName(name, 'recovered', new Date(), (taken) => tree.lookup(dir, taken) !== undefined),
  )
}

/** It has lost its own unsent bytes, or has none and is the version that these were to replace. */
function mayTake(file: FileInode, found: StagedDescription): boolean {
  if (file.lost) return true
  if (file.stagedId !== undefined) return false
  const replaced = found.base ?? predecessorOf(found)
  return file.remote === undefined || replaced?.sha1 === file.remote.sha1
}

function seconds(ms: number): [number, number] {
  const whole = Math.floor(ms / 1000)
  return [whole, Math.round((ms - whole * 1000) * 1e6)]
}
