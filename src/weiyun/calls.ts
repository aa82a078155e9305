// The calls of a drive that are under way, so that closing it ends them. Both dialects run every
// method of theirs through here.
import { Call, type CallSettings } from './call.ts'
import type { CallOptions } from './drive.ts'
import { WeiyunError } from './errors.ts'

export class Calls {
  readonly #settings: () => CallSettings
  readonly #running = new Set<Call>()
  #isClosed = false

  /** `settings` is asked for each call: the account's figures come later than the first calls. */
  constructor(settings: () => CallSettings) {
    this.#settings = settings
  }

  async run<T>(options: CallOptions, work: (call: Call) => Promise<T>): Promise<T> {
    const call = this.#begin(options)
    try {
      call.throwIfAborted()
      return await work(call)
    } finally {
      this.#end(call)
    }
  }

  /** The same for work that yields; the call lasts until its caller stops iterating. */
  async *stream<T>(
    options: CallOptions,
    work: (call: Call) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const call = this.#begin(options)
    try {
      call.throwIfAborted()
      yield* work(call)
    } finally {
      this.#end(call)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const call of this.#running) call.abort(closed())
  }

  #begin(options: CallOptions): Call {
    const call = new Call(options, this.#settings())
    if (this.#isClosed) call.abort(closed())
    this.#running.add(call)
    return call
  }

  #end(call: Call): void {
    call.end()
    this.#running.delete(call)
  }
}

function closed(): WeiyunError {
  return new WeiyunError('ABORTED', 'the drive is closed')
}
