// What a user wants on this disk, or gone from it: `warm` fetches content ahead of its use, `pin`
// keeps it from being evicted as well, `unpin` and `free` take that back. All of it is about clean
// content as it is now; unsaved bytes are on this disk in any case, and a new version of a file is
// not pinned.
import PQueue from 'p-queue'
import type { BlockCache } from '../cache/blocks.ts'
import { VfsError } from './error.ts'
import type { Source } from './fetcher.ts'
import type { DirInode, Inode, RemoteFile } from './inode.ts'
import { type Reader, ReadState } from './reader.ts'
import type { Tree } from './tree.ts'

export type KeepAction = 'warm' | 'pin' | 'unpin' | 'free'

/**
 * Files and bytes done so far, of all; at the end `skipped` counts pinned files that were not
 * freed.
 */
export interface KeepProgress {
  files: number
  bytes: number
  readonly filesTotal: number
  readonly bytesTotal: number
  skipped: number
}

/** Bytes read in one go; only their way through the cache matters. */
const STEP_BYTES = 1024 * 1024
/** Writes need room too: so much of the cache can be pinned. */
const PINNED_SHARE_MAX = 0.8

export interface KeepOptions {
  tree: Tree
  reader: Reader
  blocks: BlockCache
  /** Lists a directory if need be. */
  ensure: (dir: DirInode) => Promise<void>
  sourceOf: (version: RemoteFile) => Source
  slots: () => number
}

export interface KeepCall {
  signal: AbortSignal
  onProgress: (progress: KeepProgress) => void
}

export class Keep {
  readonly #options: KeepOptions

  constructor(options: KeepOptions) {
    this.#options = options
  }

  /** Does it to everything at and below `top`. Rejects at the first file that fails. */
  async run(action: KeepAction, top: Inode, call: KeepCall): Promise<KeepProgress> {
    const sources: Source[] = []
    await this.#collect(top, sources, call.signal)
    const bytesTotal = sources.reduce((sum, { content }) => sum + content.size, 0)
    const done = { files: 0, bytes: 0, skipped: 0, filesTotal: sources.length, bytesTotal }
    if (action === 'pin') this.#checkRoom(sources)
    // Small files are all round trip: as many at once as the account allows.
    const queue = new PQueue({ concurrency: this.#options.slots() })
    const failed = new AbortController()
    const signal = AbortSignal.any([call.signal, failed.signal])
    const advance = (bytes: number) => {
      done.bytes += bytes
      call.onProgress({ ...done })
    }
    const work = sources.map((source) =>
      queue.add(async () => {
        signal.throwIfAborted()
        if (await this.#one(action, source, signal, advance)) done.files += 1
        else done.skipped += 1
        advance(0)
      }),
    )
    try {
      await Promise.all(work)
    } finally {
      failed.abort(new VfsError('EINTR', 'given up'))
      await Promise.allSettled(work)
    }
    return done
  }

  async #collect(inode: Inode, sources: Source[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { tree, sourceOf, ensure } = this.#options
    if (inode.kind === 'file') {
      const isClean = inode.stagedId === undefined && inode.remote !== undefined
      if (isClean && inode.size > 0) sources.push(sourceOf(inode.remote as RemoteFile))
      return
    }
    await ensure(inode)
    for (const ino of [...tree.children(inode).values()]) {
      const child = tree.get(ino)
      if (child !== undefined) await this.#collect(child, sources, signal)
    }
  }

  #checkRoom(sources: readonly Source[]): void {
    const { blocks } = this.#options
    const { capacity } = blocks.stats()
    const fresh = sources.filter(({ content }) => !blocks.pinned(content))
    const wanted = fresh.reduce((sum, { content }) => sum + content.size, 0)
    if (wanted + blocks.pinnedBytes() > capacity * PINNED_SHARE_MAX) {
      throw new VfsError('ENOSPC', 'more than four fifths of the cache would be pinned')
    }
  }

  /** False when the file was left as it is. */
  async #one(
    action: KeepAction,
    source: Source,
    signal: AbortSignal,
    advance: (bytes: number) => void,
  ): Promise<boolean> {
    const { blocks } = this.#options
    const { content } = source
    switch (action) {
      case 'pin':
        // First the mark: nothing that arrives is evicted again.
        blocks.pin(content)
        await this.#fetch(source, signal, advance)
        if (!blocks.complete(content)) throw new VfsError('ENOSPC', 'no room left in the cache')
        return true
      case 'warm':
        await this.#fetch(source, signal, advance)
        return true
      case 'unpin':
        blocks.unpin(content)
        advance(content.size)
        return true
      case 'free':
        if (blocks.pinned(content)) return false
        await blocks.drop(content)
        advance(content.size)
        return true
    }
  }

  async #fetch(
    source: Source,
    signal: AbortSignal,
    advance: (bytes: number) => void,
  ): Promise<void> {
    const { blocks, reader } = this.#options
    const { size } = source.content
    if (blocks.complete(source.content)) return advance(size)
    const state = new ReadState()
    try {
      for (let offset = 0; offset < size; offset += STEP_BYTES) {
        signal.throwIfAborted()
        const bytes = await reader.read(source, state, offset, STEP_BYTES)
        advance(bytes.length)
      }
    } finally {
      reader.release(state)
    }
  }
}
