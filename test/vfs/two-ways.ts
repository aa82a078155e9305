// A content that comes from the service while it also comes here another way: by our own upload.
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t, { type Test } from 'tap'
import { BLOCK_SIZE, type ContentId } from '../../src/cache/blocks.ts'
import type { Source } from '../../src/vfs/fetcher.ts'
import { type Reader, ReadState } from '../../src/vfs/reader.ts'
import { tempDir } from '../fixtures/cli.ts'
import { openReading } from '../fixtures/reading.ts'

const SMALL = 3 * BLOCK_SIZE + 5
const LARGE = 40 * BLOCK_SIZE + 5

interface Rig {
  bytes: Buffer
  content: ContentId
  source: Source
  reader: Reader
  /** As after an upload of ours. */
  adopt(): Promise<void>
}

/** `onBlock` is waited for before the service sends that block, each with a wrong bit. */
async function openRig(t: Test, size: number, onBlock: (n: number) => Promise<void>): Promise<Rig> {
  const dir = await tempDir(t)
  const bytes = Buffer.alloc(size, 'what we sent')
  async function* read(_dir: unknown, _file: unknown, offset: number, length: number) {
    for (let at = offset; at < offset + length; at += BLOCK_SIZE) {
      await onBlock(at / BLOCK_SIZE)
      const block = Buffer.from(bytes.subarray(at, Math.min(at + BLOCK_SIZE, offset + length)))
      block[1] = (block[1] as number) ^ 1
      yield block
    }
  }
  const { blocks, checker, reader } = await openReading(t, join(dir, 'cache'), read)
  const content = { sha1: createHash('sha1').update(bytes).digest('hex'), size }
  const adopt = async (): Promise<void> => {
    const path = join(dir, 'staged')
    await writeFile(path, bytes)
    const count = Math.ceil(size / BLOCK_SIZE)
    const crcs = Uint32Array.from({ length: count }, (_, n) =>
      crc32(bytes.subarray(n * BLOCK_SIZE, (n + 1) * BLOCK_SIZE)),
    )
    await blocks.adopt(content, path, 0, crcs)
    checker.adopted(content, crcs)
  }
  const source = { content, file: {}, dir: () => ({}) } as unknown as Source
  return { bytes, content, source, reader, adopt }
}

for (const [words, size] of [
  ['small', SMALL],
  ['large', LARGE],
] as const) {
  for (const when of [0, 1, 2]) {
    t.test(
      `${words}, ours is here before block ${when} of theirs: never a wrong byte`,
      async (t) => {
        let adopting: Promise<void> | undefined
        const rig = await openRig(t, size, async (block) => {
          if (block === when) adopting ??= rig.adopt()
          await adopting
        })
        const state = new ReadState()
        const read = async (): Promise<string> => {
          const parts: Buffer[] = []
          for (let at = 0; at < size; at += BLOCK_SIZE)
            parts.push(await rig.reader.read(rig.source, state, at, BLOCK_SIZE))
          return Buffer.concat(parts).equals(rig.bytes) ? 'right' : 'wrong'
        }
        const first = await read().catch(({ code }) => code)
        t.match(first, when === 0 ? /^right$/ : /^right$|^EIO$/, 'right, or an error')
        rig.reader.release(state)
        const again = new ReadState()
        const bytes = await rig.reader.read(rig.source, again, 0, size)
        t.ok(bytes.equals(rig.bytes.subarray(0, bytes.length)), 'and right from then on')
      },
    )
  }
}
