// Checks a content against the hash in the listing once it is here whole. Of a large one that
// arrives from front to back most is hashed by then: whoever reads its end does not wait for that.
import { crc32 } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import type { Logger } from '../base/log.ts'
import type { BlockCache, ContentId, FilePart } from '../cache/blocks.ts'
import type { Hasher, Series } from '../cache/hasher.ts'
import type { Fetcher } from './fetcher.ts'

/** Contents that are hashed while they arrive; of further ones, those that arrived last. */
const ARRIVING_MAX = 16

/** What was hashed so far of a content that is still arriving. */
interface Arriving {
  readonly series: Series
  readonly parts: FilePart[]
  bytes: number
}

interface CheckerParts {
  blocks: BlockCache
  fetcher: Fetcher
  hasher: Hasher
  log: Logger
}

export class Checker {
  readonly #blocks: BlockCache
  readonly #fetcher: Fetcher
  readonly #hasher: Hasher
  readonly #log: Logger
  readonly #checks = new Map<string, Promise<void>>()
  readonly #spoiled = new Map<string, number>()
  readonly #arriving = new LRUCache<string, Arriving>({
    max: ARRIVING_MAX,
    dispose: ({ series }) => series.cancel(),
  })

  constructor({ blocks, fetcher, hasher, log }: CheckerParts) {
    this.#blocks = blocks
    this.#fetcher = fetcher
    this.#hasher = hasher
    this.#log = log
    fetcher.onArrived = ({ content }) => {
      this.#arrived(content).catch((error: unknown) =>
        log.warn({ err: error }, 'what arrived could not be checked'),
      )
    }
  }

  async #arrived(content: ContentId): Promise<void> {
    if (this.#blocks.complete(content)) await this.check(content)
    else this.#follow(content)
  }

  /**
   * How often a content arrived with wrong bytes. What anybody kept of it before the last time is
   * not to be trusted.
   */
  spoiledSoFar(content: ContentId): number {
    return this.#spoiled.get(keyOf(content)) ?? 0
  }

  /** Checks a content that is here whole, once; what proves wrong is dropped and counted. */
  check(content: ContentId): Promise<void> {
    const key = keyOf(content)
    const running = this.#checks.get(key)
    if (running !== undefined) return running
    if (this.#blocks.verified(content) || !this.#blocks.complete(content)) return Promise.resolve()
    const check = this.#check(content).finally(() => this.#checks.delete(key))
    this.#checks.set(key, check)
    return check
  }

  /** What is here of a content is wrong: nobody may see it again. */
  async spoil(content: ContentId): Promise<void> {
    this.#countSpoiled(content)
    this.#arriving.delete(keyOf(content))
    // Until they are on disk, blocks count as on their way, and are given to whoever asks for them
    // again.
    await this.#fetcher.written(content)
    this.#fetcher.forget(content, () => false)
    await this.#blocks.drop(content)
  }

  /**
   * The cache got a content from an upload of ours, with the CRC-32 of each block: what came of it
   * from the service need not be right, and whoever was given wrong bytes is to hear of it.
   */
  adopted(content: ContentId, crcs: Uint32Array): void {
    this.#arriving.delete(keyOf(content))
    const isRight = (index: number, block: Buffer): boolean => crc32(block) === crcs[index]
    if (!this.#fetcher.forget(content, isRight)) this.#countSpoiled(content)
    this.#blocks.setVerified(content, crcs)
  }

  #countSpoiled(content: ContentId): void {
    const { sha1, size } = content
    this.#log.error({ sha1, size }, 'content arrived with wrong bytes; dropped')
    this.#spoiled.set(keyOf(content), this.spoiledSoFar(content) + 1)
  }

  async #check(content: ContentId): Promise<void> {
    const parts = this.#blocks.parts(content)
    if (parts === undefined || this.#blocks.verified(content)) return
    const sha1 = (await this.#hashOfArrived(content)) ?? (await this.#hash(parts))
    // What this disk has lost is fetched again, and is nobody's error.
    const isDamaged = sha1 !== content.sha1 && (await this.#blocks.dropDamaged(content))
    // What has come since, from the service or by an upload of ours, was not hashed.
    if (!isSame(parts, this.#blocks.parts(content))) return this.#check(content)
    if (sha1 === content.sha1) this.#blocks.setVerified(content)
    // What could not be hashed has not proved wrong.
    else if (sha1 !== undefined && !isDamaged) await this.spoil(content)
  }

  /** Hashes what has arrived of a content without a gap. */
  #follow(content: ContentId): void {
    if (this.#blocks.verified(content)) return
    const key = keyOf(content)
    const known = this.#arriving.get(key)
    const parts = this.#blocks.partsFrom(content, known?.bytes ?? 0)
    if (parts.length === 0) return
    const arriving = known ?? { series: this.#hasher.series(), parts: [], bytes: 0 }
    if (known === undefined) this.#arriving.set(key, arriving)
    for (const part of parts) {
      arriving.series.add(part)
      arriving.parts.push(part)
      arriving.bytes += part.length
    }
  }

  /** The hash of a whole content, if it was hashed while it arrived and nothing changed since. */
  async #hashOfArrived(content: ContentId): Promise<string | undefined> {
    const key = keyOf(content)
    if (!this.#arriving.has(key)) return undefined
    this.#follow(content)
    const arriving = this.#arriving.get(key)
    const sha1 = await arriving?.series.finish().catch(() => undefined)
    this.#arriving.delete(key)
    return isSame(arriving?.parts, this.#blocks.parts(content)) ? sha1 : undefined
  }

  async #hash(parts: FilePart[]): Promise<string | undefined> {
    return this.#hasher.sha1(parts).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'cached blocks could not be read back')
      return undefined
    })
  }
}

function isSame(hashed: FilePart[] | undefined, here: FilePart[] | undefined): boolean {
  return (
    hashed?.length === here?.length &&
    hashed?.every(({ path, sum }, n) => path === here?.[n]?.path && sum === here[n].sum) === true
  )
}

function keyOf(content: ContentId): string {
  return `${content.sha1}-${content.size}`
}
