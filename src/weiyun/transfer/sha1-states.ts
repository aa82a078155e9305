// SHA-1 with its running state, which uploads of the webapp dialect announce (protocol notes,
// webapp 7.4). Computed in a thread of its own: the event loop that serves the kernel never hashes
// megabytes.
import { Worker } from 'node:worker_threads'
import type { Sha1Reply, Sha1Request } from './sha1-worker.ts'

/** One running SHA-1 over a file. A state is its five words, each little-endian, 40 hex digits. */
export interface Sha1States {
  /** Of the whole file, as everybody writes it. */
  readonly sha1: string
  /** State after each block but the last; in its place the file's SHA-1. */
  readonly blocks: readonly string[]
  /** State before the last bytes, the check data: a multiple of 64 bytes. */
  readonly checkSha: string
  /** Base64 of up to 128 bytes. */
  readonly checkData: string
}

/** Of no bytes at all. */
export const EMPTY_STATES: Sha1States = {
  sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  blocks: ['da39a3ee5e6b4b0d3255bfef95601890afd80709'],
  checkSha: '0123456789abcdeffedcba9876543210f0e1d2c3',
  checkData: '',
}

/** How many of the last bytes are check data: 1 to 128, 0 of an empty file. */
export function checkLength(size: number): number {
  return size === 0 ? 0 : size % 128 || 128
}

interface Waiter {
  resolve(states: Sha1States): void
  reject(error: Error): void
}

export class Sha1Hasher {
  readonly #waiters = new Map<number, Waiter>()
  #worker: Worker | undefined
  #lastId = 0

  /** Reads `size` bytes of a file from `start` on. Rejects when they cannot be read. */
  states(
    file: { readonly path: string; readonly start: number },
    size: number,
    blockBytes: number,
  ): Promise<Sha1States> {
    const { promise, ...waiter } = Promise.withResolvers<Sha1States>()
    const id = ++this.#lastId
    this.#waiters.set(id, waiter)
    this.#worker ??= this.#start()
    this.#worker.ref()
    const { path, start } = file
    this.#worker.postMessage({ id, path, start, size, blockBytes } satisfies Sha1Request)
    return promise
  }

  /** Ends the thread; what it has not finished is rejected. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const name = import.meta.url.endsWith('.ts') ? './sha1-worker.ts' : './sha1-worker.js'
    const worker = new Worker(new URL(name, import.meta.url), { name: 'sha1' })
    let failure = new Error('the hash thread ended')
    worker.on('message', (reply: Sha1Reply) => this.#settle(reply))
    worker.on('error', (error) => {
      failure = error
    })
    worker.on('exit', () => {
      this.#worker = undefined
      for (const id of [...this.#waiters.keys()]) this.#take(id)?.reject(failure)
    })
    return worker
  }

  #settle(reply: Sha1Reply): void {
    const waiter = this.#take(reply.id)
    if ('states' in reply) waiter?.resolve(reply.states)
    else waiter?.reject(new Error(reply.error.message))
  }

  /** Without work, the thread must not keep the process from ending. */
  #take(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id)
    this.#waiters.delete(id)
    if (this.#waiters.size === 0) this.#worker?.unref()
    return waiter
  }
}
