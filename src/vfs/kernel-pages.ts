// What the kernel remembers of files, by path as libfuse does: one page cache and one size,
// whatever file and whichever version of it is found there by now, for as long as somebody has one
// open.
import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Checker } from './checker.ts'
import { VfsError } from './error.ts'
import type { FileInode, RemoteFile } from './inode.ts'

/** For so long an answer may be on its way between the kernel and us, in ms. */
const IN_FLIGHT_MS = 1_000
/** Paths at which nobody has a file open, and whose pages are still known. */
const CLOSED_MAX = 20_000

const NEVER_MS = Number.NEGATIVE_INFINITY

/** How a file is to be opened. */
export interface CachePolicy {
  /** What the kernel remembers under the path is of this version. */
  keepCache: boolean
  /** The kernel remembers another version for somebody who still reads it: go past its cache. */
  directIo: boolean
}

/** Pages that the kernel may hold under a path. */
class Pages {
  /** Undefined: no path leads there any more. */
  path: string | undefined
  /** Who was last opened through them. */
  file: FileInode
  /** Of which content they are, and its size in bytes. */
  content = ''
  size = 0
  /** Handles that count on them. */
  handles = 0
  /** Who is at the path by now, as far as the kernel was told. */
  shown: FileInode | undefined
  /** performance.now() when a larger size than that of the content was last shown. */
  largerMs = NEVER_MS
  /** Until then, by performance.now(), the kernel may be hearing where the content ends. */
  endingMs = NEVER_MS

  constructor(path: string, file: FileInode) {
    this.path = path
    this.file = file
  }
}

export type { Pages }

/** The unsent bytes that became a version: their staged file, and what showed through it. */
export interface Sent {
  readonly id: string
  readonly base: RemoteFile | undefined
}

export class KernelPages {
  readonly #checker: Checker
  readonly #open = new Map<string, Pages>()
  readonly #closed = new LRUCache<string, Pages>({ max: CLOSED_MAX })
  /** The pages through which a file was last opened. */
  readonly #ofFile = new WeakMap<FileInode, Pages>()
  /** Called with a path of which the kernel may believe a wrong size. */
  onWrongSize: (path: string) => void = () => {}

  constructor(checker: Checker) {
    this.#checker = checker
  }

  /** For a new handle on `version` of the file at `path`: pages of two versions must not mix. */
  open(
    path: string,
    file: FileInode,
    version: RemoteFile | undefined,
  ): { pages: Pages; policy: CachePolicy } {
    const isClean = file.stagedId === undefined
    const content = file.stagedId ?? this.#contentOf(version)
    const known = this.#open.get(path) ?? this.#closed.get(path)
    // Two files without a version have nothing in common.
    const isSame = known?.content === content && (content !== '' || known.file === file)
    const inUse = known !== undefined && known.handles > 0
    // Who writes is seen by all who have the same file open, whichever version they began with.
    if (inUse && !isSame && (isClean || known.file !== file))
      return { pages: known, policy: { keepCache: false, directIo: true } }
    const pages = known !== undefined && (isSame || inUse) ? known : new Pages(path, file)
    pages.file = file
    pages.content = content
    pages.size = isClean ? (version?.size ?? file.size) : file.size
    pages.handles++
    this.#closed.delete(path)
    this.#open.set(path, pages)
    this.#ofFile.set(file, pages)
    return { pages, policy: { keepCache: isSame, directIo: false } }
  }

  /** A handle is closed that did not go past the cache. */
  release(pages: Pages): void {
    if (--pages.handles > 0) return
    const { path, shown } = pages
    if (path === undefined) return
    this.#open.delete(path)
    this.#closed.set(path, pages)
    if (shown !== undefined && shown.stagedId === undefined && pages.size > shown.size)
      this.#correct(pages)
  }

  /** The kernel has been told that what was at `from`, or below it, is at `to`. */
  rename(from: string, to: string, isDir: boolean): void {
    const inside = (top: string): string[] => (isDir ? this.#below(top) : [top])
    for (const path of inside(to)) this.#forget(path)
    for (const path of inside(from)) {
      for (const kept of [this.#open, this.#closed]) {
        const pages = kept.get(path)
        if (pages === undefined) continue
        kept.delete(path)
        pages.path = to + path.slice(from.length)
        kept.set(pages.path, pages)
      }
    }
  }

  /**
   * The size to show for the file at `path`. What is read is cut to it by the kernel, so while
   * somebody reads an older version it is not less than he needs.
   */
  shownSize(path: string, file: FileInode): number {
    return this.#shown(this.#open.get(path), file)
  }

  /** The size to show to whoever asks by a handle: the kernel takes it for that of the path. */
  shownSizeOf(pages: Pages, file: FileInode): number {
    return this.#shown(pages, pages.shown ?? file)
  }

  /** Waits until the size of the file at `path` can be shown: see `end`. */
  showable(path: string, file: FileInode): Promise<void> {
    return this.showableOf(this.#open.get(path), file)
  }

  async showableOf(pages: Pages | undefined, file: FileInode): Promise<void> {
    if (pages === undefined) return
    while (file.stagedId === undefined && file.size > pages.size) {
      const leftMs = pages.endingMs - performance.now()
      if (leftMs <= 0) return
      await sleep(leftMs)
    }
  }

  /**
   * To be called before a read through `pages` is answered with less than was asked for. While the
   * kernel believes a file to be larger than the version in its pages, it takes such an answer for
   * the end and forgets the larger size, unless that arrived after the read had set out: then zeros
   * follow the version's last byte. So neither is answered while the other may be under way.
   * Rejects with ESTALE where the two may have crossed; the kernel, which was reading ahead, then
   * asks once more before it tells the program.
   */
  async end(pages: Pages): Promise<void> {
    const nowMs = performance.now()
    const quietMs = pages.largerMs + IN_FLIGHT_MS
    // Nobody is shown a size meanwhile, so that the wait has an end.
    pages.endingMs = Math.max(nowMs, quietMs) + IN_FLIGHT_MS
    if (pages.largerMs === NEVER_MS) return
    if (nowMs < quietMs) {
      // A timer may be early by a fraction: then the second request would be refused as well.
      await sleep(quietMs - nowMs + 1)
      throw new VfsError('ESTALE', 'an older version ends here')
    }
    this.#correct(pages)
  }

  /** Our own upload made a new version of a file out of what the kernel has. */
  sent(file: FileInode, { id, base }: Sent): void {
    const pages = this.#ofFile.get(file)
    if (pages?.file !== file) return
    // Another device's version may have come between what was read into them and what was edited.
    const isOfBase = base === undefined || pages.content === this.#contentOf(base)
    pages.content = pages.content === id || isOfBase ? this.#contentOf(file.remote) : ''
    pages.size = file.size
  }

  #shown(pages: Pages | undefined, file: FileInode): number {
    if (pages === undefined) return file.size
    pages.shown = file
    const isWritten = file.stagedId !== undefined && pages.file === file
    if (pages.handles === 0 || isWritten) return file.size
    if (file.size > pages.size) pages.largerMs = performance.now()
    return Math.max(file.size, pages.size)
  }

  /** Something else takes the path. */
  #forget(path: string): void {
    const pages = this.#open.get(path)
    if (pages !== undefined) pages.path = undefined
    this.#open.delete(path)
    this.#closed.delete(path)
  }

  #below(dir: string): string[] {
    const paths = [...this.#open.keys(), ...this.#closed.keys()]
    return paths.filter((path) => path.startsWith(`${dir}/`))
  }

  /** The kernel is to ask for the size again, before anybody opens what is there now. */
  #correct({ path, shown }: Pages): void {
    if (shown !== undefined) shown.unseen = true
    if (path !== undefined) this.onWrongSize(path)
  }

  /** What the kernel's pages are of. Pages with bytes that proved wrong are of something else. */
  #contentOf(version: RemoteFile | undefined): string {
    if (version === undefined) return ''
    // A listing may be without hashes.
    const id = version.sha1 === '' ? `${version.id} ${version.version}` : version.sha1
    return `${id}-${version.size}-${this.#checker.spoiledSoFar(version)}`
  }
}
