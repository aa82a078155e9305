// How contents lie on disk: cut into blocks, up to 256 blocks in a row to a sparse file (a
// segment), or the whole in one file that somebody else wrote and that was taken over as it was.
import { crc32 } from 'node:zlib'

/** A content, wherever and under whatever name it is found. */
export interface ContentId {
  /** Lower-case hex. */
  readonly sha1: string
  readonly size: number
}

/** The unit of caching, in bytes. */
export const BLOCK_SIZE = 64 * 1024
export const SEGMENT_BLOCKS = 256
/** Segment number of a file that holds the whole content. */
export const WHOLE = -1

export type BlockState = 0 | 1 | 2
/** Nothing on disk. */
export const ABSENT: BlockState = 0
/** On disk, and the CRC is known. */
export const PRESENT: BlockState = 1
/** Room on disk is taken and paid for, but what lies there is not known. */
export const SPOILT: BlockState = 2

/** What the index keeps of a segment; arrays have an element for each block. */
export interface SegmentRow {
  content: string
  number: number
  /** Where in the file the first block begins. */
  start: number
  /** Room accounted for, in bytes. */
  bytes: number
  /** Grows with every use. */
  used: number
  states: Uint8Array
  crcs: Uint8Array
}

/**
 * The name of a content in the index and on disk; undefined for what is no hash, and so cannot be
 * cached.
 */
export function contentKey({ sha1, size }: ContentId): string | undefined {
  return /^[0-9a-f]{40}$/.test(sha1) && Number.isSafeInteger(size) ? `${sha1}-${size}` : undefined
}

export function blockCount({ size }: ContentId): number {
  return Math.ceil(size / BLOCK_SIZE)
}

export function blockLength({ size }: ContentId, blockIndex: number): number {
  return Math.min(BLOCK_SIZE, size - blockIndex * BLOCK_SIZE)
}

/** The name of a segment's file, which begins with two hex digits. */
export function segmentName(content: string, number: number): string {
  return `${content}.${number === WHOLE ? 'whole' : number}`
}

/** The reverse of `segmentName`; undefined for names that it does not give. */
export function parseSegmentName(name: string): { content: string; number: number } | undefined {
  const [, content, number] = /^([0-9a-f]{40}-\d+)\.(whole|\d+)$/.exec(name) ?? []
  if (content === undefined || number === undefined) return undefined
  return { content, number: number === 'whole' ? WHOLE : Number(number) }
}

export class Segment {
  readonly content: string
  readonly number: number
  readonly name: string
  readonly start: number
  readonly states: Uint8Array
  readonly crcs: Uint32Array
  bytes: number
  used: number
  /** Blocks that are PRESENT. */
  present: number
  /** The file was made, or is being made. Without a block that is PRESENT nobody can know. */
  created: boolean
  /** Operations that hold this object now. */
  users = 0
  /** Differs from its row in the index, in more than `used`. */
  dirty = false
  /** Removed: the object must not come back into the index. */
  gone = false

  private constructor(row: Omit<SegmentRow, 'crcs'>, crcs: Uint32Array) {
    this.content = row.content
    this.number = row.number
    this.name = segmentName(row.content, row.number)
    this.start = row.start
    this.states = row.states
    this.crcs = crcs
    this.bytes = row.bytes
    this.used = row.used
    this.present = row.states.reduce((sum, state) => sum + (state === PRESENT ? 1 : 0), 0)
    this.created = this.present > 0
  }

  static create(id: ContentId, content: string, number: number, start = 0): Segment {
    const rest = blockCount(id) - Math.max(number, 0) * SEGMENT_BLOCKS
    const count = number === WHOLE ? rest : Math.min(rest, SEGMENT_BLOCKS)
    const row = { content, number, start, bytes: 0, used: 0, states: new Uint8Array(count) }
    return new Segment(row, new Uint32Array(count))
  }

  static fromRow(row: SegmentRow): Segment {
    const crcs = new Uint32Array(Uint8Array.from(row.crcs).buffer)
    return new Segment({ ...row, states: Uint8Array.from(row.states) }, crcs)
  }

  toRow(): SegmentRow {
    const { content, number, start, bytes, used, states } = this
    return { content, number, start, bytes, used, states, crcs: new Uint8Array(this.crcs.buffer) }
  }

  /** Index of the first block in the content. */
  get first(): number {
    return Math.max(this.number, 0) * SEGMENT_BLOCKS
  }

  /** Index of the block after the last. */
  get end(): number {
    return this.first + this.states.length
  }

  get full(): boolean {
    return this.present === this.states.length
  }

  /** Stands for the bytes of all blocks. */
  get sum(): number {
    return crc32(new Uint8Array(this.crcs.buffer))
  }

  state(blockIndex: number): number | undefined {
    return this.states[blockIndex - this.first]
  }

  /** Where in the file a block begins. */
  position(blockIndex: number): number {
    return this.start + (blockIndex - this.first) * BLOCK_SIZE
  }

  mark(blockIndex: number, state: BlockState, crc = 0): void {
    const at = blockIndex - this.first
    this.present += Number(state === PRESENT) - Number(this.states[at] === PRESENT)
    this.states[at] = state
    this.crcs[at] = crc
    this.dirty = true
  }

  /** True when its blocks have the checksums in `crcs`, which are those of the whole content. */
  has(crcs: Uint32Array): boolean {
    return this.crcs.every((crc, at) => crc === crcs[this.first + at])
  }

  /** True when `bytes` are what was put there. */
  matches(blockIndex: number, bytes: Buffer): boolean {
    return crc32(bytes) === this.crcs[blockIndex - this.first]
  }
}
