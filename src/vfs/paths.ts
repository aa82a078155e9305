// From paths to inodes. Looking up a name may take a listing, and the first of all the way to the
// directory of the drive that is the root of the mount.
import type { Logger } from '../base/log.ts'
import type { StateFile } from '../cache/state.ts'
import type { DirRef, Drive } from '../weiyun/index.ts'
import type { AccountCache } from './account.ts'
import { NoRoot, VfsError } from './error.ts'
import type { DirInode, FileInode, Inode } from './inode.ts'
import type { Listings } from './listing.ts'
import { isTooLong, toShown } from './names.ts'
import type { Tree } from './tree.ts'

/** Longest wait of a call that needs a listing, in ms. */
const METADATA_MS = 10_000

interface PathsParts {
  tree: Tree
  listings: Listings
  account: AccountCache
  drive: Drive
  state: StateFile
  /** Folder of the drive to show, `/` for all of it. */
  root: string
  /** Longest wait of a call without progress, in ms. */
  timeoutMs: number
  log: Logger
}

export class Paths {
  readonly #parts: PathsParts
  readonly #tree: Tree
  readonly #listings: Listings
  /** Files removed while open, by the names under which libfuse goes on asking for them. */
  readonly hidden = new Map<string, FileInode>()
  #rooting: Promise<void> | undefined

  constructor(parts: PathsParts) {
    this.#parts = parts
    this.#tree = parts.tree
    this.#listings = parts.listings
  }

  /** Rejects with ENOENT, ENOTDIR, ENAMETOOLONG, and with what a listing may reject with. */
  async resolve(path: string): Promise<Inode> {
    const hidden = this.hidden.get(baseName(path))
    if (hidden !== undefined) return hidden
    const names = path.split('/').filter((name) => name !== '')
    let at: Inode = this.#tree.root
    for (const [index, name] of names.entries()) {
      if (at.kind !== 'dir') throw new VfsError('ENOTDIR', 'not a directory')
      const child: Inode | undefined = await this.child(at, name, index === names.length - 1)
      if (child === undefined) {
        if (isTooLong(name)) throw new VfsError('ENAMETOOLONG', 'no entry can be called so')
        throw new VfsError('ENOENT', 'no such file or directory')
      }
      at = child
    }
    return at
  }

  async dir(path: string): Promise<DirInode> {
    const inode = await this.resolve(path)
    if (inode.kind !== 'dir') throw new VfsError('ENOTDIR', 'not a directory')
    return inode
  }

  async file(path: string): Promise<FileInode> {
    const inode = await this.resolve(path)
    if (inode.kind !== 'file') throw new VfsError('EISDIR', 'is a directory')
    return inode
  }

  /** The directory in which an entry is, or would be. */
  async parent(path: string): Promise<{ dir: DirInode; name: string }> {
    const name = baseName(path)
    return { dir: await this.dir(path.slice(0, -name.length - 1)), name }
  }

  /**
   * On the way to something deeper a known entry is taken as it is: its own directory will tell.
   */
  async child(dir: DirInode, name: string, isLast = true): Promise<Inode | undefined> {
    const known = dir.listed ? this.#tree.lookup(dir, name) : undefined
    if (known !== undefined && (!isLast || this.#listings.isFresh(dir))) return known
    await this.ensure(dir)
    return this.#tree.lookup(dir, name)
  }

  /** Resolves when what is known of a directory is fresh enough to be shown. */
  async ensure(dir: DirInode): Promise<void> {
    if (this.#listings.rootRef === undefined && !dir.listed) await this.findRoot()
    await this.#listings.ensure(dir, Math.min(METADATA_MS, this.#parts.timeoutMs))
  }

  /**
   * Finds the directory that is to be the root of the mount, once; later runs know it from the
   * state file.
   */
  findRoot(): Promise<void> {
    this.#rooting ??= this.#askRoot().catch((error: unknown) => {
      this.#rooting = undefined
      throw error
    })
    return this.#rooting
  }

  async #askRoot(): Promise<void> {
    const { root, state, account, drive, log } = this.#parts
    const saved = state.getMeta(`root:${root}`)
    if (saved !== undefined) {
      this.#listings.rootRef = JSON.parse(saved) as DirRef
      account.refresh().catch((error: unknown) => {
        log.warn({ err: error }, 'the service cannot be asked: serving what is known')
      })
      return
    }
    let { mainDir: at } = await account.refresh()
    for (const name of root.split('/').filter((part) => part !== '')) {
      const listing = await drive.list(at)
      const entries = listing === 'unchanged' ? [] : listing.entries
      const found = entries.find((entry) => entry.kind === 'dir' && toShown(entry.name) === name)
      if (found?.kind !== 'dir') throw new NoRoot(root)
      at = { key: found.key, parentKey: at.key }
    }
    this.#listings.rootRef = at
    state.setMeta(`root:${root}`, JSON.stringify(at))
  }
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
