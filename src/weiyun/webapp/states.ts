// The SHA-1 states of contents that are on their way, or were not long ago: an attempt that goes
// on later and a copy of what was sent do without reading the file again.
import { LRUCache } from 'lru-cache'
import type { Call } from '../call.ts'
import type { UploadSource } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import { EMPTY_STATES, Sha1Hasher, type Sha1States } from '../transfer/sha1-states.ts'
import { BLOCK_BYTES } from './announce.ts'

/** Of all contents together; 64 Ki of them are 64 GiB of files in some 6 MiB of memory. */
const BLOCKS_MAX = 64 * 1024

export class KnownStates {
  readonly #hasher = new Sha1Hasher()
  readonly #known = new LRUCache<string, Sha1States>({
    maxSize: BLOCKS_MAX,
    sizeCalculation: ({ blocks }) => blocks.length,
  })

  /** Without reading anything. */
  peek(content: { readonly sha1: string; readonly size: number }): Sha1States | undefined {
    return content.size === 0 ? EMPTY_STATES : this.#known.get(content.sha1)
  }

  /** CORRUPT when the bytes cannot be read, or are not those of the source's hash. */
  async of(source: UploadSource, call: Call): Promise<Sha1States> {
    const known = this.peek(source)
    if (known !== undefined) return known
    call.pause()
    const states = await call.join(this.#compute(source))
    call.progress()
    if (states.sha1 !== source.sha1) {
      throw new WeiyunError('CORRUPT', 'the file to be sent is not what it was when it was hashed')
    }
    this.#known.set(source.sha1, states)
    return states
  }

  /** The service did not find the bytes to be what the states say. */
  forget({ sha1 }: { readonly sha1: string }): void {
    this.#known.delete(sha1)
  }

  close(): Promise<void> {
    return this.#hasher.close()
  }

  async #compute({ file, size }: UploadSource): Promise<Sha1States> {
    try {
      return await this.#hasher.states(file, size, BLOCK_BYTES)
    } catch (cause) {
      throw new WeiyunError('CORRUPT', 'the file to be sent cannot be read', { cause })
    }
  }
}
