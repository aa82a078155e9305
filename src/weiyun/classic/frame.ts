// Frames of the data server (protocol notes, classic 6c; newcgi 5.2). All integers are big-endian:
//   u32 0xABCD9876, u32 1000, u32 0, u32 length of all that follows,
//   u16 n, n bytes of check_key, u16 n, n bytes of file_key,
//   u32 file size, u32 offset, u32 length of the chunk, the chunk
// and the reply: 8 bytes, i32 result, 4 bytes, u8 flag (0: go on), i32 next offset when the flag
// is 0.
import { WeiyunError } from '../errors.ts'

const MAGIC = 0xabcd9876
const KIND = 1000
const HEADER_BYTES = 16

/** Largest chunk that the data server is known to take. */
export const CHUNK_BYTES_MAX = 128 * 1024

export interface FrameKeys {
  /** Hex, as announced. */
  readonly checkKey: string
  readonly fileKey: string
}

/** A chunk as the body of one request. `size` and `offset` have to fit into 32 bits. */
export function encodeFrame(keys: FrameKeys, size: number, offset: number, chunk: Buffer): Buffer {
  const parts = [
    prefixed(keys.checkKey),
    prefixed(keys.fileKey),
    words(size, offset, chunk.length),
    chunk,
  ]
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([words(MAGIC, KIND, 0, length), ...parts], HEADER_BYTES + length)
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4)
  })
  return bytes
}

function prefixed(hex: string): Buffer {
  const key = Buffer.from(hex, 'hex')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(key.length)
  return Buffer.concat([length, key])
}

export interface FrameReply {
  /** 0, or one of the data server's error numbers. */
  readonly ret: number
  /** Where the server wants to go on; `undefined` when it has the whole file. */
  readonly next: number | undefined
}

/** Reads the reply to one frame; BAD_REPLY when it is too short for what it says. */
export function decodeFrameReply(reply: Buffer): FrameReply {
  const ret = reply.length >= HEADER_BYTES ? reply.readInt32BE(8) : undefined
  if (ret) return { ret, next: undefined }
  const flag = reply[HEADER_BYTES]
  if (ret === undefined || flag === undefined || (flag === 0 && reply.length < 21)) {
    throw new WeiyunError('BAD_REPLY', `the data server answered ${reply.length} bytes, too few`)
  }
  return { ret, next: flag === 0 ? reply.readInt32BE(17) : undefined }
}
