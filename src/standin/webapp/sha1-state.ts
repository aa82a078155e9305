// SHA-1 with its state in the open: the uploads of this generation name the state after every block
// and the service goes on from there (webapp.md, 7.4). Written from FIPS 180-4 and used by nobody
// else, so that a client's mistake meets a second reading. Whole digests are Node's own.

const CHUNK_BYTES = 64
const STATE = /^[0-9a-f]{40}$/

/** State before the first byte, as the wire writes it. */
export const INITIAL_STATE = '0123456789abcdeffedcba9876543210f0e1d2c3'

/**
 * The state after `bytes`, a whole number of 64-byte chunks.
 * @param state 40 hex characters: five words, each little-endian
 */
export function advanceState(state: string, bytes: Buffer): string {
  const words = wordsOf(state)
  compress(words, bytes)
  const out = Buffer.alloc(20)
  for (const [i, word] of words.entries()) out.writeInt32LE(word, 4 * i)
  return out.toString('hex')
}

/**
 * The ordinary SHA-1 of a file of `size` bytes that ends in `tail`.
 * @param state the state before `tail`, which comes after a whole number of chunks
 */
export function finishState(state: string, size: number, tail: Buffer): string {
  const words = wordsOf(state)
  const padding = Buffer.alloc(CHUNK_BYTES - ((tail.length + 8) % CHUNK_BYTES) + 8)
  padding[0] = 0x80
  padding.writeBigUInt64BE(8n * BigInt(size), padding.length - 8)
  compress(words, Buffer.concat([tail, padding]))
  const out = Buffer.alloc(20)
  for (const [i, word] of words.entries()) out.writeInt32BE(word, 4 * i)
  return out.toString('hex')
}

function wordsOf(state: string): Int32Array {
  if (!STATE.test(state)) throw new Error('not a SHA-1 state')
  const bytes = Buffer.from(state, 'hex')
  return Int32Array.from({ length: 5 }, (_, i) => bytes.readInt32LE(4 * i))
}

const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))

/** FIPS 180-4, section 6.1.2, for each chunk. `words` is changed in place. */
function compress(words: Int32Array, bytes: Buffer): void {
  if (bytes.length % CHUNK_BYTES !== 0) throw new Error('not a whole number of chunks')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const w = new Int32Array(80)
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    for (let t = 0; t < 16; t++) w[t] = view.getInt32(at + 4 * t)
    for (let t = 16; t < 80; t++) {
      w[t] = rotate(w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!, 1)
    }
    rounds(words, w)
  }
}

/**
 * The 80 rounds of a chunk. Spelled out, with a loop for each kind of round, and with sums cut to
 * 32 bits early: anything shorter costs the engine its integer arithmetic and a factor of three to
 * five.
 */
function rounds(words: Int32Array, w: Int32Array): void {
  let [a, b, c, d, e] = [words[0]!, words[1]!, words[2]!, words[3]!, words[4]!]
  for (let t = 0; t < 20; t++) {
    const mixed = (b & c) | (~b & d)
    const next = ((rotate(a, 5) + mixed) >> 0) + ((e + w[t]!) >> 0) + 0x5a827999
    e = d
    d = c
    c = rotate(b, 30)
    b = a
    a = next >> 0
  }
  for (let t = 20; t < 40; t++) {
    const mixed = b ^ c ^ d
    const next = ((rotate(a, 5) + mixed) >> 0) + ((e + w[t]!) >> 0) + 0x6ed9eba1
    e = d
    d = c
    c = rotate(b, 30)
    b = a
    a = next >> 0
  }
  for (let t = 40; t < 60; t++) {
    const mixed = (b & c) | (b & d) | (c & d)
    const next = ((rotate(a, 5) + mixed) >> 0) + ((e + w[t]!) >> 0) + 0x8f1bbcdc
    e = d
    d = c
    c = rotate(b, 30)
    b = a
    a = next >> 0
  }
  for (let t = 60; t < 80; t++) {
    const mixed = b ^ c ^ d
    const next = ((rotate(a, 5) + mixed) >> 0) + ((e + w[t]!) >> 0) + 0xca62c1d6
    e = d
    d = c
    c = rotate(b, 30)
    b = a
    a = next >> 0
  }
  words[0]! += a
  words[1]! += b
  words[2]! += c
  words[3]! += d
  words[4]! += e
}
