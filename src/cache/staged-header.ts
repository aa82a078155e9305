// How a staged file describes itself. Its first 64 KiB are two slots that are written in turn, so
// that a torn write leaves the description before it:
//
//   0  magic "WYSTAGED"      16  sequence number, u64   28  zero
//   8  format version, u32   24  CRC-32 of bytes 8-23   32  JSON
//  12  JSON bytes, u32           and of the JSON
//
// Numbers are little endian. The slot of sequence number n is n mod 2; the higher one counts.
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { ExtentSet } from '../base/extents.ts'

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** What an owner tells about a staged file. */
export interface StagedAbout {
  /** Names from the drive's top down. */
  path: string[]
  mtimeMs: number
  atimeMs: number
  ctimeMs: number
  mode?: number
  /** A close(2) or fsync(2) has promised these bytes to somebody. */
  closed: boolean
  /** The version whose bytes show through where nothing was written; absent for a new file. */
  base?: { sha1: string; size: number; [key: string]: Json } | undefined
  /** Whatever else the owner wants back. */
  extra?: Json | undefined
}

/** ... and what the file adds about its bytes. */
export interface StagedDescription extends StagedAbout {
  size: number
  /** The written ranges, flat (see ExtentSet). */
  extents: number[]
}

export interface Slot {
  sequence: number
  description: StagedDescription
  /** The file was being cut to this size: what lies beyond is older than the description. */
  cutting: boolean
}

export const SLOT_BYTES = 32 * 1024
/** Where the bytes of the file begin. */
export const DATA_START = 2 * SLOT_BYTES

const MAGIC = Buffer.from('WYSTAGED')
const VERSION = 1
const JSON_START = 32

/** Throws RangeError when the description does not fit a slot. */
export function encodeSlot({ sequence, description, cutting }: Slot): Buffer {
  const json = Buffer.from(JSON.stringify({ ...description, cutting }))
  if (JSON_START + json.length > SLOT_BYTES) {
    throw new RangeError('the description of a staged file is too long')
  }
  const slot = Buffer.alloc(JSON_START + json.length)
  MAGIC.copy(slot)
  slot.writeUInt32LE(VERSION, 8)
  slot.writeUInt32LE(json.length, 12)
  slot.writeBigUInt64LE(BigInt(sequence), 16)
  slot.writeUInt32LE(checksum(slot, json), 24)
  json.copy(slot, JSON_START)
  return slot
}

/** Where in the file a slot has its place. */
export function slotStart(sequence: number): number {
  return (sequence % 2) * SLOT_BYTES
}

/** The newest whole slot of the two; undefined without one, or when a later program wrote here. */
export function decodeSlots(header: Buffer): Slot | undefined {
  const halves = [header.subarray(0, SLOT_BYTES), header.subarray(SLOT_BYTES, DATA_START)]
  // Going back to the older slot would undo what the later program recorded in the newer.
  if (halves.some((half) => isMagic(half) && half.readUInt32LE(8) > VERSION)) return undefined
  const slots = halves.map(decodeSlot).filter((slot) => slot !== undefined)
  return slots.sort((a, b) => b.sequence - a.sequence)[0]
}

/**
 * Reads what an open file says of itself, brought up to date with what was appended after it was
 * said: those bytes were written by somebody. `fileBytes`: the length of the file, if it is known.
 */
export async function readSlot(handle: FileHandle, fileBytes?: number): Promise<Slot | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(DATA_START), 0, DATA_START, 0)
  const slot = decodeSlots(buffer.subarray(0, bytesRead))
  if (slot === undefined || slot.cutting) return slot
  const { description } = slot
  const sizeOnDisk = (fileBytes ?? (await handle.stat()).size) - DATA_START
  if (sizeOnDisk <= description.size) return slot
  const extents = ExtentSet.fromJSON(description.extents)
  extents.add(description.size, sizeOnDisk)
  return { ...slot, description: { ...description, size: sizeOnDisk, extents: extents.toJSON() } }
}

function decodeSlot(half: Buffer): Slot | undefined {
  if (!isMagic(half)) return undefined
  const json = half.subarray(JSON_START, JSON_START + half.readUInt32LE(12))
  if (half.readUInt32LE(24) !== checksum(half, json)) return undefined
  const { cutting, ...description } = JSON.parse(json.toString())
  return { sequence: Number(half.readBigUInt64LE(16)), description, cutting }
}

function isMagic(half: Buffer): boolean {
  return half.length >= JSON_START && half.subarray(0, MAGIC.length).equals(MAGIC)
}

function checksum(head: Buffer, json: Buffer): number {
  return crc32(json, crc32(head.subarray(8, 24)))
}
