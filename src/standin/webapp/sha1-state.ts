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

// Wrapped at every step, so that the engine adds 32-bit integers and not floating-point numbers:
// five times the speed.
const add = (x: number, y: number): number => (x + y) >> 0
const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))
const choose = (x: number, y: number, z: number): number => (x & y) | (~x & z)
const parity = (x: number, y: number, z: number): number => x ^ y ^ z
const majority = (x: number, y: number, z: number): number => (x & y) | (x & z) | (y & z)

/** FIPS 180-4, section 6.1.2, for each chunk. `words` is changed in place. */
function compress(words: Int32Array, bytes: Buffer): void {
  if (bytes.length % CHUNK_BYTES !== 0) throw new Error('not a whole number of chunks')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const schedule = new Int32Array(80)
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    for (let t = 0; t < 16; t++) schedule[t] = view.getInt32(at + 4 * t)
    for (let t = 16; t < 80; t++) {
      const mixed = schedule[t - 3]! ^ schedule[t - 8]! ^ schedule[t - 14]! ^ schedule[t - 16]!
      schedule[t] = rotate(mixed, 1)
    }
    rounds(words, schedule)
  }
}

/** What the rounds work on, a to e; one for all calls, which never overlap. */
const v = new Int32Array(5)

function turn(mixed: number, word: number): void {
  const a = v[0]!
  const b = v[1]!
  const next = add(add(rotate(a, 5), mixed), add(v[4]!, word))
  v[4] = v[3]!
  v[3] = v[2]!
  v[2] = rotate(b, 30)
  v[1] = a
  v[0] = next
}

/** The 80 rounds of a chunk; a loop for each kind of round, again for speed. */
function rounds(words: Int32Array, schedule: Int32Array): void {
  v.set(words)
  for (let t = 0; t < 20; t++) turn(choose(v[1]!, v[2]!, v[3]!), add(schedule[t]!, 0x5a827999))
  for (let t = 20; t < 40; t++) turn(parity(v[1]!, v[2]!, v[3]!), add(schedule[t]!, 0x6ed9eba1))
  for (let t = 40; t < 60; t++) turn(majority(v[1]!, v[2]!, v[3]!), add(schedule[t]!, 0x8f1bbcdc))
  for (let t = 60; t < 80; t++) turn(parity(v[1]!, v[2]!, v[3]!), add(schedule[t]!, 0xca62c1d6))
  for (let i = 0; i < 5; i++) words[i]! += v[i]!
}
