// What there is to tell of the mount's work: what is pending, how far each upload has come and how
// fast, for `status`, for the wait at the end, and for the attributes of a path.
import type { BlockCache } from '../cache/blocks.ts'
import type { Space } from '../cache/space.ts'
import type { Drive, Traffic } from '../weiyun/index.ts'
import type { AccountCache } from './account.ts'
import type { FileInode, Inode } from './inode.ts'
import type { Tree } from './tree.ts'
import type { Connection, WriteBack } from './writeback.ts'

export interface PendingEntry {
  path: string
  size: number
  /** Bytes of it that the service has. */
  sent: number
  state: 'open' | 'waiting' | 'uploading' | 'removing' | 'error'
  /** Bytes a second since this attempt began to send; absent while nothing is on its way. */
  rate?: number
  error?: string
  /** Name of the failure, for those who want to say it in other words; unknown after a restart. */
  code?: string
  /** Seconds since the oldest unsaved change. */
  age: number
}

export interface VfsStatus {
  pid: number
  state: 'ready' | 'draining'
  pending: PendingEntry[]
  quota?: { total: number; used: number }
  /** Sizes in bytes; `hits` and `misses` count blocks of 64 KiB that were asked for. */
  cache: { bytes: number; capacity: number; pinned: number; hits: number; misses: number }
  traffic: Traffic
  session: Connection
}

export interface Left {
  files: number
  bytes: number
}

/**
 * How an upload is getting on: bytes that the service has, and where and when this attempt began.
 */
interface Sending {
  readonly bytes: number
  readonly firstBytes: number
  readonly firstMs: number
  readonly lastMs: number
}

const NOT_SENDING: Sending = { bytes: 0, firstBytes: 0, firstMs: 0, lastMs: 0 }
/** After so long without a byte it is another attempt, with a rate of its own. */
const SENDING_PAUSE_MS = 10_000

interface ReportParts {
  tree: Tree
  writeBack: WriteBack
  account: AccountCache
  drive: Drive
  blocks: BlockCache
  space: Space
}

export class Report {
  readonly #parts: ReportParts
  readonly #sending = new Map<FileInode, Sending>()

  constructor(parts: ReportParts) {
    this.#parts = parts
  }

  /** So many bytes of a file are on the service. */
  progress(file: FileInode, bytes: number): void {
    const before = this.#sending.get(file)
    const nowMs = performance.now()
    const goesOn = before && bytes >= before.bytes && nowMs - before.lastMs < SENDING_PAUSE_MS
    const { firstBytes, firstMs } = goesOn ? before : { firstBytes: bytes, firstMs: nowMs }
    this.#sending.set(file, { bytes, firstBytes, firstMs, lastMs: nowMs })
  }

  /** All of a file is on the service. */
  sent(file: FileInode): void {
    this.#sending.delete(file)
  }

  status(state: VfsStatus['state']): VfsStatus {
    const { tree, account, drive, writeBack } = this.#parts
    const { quota } = account
    return {
      pid: process.pid,
      state,
      pending: tree.pending().map((inode) => this.#pendingEntry(inode)),
      ...(quota !== undefined && { quota }),
      cache: this.#cache(),
      traffic: drive.traffic,
      session: writeBack.connection,
    }
  }

  left(): Left {
    const pending = this.#parts.tree.pending()
    const bytes = pending.reduce((sum, inode) => {
      return inode.kind === 'file' && inode.stagedId !== undefined
        ? sum + inode.size - this.#sentOf(inode).bytes
        : sum
    }, 0)
    return { files: pending.length, bytes }
  }

  /** The state of an entry in a word or two (`user.weiyun.state`). */
  stateOf(inode: Inode): string {
    if (inode.error !== undefined) return `error: ${inode.error}`
    if (inode.kind === 'file' && inode.localOnly) return 'local'
    if (inode.changedMs === undefined) return 'clean'
    return inode.busy ? 'uploading' : 'pending'
  }

  #pendingEntry(inode: Inode): PendingEntry {
    const { error } = inode
    const code = this.#parts.writeBack.refusalCode(inode)
    const isOpen = inode.kind === 'file' && inode.writers > 0
    const idle = inode.parent === undefined ? 'removing' : isOpen ? 'open' : 'waiting'
    return {
      path: `/${this.#parts.tree.path(inode).join('/')}`,
      size: inode.kind === 'file' && inode.parent !== undefined ? inode.size : 0,
      sent: inode.kind === 'file' ? this.#sentOf(inode).bytes : 0,
      state:
        error !== undefined
          ? 'error'
          : inode.busy && inode.parent !== undefined
            ? 'uploading'
            : idle,
      ...(inode.kind === 'file' && inode.busy && { rate: this.#rateOf(inode) }),
      ...(error !== undefined && { error }),
      ...(error !== undefined && code !== undefined && { code }),
      age: Math.max(0, (Date.now() - (inode.changedMs ?? Date.now())) / 1000),
    }
  }

  #cache(): VfsStatus['cache'] {
    const { blocks, space } = this.#parts
    const { capacity, hits, misses } = blocks.stats()
    return { bytes: space.used, capacity, pinned: blocks.pinnedBytes(), hits, misses }
  }

  #sentOf(file: FileInode): Sending {
    return this.#sending.get(file) ?? NOT_SENDING
  }

  #rateOf(file: FileInode): number {
    const { bytes, firstBytes, firstMs } = this.#sentOf(file)
    return (1000 * (bytes - firstBytes)) / Math.max(1, performance.now() - firstMs)
  }
}
