// Puts a reply on the wire: whole or in pieces, at the simulated speed, and damaged where a fault
// says so.
import { createReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { type Body, type Reply, sizeOf } from './http.ts'
import { seededContent } from './store/seeded.ts'

const PIECE_BYTES_MAX = 256 * 1024
const PIECE_BYTES_MIN = 1024

export interface Line {
  /** Bytes a second, 0 for no limit. */
  bandwidth: number
  pass(size: number): Promise<void>
}

/**
 * Returns how many bytes of the body went out. `truncated` announces all of it, sends half and
 * hangs up.
 */
export async function send(
  response: ServerResponse,
  reply: Reply,
  damage: 'truncated' | 'corrupted' | undefined,
  line: Line,
): Promise<number> {
  const { body } = reply
  const size = sizeOf(body)
  response.writeHead(reply.status, { ...reply.headers, 'Content-Length': size })
  if (response.req.method === 'HEAD' || size === 0) {
    response.end()
    return 0
  }
  if (Buffer.isBuffer(body) && line.bandwidth === 0 && damage === undefined) {
    response.end(body)
    return size
  }
  const wanted = damage === 'truncated' ? Math.floor(size / 2) : size
  let sent = 0
  for await (const piece of piecesOf(body, pieceSize(line.bandwidth))) {
    const part = piece.subarray(0, wanted - sent)
    const middle = Math.floor(size / 2) - sent
    if (damage === 'corrupted' && middle >= 0 && middle < part.length) part[middle]! ^= 1
    await line.pass(part.length)
    if (response.destroyed) return sent
    sent += part.length
    if (!response.write(part)) await drained(response)
    if (sent === wanted) break
  }
  if (damage === 'truncated') response.socket?.destroySoon()
  else response.end()
  return sent
}

/** Small enough that a slow line delivers something about 50 times a second. */
function pieceSize(bandwidth: number): number {
  if (bandwidth === 0) return PIECE_BYTES_MAX
  return Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, Math.floor(bandwidth / 50)))
}

/** Pieces that their receiver may change. */
function piecesOf(body: Body, pieceBytes: number): AsyncIterable<Buffer> | Iterable<Buffer> {
  if (Buffer.isBuffer(body)) return slices(Buffer.from(body), pieceBytes)
  const { start, size } = body
  if ('seed' in body) return slicesOf(seededContent(start + size, body.seed, start), pieceBytes)
  return createReadStream(body.path, { start, end: start + size - 1, highWaterMark: pieceBytes })
}

function* slicesOf(parts: Iterable<Buffer>, pieceBytes: number): Iterable<Buffer> {
  for (const part of parts) yield* slices(part, pieceBytes)
}

function* slices(bytes: Buffer, pieceBytes: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}
