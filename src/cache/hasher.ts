// Hashes files in threads of its own, so that the event loop which serves the kernel never does.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Digests } from './digest.ts'
import type { HashJob, HashPart, HashReply, HashRequest } from './hash-worker.ts'

export type { Digests } from './digest.ts'
export type { HashPart } from './hash-worker.ts'

/** Hashes parts of files as they come, one after another: the SHA-1 alone. */
export interface Series {
  add(part: HashPart): void
  /** Nothing more comes. Rejects when a part could not be read. */
  finish(): Promise<string>
  /** Stops; needed only instead of `finish`. */
  cancel(): void
}

interface Waiter {
  resolve(digests: Digests): void
  reject(error: unknown): void
}

const THREADS_MAX = 4

export class Hasher {
  readonly #threads: Thread[] = []
  readonly #max: number
  #closed = false

  private constructor(max: number) {
    this.#max = max
  }

  /** Threads start when there is work for them, at most one less than the machine has cores. */
  static start(
    threadsMax = Math.min(THREADS_MAX, Math.max(1, availableParallelism() - 1)),
  ): Hasher {
    return new Hasher(threadsMax)
  }

  /** Hashes the parts one after another. Holes in a sparse file are zeros. */
  hash(parts: readonly HashPart[]): Promise<Digests> {
    const size = parts.reduce((sum, part) => sum + part.length, 0)
    const { promise, ...waiter } = Promise.withResolvers<Digests>()
    this.#thread().start({ parts: [...parts], until: size, size }, waiter)
    return promise
  }

  /** The SHA-1 alone, in a third of the time. */
  async sha1(parts: readonly HashPart[]): Promise<string> {
    const size = parts.reduce((sum, part) => sum + part.length, 0)
    const { promise, ...waiter } = Promise.withResolvers<Digests>()
    this.#thread().start({ parts: [...parts], until: size, size, sha1Only: true }, waiter)
    return (await promise).sha1
  }

  series(): Series {
    const thread = this.#thread()
    const { promise, ...waiter } = Promise.withResolvers<Digests>()
    promise.catch(() => {}) // who never calls finish does not want to know
    const id = thread.start({ parts: [], until: 0, sha1Only: true }, waiter)
    let until = 0
    return {
      add(part) {
        until += part.length
        thread.send({ kind: 'advance', id, until, part })
      },
      async finish() {
        thread.send({ kind: 'advance', id, until, size: until })
        return (await promise).sha1
      },
      cancel: () => thread.cancel(id),
    }
  }

  /** Ends the threads; what they have not finished is rejected. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.map((thread) => thread.stop()))
  }

  /** The thread with the least to do; a new one rather than one that is busy. */
  #thread(): Thread {
    if (this.#closed) throw new Error('the hasher is closed')
    const [idlest] = this.#threads.toSorted((a, b) => a.load - b.load)
    if (idlest !== undefined && (idlest.load === 0 || this.#threads.length >= this.#max)) {
      return idlest
    }
    const thread = new Thread(() => this.#threads.splice(this.#threads.indexOf(thread), 1))
    this.#threads.push(thread)
    return thread
  }
}

class Thread {
  readonly #worker: Worker
  readonly #waiters = new Map<number, Waiter>()
  #outbox: HashRequest[] = []
  #isStopped = false
  #lastId = 0

  constructor(onEnd: () => void) {
    const name = import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js'
    this.#worker = new Worker(new URL(name, import.meta.url), { name: 'hash' })
    this.#worker.unref()
    this.#worker.on('message', (replies: HashReply[]) => {
      for (const reply of replies) this.#settle(reply)
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', () => {
      onEnd()
      this.#fail(new Error('a hash thread ended'))
    })
  }

  get load(): number {
    return this.#waiters.size
  }

  start(job: HashJob, waiter: Waiter): number {
    const id = ++this.#lastId
    this.#waiters.set(id, waiter)
    this.#worker.ref()
    this.send({ kind: 'start', id, ...job })
    return id
  }

  /** What is sent in one turn of the event loop goes out as one message. */
  send(request: HashRequest): void {
    if (this.#outbox.length === 0) {
      queueMicrotask(() => {
        this.#worker.postMessage(this.#outbox)
        this.#outbox = []
      })
    }
    this.#outbox.push(request)
  }

  cancel(id: number): void {
    this.#take(id)?.reject(new Error('hashing was cancelled'))
    this.send({ kind: 'cancel', id })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#worker.terminate()
  }

  #settle(reply: HashReply): void {
    const waiter = this.#take(reply.id)
    if ('digests' in reply) waiter?.resolve(reply.digests)
    else waiter?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }))
  }

  /** Without work, the thread must not keep the process from ending, unless its end is awaited. */
  #take(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id)
    this.#waiters.delete(id)
    if (this.#waiters.size === 0 && !this.#isStopped) this.#worker.unref()
    return waiter
  }

  #fail(error: unknown): void {
    for (const id of [...this.#waiters.keys()]) this.#take(id)?.reject(error)
  }
}
