// The hashes that the service knows contents by, and the checksums that the block cache keeps, in
// one pass over the bytes.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { BLOCK_SIZE } from './segment.ts'

/** Hashes are lower-case hex. */
export interface Digests {
  sha1: string
  md5: string
  /** CRC-32 of each block of BLOCK_SIZE, the last one as short as it is. */
  crcs: Uint32Array
}

export class Digest {
  readonly #sha1 = createHash('sha1')
  readonly #md5 = createHash('md5')
  readonly #sha1Only: boolean
  readonly #crcs: number[] = []
  #size = 0

  /** `sha1Only`: the other digests stay those of nothing. */
  constructor({ sha1Only = false }: { sha1Only?: boolean | undefined } = {}) {
    this.#sha1Only = sha1Only
  }

  update(bytes: Buffer): void {
    this.#sha1.update(bytes)
    if (this.#sha1Only) return
    this.#md5.update(bytes)
    for (let at = 0; at < bytes.length; ) {
      const inBlock = this.#size % BLOCK_SIZE
      const part = bytes.subarray(at, at + BLOCK_SIZE - inBlock)
      if (inBlock === 0) this.#crcs.push(crc32(part))
      else this.#crcs.push(crc32(part, this.#crcs.pop()))
      at += part.length
      this.#size += part.length
    }
  }

  /** To be called once, after the last byte. */
  finish(): Digests {
    return {
      sha1: this.#sha1.digest('hex'),
      md5: this.#md5.digest('hex'),
      crcs: Uint32Array.from(this.#crcs),
    }
  }
}

/** The CRC-32 of each block of a content that is at hand. */
export function crcsOf(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: Math.ceil(bytes.length / BLOCK_SIZE) }, (_, n) =>
    crc32(bytes.subarray(n * BLOCK_SIZE, (n + 1) * BLOCK_SIZE)),
  )
}

/** The digests of bytes that are at hand. */
export function digestsOf(bytes: Buffer): Digests {
  const digest = new Digest()
  digest.update(bytes)
  return digest.finish()
}
