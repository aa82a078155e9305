// How an announced file is cut into blocks, and whether what the client says about its SHA-1 can be
// true: the service proves the end of the file before it has seen a byte (webapp.md, 7.4).
import { RET, Refusal } from '../refusal.ts'
import type { Plan } from '../store/pieces.ts'
import { finishState } from './sha1-state.ts'

export interface Block {
  sha: string
  offset: number
  size: number
}

/** As in the request: what the front-end leaves out for small files is undefined. */
export interface Cut {
  block_size?: number | undefined
  block_info_list?: Block[] | undefined
  /** Always a state, but for a quirk of the front-end: the number 0 when the size is 128. */
  check_sha?: string | number | undefined
  check_data?: string | undefined
}

/** The end of the file is sent along up to this length. */
const CHECK_BYTES_MAX = 128

/** The plan of a file of `size` bytes, whose digest is its last state. */
export function planOf(size: number, cut: Cut): Plan {
  const { block_size: blockSize, block_info_list: blocks, check_sha, check_data } = cut
  if (
    blockSize === undefined ||
    blocks === undefined ||
    check_sha === undefined ||
    check_data === undefined
  ) {
    throw new Refusal(RET.BAD_UPLOAD, 'some of the four fields about blocks are missing')
  }
  checkBlocks(size, blockSize, blocks)
  const states = blocks.map(({ sha }) => sha)
  checkEnd(size, states.at(-1) ?? '', check_sha, check_data)
  return { blockSize, states }
}

/** Full blocks from the start; the last takes what is left, also when that is nothing. */
function checkBlocks(size: number, blockSize: number, blocks: Block[]): void {
  const count = Math.max(1, Math.ceil(size / blockSize))
  const fits = blocks.every(({ offset, size: length }, i) => {
    const end = Math.min(size, (i + 1) * blockSize)
    return offset === i * blockSize && length === end - offset
  })
  if (blocks.length !== count || !fits) {
    throw new Refusal(RET.BAD_UPLOAD, 'blocks do not cover the file')
  }
}

function checkEnd(size: number, sha: string, state: string | number, base64: string): void {
  const data = Buffer.from(base64, 'base64')
  const length = size === 0 ? 0 : size % CHECK_BYTES_MAX || CHECK_BYTES_MAX
  if (data.length !== length || data.toString('base64') !== base64) {
    throw new Refusal(RET.BAD_UPLOAD, `check_data is not the last ${length} bytes in base64`)
  }
  const quirk = (size < CHECK_BYTES_MAX && state === sha) || (size === CHECK_BYTES_MAX && !state)
  if (quirk) return
  if (typeof state === 'number' || finishState(state, size, data) !== sha) {
    throw new Refusal(RET.WRONG_SHA, 'check_sha and check_data do not lead to the digest')
  }
}
