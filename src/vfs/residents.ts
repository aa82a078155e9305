// The inodes in memory. Every directory stays; of the files as many as fit a bound, the rest is in
// the state file. An inode that somebody still holds is never made a second time: two copies of
// one truth would part.
import type { DirInode, Inode } from './inode.ts'

/** Files in memory (about 2 KiB each); beyond that whole directories of them are let go. */
const FILES_MAX = 20_000
/** Letting go a little more than was asked for spares the next ones the search. */
const FILES_KEPT = 15_000

export class Residents {
  readonly #dirs = new Map<number, DirInode>()
  readonly #files = new Map<number, Inode>()
  readonly #letGo = new Map<number, WeakRef<Inode>>()
  readonly #collected = new FinalizationRegistry<number>((ino) => {
    if (this.#letGo.get(ino)?.deref() === undefined) this.#letGo.delete(ino)
  })
  /** Directories whose children are loaded, the one longest unused first. */
  readonly #loaded = new Map<number, DirInode>()
  /** With more files than this, some are to go. */
  #filesMax = FILES_MAX

  get(ino: number): Inode | undefined {
    const known = this.#dirs.get(ino) ?? this.#files.get(ino)
    if (known !== undefined) return known
    const held = this.#letGo.get(ino)?.deref()
    if (held !== undefined) this.set(held)
    return held
  }

  has(ino: number): boolean {
    return this.get(ino) !== undefined
  }

  set(inode: Inode): void {
    if (inode.kind === 'dir') this.#dirs.set(inode.ino, inode)
    else this.#files.set(inode.ino, inode)
    this.#letGo.delete(inode.ino)
  }

  delete(inode: Inode): void {
    this.#dirs.delete(inode.ino)
    this.#files.delete(inode.ino)
    this.#letGo.delete(inode.ino)
    this.#loaded.delete(inode.ino)
  }

  /** The children of a directory are being looked at. */
  use(dir: DirInode): void {
    this.#loaded.delete(dir.ino)
    this.#loaded.set(dir.ino, dir)
  }

  get isFull(): boolean {
    return this.#files.size > this.#filesMax
  }

  /**
   * Lets the files of directories go that were not looked at for long, where `mayGo` allows it for
   * each child.
   */
  shrink(mayGo: (dir: DirInode, child: Inode) => boolean): void {
    for (const dir of this.#loaded.values()) {
      if (this.#files.size <= FILES_KEPT) break
      const inodes = [...(dir.children?.values() ?? [])].flatMap((ino) => this.get(ino) ?? [])
      if (!inodes.every((inode) => mayGo(dir, inode))) continue
      for (const inode of inodes) if (inode.kind === 'file') this.#release(inode)
      dir.children = undefined
      this.#loaded.delete(dir.ino)
    }
    // Where little may go, looking again at every new one would find the same.
    this.#filesMax = Math.max(FILES_MAX, this.#files.size + FILES_MAX - FILES_KEPT)
  }

  #release(file: Inode): void {
    this.#files.delete(file.ino)
    this.#letGo.set(file.ino, new WeakRef(file))
    this.#collected.register(file, file.ino)
  }
}
