// Bytes that follow from a number: the same everywhere, incompressible, and any part of them can be
// had without those before it.
import { createCipheriv, createHash } from 'node:crypto'

const PIECE_BYTES = 1024 * 1024
/** A block of the cipher, whose counter tells where it stands. */
const CIPHER_BYTES = 16

/** The bytes from `start` up to `size` that belong to `seed`. */
export function* seededContent(size: number, seed: number, start = 0): Generator<Buffer> {
  const key = createHash('md5').update(`standin:${seed}`).digest()
  const counter = Buffer.alloc(CIPHER_BYTES)
  counter.writeBigUInt64BE(BigInt(Math.floor(start / CIPHER_BYTES)), 8)
  const stream = createCipheriv('aes-128-ctr', key, counter)
  stream.update(Buffer.alloc(start % CIPHER_BYTES))
  for (let left = size - start; left > 0; left -= PIECE_BYTES) {
    yield stream.update(Buffer.alloc(Math.min(left, PIECE_BYTES)))
  }
}
