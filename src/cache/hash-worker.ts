// The thread that hashes, started by hasher.ts. It takes turns between its jobs, a slice each, so
// that a small file does not wait for a large one. Reading is synchronous here on purpose: this
// thread serves nobody else, and the threads that the event loop does its file work with stay free.
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { Digest, type Digests } from './digest.ts'

/** Part of a file. */
export interface HashPart {
  path: string
  start: number
  length: number
}

/** Parts in order. Bytes up to `until` are there now; with `size` known, the job ends there. */
export interface HashJob {
  parts: HashPart[]
  until: number
  size?: number
  sha1Only?: boolean
}

export type HashRequest =
  | ({ kind: 'start'; id: number } & HashJob)
  | { kind: 'advance'; id: number; until: number; size?: number; part?: HashPart }
  | { kind: 'cancel'; id: number }

export type HashReply =
  | { id: number; digests: Digests }
  | { id: number; error: { message: string; code: string | undefined } }

const SLICE_BYTES = 1024 * 1024

const buffer = Buffer.allocUnsafeSlow(SLICE_BYTES)

class Job {
  readonly #digest: Digest
  #fd: number | undefined
  /** Bytes hashed of the first of `parts`, and of all. */
  #doneInPart = 0
  #done = 0
  readonly parts: HashPart[]
  until: number
  size: number | undefined

  constructor({ parts, until, size, sha1Only }: HashJob) {
    this.#digest = new Digest({ sha1Only })
    this.parts = parts
    this.until = until
    this.size = size
  }

  get canGoOn(): boolean {
    return this.#done < this.until || this.size !== undefined
  }

  /** Hashes a slice; returns the result when it was the last. */
  step(): Digests | undefined {
    const size = this.size ?? Number.POSITIVE_INFINITY
    for (let left = SLICE_BYTES; left > 0 && this.#done < Math.min(this.until, size); ) {
      left -= this.#read(Math.min(left, this.until - this.#done, size - this.#done))
    }
    if (this.#done < size) return undefined
    this.close()
    return this.#digest.finish()
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #read(length: number): number {
    const [part] = this.parts
    if (part === undefined) throw broken('there are fewer bytes than expected')
    if (this.#doneInPart === part.length) {
      this.close()
      this.parts.shift()
      this.#doneInPart = 0
      return 0
    }
    this.#fd ??= openSync(part.path, 'r')
    const wanted = Math.min(length, part.length - this.#doneInPart)
    const count = readSync(this.#fd, buffer, 0, wanted, part.start + this.#doneInPart)
    if (count === 0) throw broken('a file is shorter than expected')
    this.#digest.update(buffer.subarray(0, count))
    this.#doneInPart += count
    this.#done += count
    return count
  }
}

function broken(message: string): Error {
  return Object.assign(new Error(message), { code: 'EIO' })
}

const jobs = new Map<number, Job>()
let scheduled = false

function receive(request: HashRequest): void {
  const job = jobs.get(request.id)
  if (request.kind === 'start') {
    jobs.set(request.id, new Job(request))
  } else if (request.kind === 'advance' && job !== undefined) {
    if (request.part !== undefined) job.parts.push(request.part)
    job.until = request.until
    job.size = request.size
  } else if (request.kind === 'cancel') {
    job?.close()
    jobs.delete(request.id)
  }
}

/** One slice of every job that can go on; replies go out together. */
function takeTurns(): void {
  scheduled = false
  const replies: HashReply[] = []
  for (const [id, job] of jobs) {
    if (!job.canGoOn) continue
    const reply = step(id, job)
    if (reply === undefined) continue
    jobs.delete(id)
    replies.push(reply)
  }
  if (replies.length > 0) parentPort?.postMessage(replies)
  schedule()
}

function step(id: number, job: Job): HashReply | undefined {
  try {
    const digests = job.step()
    return digests && { id, digests }
  } catch (error) {
    job.close()
    const { message, code } = error as NodeJS.ErrnoException
    return { id, error: { message, code } }
  }
}

/** Between two rounds the event loop brings new requests in. */
function schedule(): void {
  if (scheduled || ![...jobs.values()].some((job) => job.canGoOn)) return
  scheduled = true
  setImmediate(takeTurns)
}

parentPort?.on('message', (requests: HashRequest[]) => {
  for (const request of requests) receive(request)
  schedule()
})
