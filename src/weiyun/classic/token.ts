// The two numbers that a session's skey proves itself with (protocol notes, classic 2; vectors
// classic.json).
import { createHash } from 'node:crypto'

const SEED = 5381
const SALT = 'tencentQQVIP123443safde&!%^%1282'

/** `g_tk`: hash of the skey, 31 bits. */
export function gtkOf(skey: string): number {
  let hash = SEED
  // `| 0` is the point here: arithmetic modulo 2^32, where plain numbers would lose their low bits.
  for (const code of codesOf(skey)) hash = (hash + (hash << 5) + code) | 0
  return hash & 0x7fffffff
}

/**
 * `token`: MD5 over one decimal number for each character, which mixes in the character before it.
 */
export function tokenOf(skey: string): string {
  const codes = codesOf(skey)
  const before = [SEED, ...codes.slice(0, -1)]
  const numbers = codes.map((code, index) => ((before[index] ?? 0) << 5) + code)
  return createHash('md5')
    .update([SEED << 5, ...numbers].join('') + SALT)
    .digest('hex')
}

function codesOf(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => text.charCodeAt(index))
}
