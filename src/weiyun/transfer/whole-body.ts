// Ranges off a data server that always sends whole files. Skipping to the range is the only way,
// so the body stays open afterwards: what is read in order then costs one pass, not one for each
// range.
import type { Call } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import { Lane } from '../lanes.ts'
import type { HttpReply } from '../transport.ts'

/** After this time without a reader the body is closed, and ranges are tried again. */
const IDLE_MS = 10_000
const FILES_MAX = 16

interface WholeFile {
  /** One reader at a time: the next one goes on where this one stops. */
  readonly turn: Lane
  body?: OpenBody | undefined
  idle?: NodeJS.Timeout | undefined
}

class OpenBody {
  position = 0
  readonly discard: () => void
  readonly #parts: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(reply: HttpReply) {
    this.#parts = reply.body[Symbol.asyncIterator]()
    this.discard = reply.discard
  }

  /** Up to `length` bytes, at least one; `undefined` at the end. */
  async next(length: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#parts.next()
      if (done) return undefined
      this.#rest = value
    }
    const part = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(part.length)
    this.position += part.length
    return part
  }
}

export class WholeBodies {
  readonly #files = new Map<string, WholeFile>()

  /** Whether this file's server was seen to ignore ranges. */
  has(key: string): boolean {
    return this.#files.has(key)
  }

  /**
   * Yields the bytes from `position` up to `end`, or fewer when the body ends early. `open`
   * requests the whole file; it is called when no open body stands at or before `position`.
   */
  async *read(
    key: string,
    position: number,
    end: number,
    call: Call,
    open: () => Promise<HttpReply>,
  ): AsyncGenerator<Buffer> {
    const file = this.#file(key)
    const release = await file.turn.enter(call)
    let isWhole = false
    const onAbort = () => file.body?.discard()
    call.signal.addEventListener('abort', onAbort, { once: true })
    try {
      clearTimeout(file.idle)
      const body = await this.#bodyAt(file, position, open)
      yield* readUpTo(body, position, end, call)
      isWhole = body.position === end
    } finally {
      call.signal.removeEventListener('abort', onAbort)
      if (!isWhole) this.#drop(file)
      file.idle = setTimeout(() => this.#forget(key, file), IDLE_MS).unref()
      release()
    }
  }

  close(): void {
    for (const [key, file] of this.#files) this.#forget(key, file)
  }

  #file(key: string): WholeFile {
    const file = this.#files.get(key) ?? { turn: new Lane(1) }
    this.#files.delete(key)
    this.#files.set(key, file)
    const [oldest] = this.#files
    if (this.#files.size > FILES_MAX && oldest !== undefined) this.#forget(...oldest)
    return file
  }

  #forget(key: string, file: WholeFile): void {
    this.#drop(file)
    this.#files.delete(key)
  }

  async #bodyAt(
    file: WholeFile,
    position: number,
    open: () => Promise<HttpReply>,
  ): Promise<OpenBody> {
    if (file.body !== undefined && file.body.position <= position) return file.body
    this.#drop(file)
    file.body = new OpenBody(await open())
    return file.body
  }

  #drop(file: WholeFile): void {
    clearTimeout(file.idle)
    file.body?.discard()
    file.body = undefined
  }
}

async function* readUpTo(
  body: OpenBody,
  position: number,
  end: number,
  call: Call,
): AsyncGenerator<Buffer> {
  while (body.position < end) {
    call.throwIfAborted()
    const isBefore = body.position < position
    const part = await body.next((isBefore ? position : end) - body.position)
    if (part === undefined) throw new WeiyunError('CORRUPT', `the body stopped at ${body.position}`)
    call.progress()
    if (!isBefore) yield part
  }
}
