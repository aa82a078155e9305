// PNG pictures, for the few that the service shows: avatars and QR codes.
import { promisify } from 'node:util'
import { crc32, deflate } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

/** A square PNG. @param colourAt 0xRRGGBB of each point, the first row first */
export async function squarePng(
  edge: number,
  colourAt: (x: number, y: number) => number,
): Promise<Buffer> {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(edge, 0)
  header.writeUInt32BE(edge, 4)
  header.set([8, 2], 8)
  const rows = Array.from({ length: edge }, (_, y) => {
    const row = Buffer.alloc(1 + 3 * edge)
    for (let x = 0; x < edge; x++) row.writeUIntBE(colourAt(x, y), 1 + 3 * x, 3)
    return row
  })
  const pixels = await promisify(deflate)(Buffer.concat(rows))
  const chunks = [chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([SIGNATURE, ...chunks])
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const check = Buffer.alloc(4)
  check.writeUInt32BE(crc32(typed))
  return Buffer.concat([length, typed, check])
}
