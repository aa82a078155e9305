// Reading over a cache whose disk fails.
import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { BLOCK_SIZE } from '../../src/cache/blocks.ts'
import type { Source } from '../../src/vfs/fetcher.ts'
import { ReadState } from '../../src/vfs/reader.ts'
import { tempDir } from '../fixtures/cli.ts'
import { openCache, openReading } from '../fixtures/reading.ts'

const SMALL = Buffer.alloc(3 * BLOCK_SIZE + 5, 'what the drive has')
const LARGE = Buffer.alloc(20 * BLOCK_SIZE + 5, 'what the drive has')

function contentOf(bytes: Buffer) {
  return { sha1: createHash('sha1').update(bytes).digest('hex'), size: bytes.length }
}

/** A reader over a cache that has the bytes, as far as it knows. */
async function openReader(t: Test, dir: string, bytes: Buffer) {
  async function* read(_dir: unknown, _file: unknown, offset: number, length: number) {
    yield Buffer.from(bytes.subarray(offset, offset + length))
  }
  const { blocks, reader } = await openReading(t, dir, read)
  const source = { content: contentOf(bytes), file: {}, dir: () => ({}) } as unknown as Source
  return { blocks, read: () => reader.read(source, new ReadState(), 0, bytes.length) }
}

/** Puts the bytes into the cache and closes it; where its only file is. */
async function fill(dir: string, bytes: Buffer): Promise<string> {
  const content = contentOf(bytes)
  const cache = await openCache(dir)
  for (let n = 0; n * BLOCK_SIZE < bytes.length; n++)
    await cache.put(content, n, bytes.subarray(n * BLOCK_SIZE, (n + 1) * BLOCK_SIZE))
  cache.setVerified(content)
  const [part] = cache.parts(content) ?? []
  await cache.close()
  return part?.path ?? ''
}

for (const [words, bytes] of Object.entries({ small: SMALL, large: LARGE })) {
  t.test(`what the disk cannot read comes from the service: ${words}`, async (t) => {
    const dir = await tempDir(t)
    const path = await fill(dir, bytes)
    await rm(path)
    await mkdir(path)
    const { read } = await openReader(t, dir, bytes)
    t.ok((await read()).equals(bytes))
  })
}

t.test(
  'what the disk does not give for want of handles stays, and is an error in time',
  async (t) => {
    const dir = await tempDir(t)
    await fill(dir, SMALL)
    const { blocks, read } = await openReader(t, dir, SMALL)
    const get = blocks.get
    blocks.get = async () => undefined
    await t.rejects(read(), { code: 'EIO' })
    blocks.get = get
    t.ok((await read()).equals(SMALL))
  },
)
