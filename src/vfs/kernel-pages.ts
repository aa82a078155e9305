// What the kernel remembers of files: it has one page cache and one size for a path, whichever
// versions of the file are open.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checker } from './checker.ts'
import { VfsError } from './error.ts'
import type { FileInode, RemoteFile } from './inode.ts'

/** For so long an answer may be on its way between the kernel and us, in ms. */
const IN_FLIGHT_MS = 1_000

const NEVER_MS = Number.NEGATIVE_INFINITY

/** How a file is to be opened. */
export interface CachePolicy {
  /** What the kernel remembers of the file is of this version. */
  keepCache: boolean
  /** The kernel remembers another version for somebody who still reads it: go past its cache. */
  directIo: boolean
}

/** Pages that the kernel may hold of a file. */
interface Pages {
  /** Of which content. */
  content: string
  /** Of that content, in bytes. */
  size: number
  /** Handles that count on them. */
  handles: number
  /** performance.now() when a larger size than that was last shown. */
  largerMs: number
  /** performance.now() when the kernel was last told where the content ends. */
  endMs: number
}

export class KernelPages {
  readonly #checker: Checker
  readonly #pages = new WeakMap<FileInode, Pages>()

  constructor(checker: Checker) {
    this.#checker = checker
  }

  /** For a new handle on `version`: the kernel's pages must not mix two of them. */
  open(file: FileInode, version: RemoteFile | undefined): CachePolicy {
    const isClean = file.stagedId === undefined
    const content = file.stagedId ?? this.#contentOf(version)
    const pages = this.#pages.get(file)
    const isSame = pages?.content === content
    if (pages !== undefined && !isSame && pages.handles > 0 && isClean)
      return { keepCache: false, directIo: true }
    const { size } = isClean ? (version ?? file) : file
    const { largerMs, endMs } = isSame ? pages : { largerMs: NEVER_MS, endMs: NEVER_MS }
    this.#pages.set(file, { content, size, handles: (pages?.handles ?? 0) + 1, largerMs, endMs })
    return { keepCache: isSame, directIo: false }
  }

  /** A handle that did not go past the cache is closed. Returns whether a wrong size was shown. */
  release(file: FileInode): boolean {
    const pages = this.#pages.get(file)
    const isLast = pages !== undefined && --pages.handles === 0
    return isLast && file.stagedId === undefined && pages.size > file.size
  }

  /**
   * The size to show. What is read is cut to it by the kernel, so while somebody reads an older
   * version it is not less than he needs.
   */
  shownSize(file: FileInode): number {
    const pages = this.#inUse(file)
    if (pages === undefined) return file.size
    if (file.size > pages.size) pages.largerMs = performance.now()
    return Math.max(file.size, pages.size)
  }

  /** Waits until the size can be shown: see `end`. */
  async showable(file: FileInode): Promise<void> {
    const pages = this.#inUse(file)
    if (pages !== undefined && file.size > pages.size) await quiet(() => pages.endMs)
  }

  /**
   * To be called before a read is answered with less than was asked for. While the kernel believes
   * a file to be larger than the version in its pages, it takes such an answer for the end and
   * forgets the larger size, unless that arrived after the read had set out: then zeros follow the
   * version's last byte. So neither is answered while the other may be under way. Returns whether
   * the kernel is to forget a size. Rejects with ESTALE where the two may have crossed; the kernel,
   * which was reading ahead, then asks once more before it tells the program.
   */
  async end(file: FileInode): Promise<boolean> {
    const pages = this.#inUse(file)
    if (pages === undefined) return false
    pages.endMs = performance.now()
    if (pages.largerMs === NEVER_MS) return false
    if (pages.endMs >= pages.largerMs + IN_FLIGHT_MS) return true
    await quiet(() => pages.largerMs)
    pages.endMs = performance.now()
    throw new VfsError('ESTALE', 'an older version ends here')
  }

  /** Our own upload made a new version of a file out of what the kernel has. */
  sent(file: FileInode): void {
    const pages = this.#pages.get(file)
    if (pages === undefined) return
    pages.content = this.#contentOf(file.remote)
    pages.size = file.size
  }

  /** The kernel may go on under a name with the pages and the size of another file. */
  forget(file: FileInode): void {
    this.#pages.delete(file)
    file.unseen = true
  }

  /** Pages that an open handle counts on. */
  #inUse(file: FileInode): Pages | undefined {
    const pages = file.opens > 0 && file.stagedId === undefined ? this.#pages.get(file) : undefined
    return pages !== undefined && pages.handles > 0 ? pages : undefined
  }

  /** What the kernel's pages are of. Pages with bytes that proved wrong are of something else. */
  #contentOf(version: RemoteFile | undefined): string {
    if (version === undefined) return ''
    return `${version.sha1}-${version.size}-${this.#checker.spoiledSoFar(version)}`
  }
}

/** Waits until nothing has been in flight since `lastMs()` any more. */
async function quiet(lastMs: () => number): Promise<void> {
  for (;;) {
    const leftMs = lastMs() + IN_FLIGHT_MS - performance.now()
    if (leftMs <= 0) return
    await sleep(leftMs)
  }
}
