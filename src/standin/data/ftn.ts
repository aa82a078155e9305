// Frames of the chunked upload: the service's side of the codec (classic.md, 6c; newcgi.md, 5.2).
// All integers are big-endian; the numbers are bytes.
//
//   request:  4 abcd9876 | 4 the number 1000 | 4 zero | 4 length of all that follows
//             2 length of the check key | n check key | 2 length of the file key | n file key
//             4 size of the file | 4 offset | 4 length of the chunk | n chunk
//   reply:    4 abcd9876 | 4 the number 1000 | 4 code | 4 length of all that follows
//             1 done | 4 next offset

const MAGIC = 0xabcd9876
const COMMAND = 1000

export interface Frame {
  /** Hex. */
  checkKey: string
  /** Hex. */
  fileKey: string
  size: number
  offset: number
  chunk: Buffer
}

export class FrameError extends Error {
  override name = 'FrameError'
}

/** Reads one frame, which must fill `bytes` exactly. */
export function parseFrame(bytes: Buffer): Frame {
  let at = 0
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new FrameError('frame ends early')
    at += length
    return bytes.subarray(at - length, at)
  }
  const int = () => take(4).readUInt32BE()
  const key = () => take(take(2).readUInt16BE()).toString('hex')
  if (int() !== MAGIC || int() !== COMMAND || int() !== 0) throw new FrameError('frame header')
  if (int() !== bytes.length - at) throw new FrameError('frame length')
  const frame = { checkKey: key(), fileKey: key(), size: int(), offset: int(), chunk: take(int()) }
  if (at !== bytes.length) throw new FrameError('bytes after the chunk')
  return frame
}

/**
 * The reply to a chunk. What its first 8 bytes hold is not known; here they repeat the request's
 * [I].
 */
export function ftnReply(code: number, done: boolean, next: number): Buffer {
  const bytes = Buffer.alloc(21)
  bytes.writeUInt32BE(MAGIC, 0)
  bytes.writeUInt32BE(COMMAND, 4)
  bytes.writeInt32BE(code, 8)
  bytes.writeUInt32BE(5, 12)
  bytes.writeUInt8(done ? 1 : 0, 16)
  bytes.writeUInt32BE(next, 17)
  return bytes
}
