// The seal of a file: a checksum beside it, written once it is closed in an orderly way and taken
// off before it is opened again. What the disk did to it in between is noticed to the last bit, for
// the price of reading it once. A program that knows nothing of seals may have written to it too:
// the time of that tells.
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'

/** `none`: not closed in an orderly way, not sealed, or written to by somebody since. */
export type SealState = 'intact' | 'broken' | 'none'

const PIECE_BYTES = 1024 * 1024

/** Seals a file that nobody has open. Rejects with what reading and writing reject with. */
export async function seal(path: string): Promise<void> {
  await writeFile(sealOf(path), JSON.stringify(await look(path)), { mode: 0o600 })
}

/** Takes the seal off a file, and tells whether the file is as it was sealed. */
export async function breakSeal(path: string): Promise<SealState> {
  const text = await readFile(sealOf(path), 'utf8').catch(() => undefined)
  if (text === undefined) return 'none'
  await rm(sealOf(path))
  try {
    const sealed = JSON.parse(text) as Look
    const here = await look(path)
    if (here.mtimeMs !== sealed.mtimeMs) return 'none'
    return here.size === sealed.size && here.crc === sealed.crc ? 'intact' : 'broken'
  } catch {
    return 'none'
  }
}

interface Look {
  mtimeMs: number
  size: number
  crc: number
}

function sealOf(path: string): string {
  return `${path}.seal`
}

async function look(path: string): Promise<Look> {
  await using file = await open(path)
  const { mtimeMs } = await file.stat()
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  const found = { mtimeMs: Math.floor(mtimeMs), size: 0, crc: 0 }
  for (;;) {
    const { bytesRead } = await file.read(buffer)
    if (bytesRead === 0) return found
    found.size += bytesRead
    found.crc = crc32(buffer.subarray(0, bytesRead), found.crc)
  }
}
