// Reading over a cache whose disk fails.
import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { BLOCK_SIZE, BlockCache } from '../../src/cache/blocks.ts'
import { Hasher } from '../../src/cache/hasher.ts'
import { Space } from '../../src/cache/space.ts'
import { Checker } from '../../src/vfs/checker.ts'
import { Fetcher, type Source } from '../../src/vfs/fetcher.ts'
import { Reader, ReadState } from '../../src/vfs/reader.ts'
import type { Drive } from '../../src/weiyun/index.ts'
import { tempDir } from '../fixtures/cli.ts'

const SMALL = Buffer.alloc(3 * BLOCK_SIZE + 5, 'what the drive has')
const LARGE = Buffer.alloc(20 * BLOCK_SIZE + 5, 'what the drive has')

function contentOf(bytes: Buffer) {
  return { sha1: createHash('sha1').update(bytes).digest('hex'), size: bytes.length }
}

const openCache = (dir: string): Promise<BlockCache> => {
  const space = new Space({ dir, capacity: 2 ** 30, marginBytes: 0 })
  return BlockCache.open({ dir, log: silentLogger, space })
}

/** A reader over a cache that has the bytes, as far as it knows. */
async function openReader(t: Test, dir: string, bytes: Buffer) {
  const blocks = await openCache(dir)
  async function* read(_dir: unknown, _file: unknown, offset: number, length: number) {
    yield Buffer.from(bytes.subarray(offset, offset + length))
  }
  const slots = () => 1
  const drive = { read } as unknown as Drive
  const fetcher = new Fetcher({ drive, blocks, memoryBytes: 2 ** 26, slots })
  const hasher = Hasher.start()
  const checker = new Checker({ fetcher, blocks, hasher, log: silentLogger })
  const reader = new Reader({ fetcher, blocks, checker, timeoutMs: 60_000, slots })
  t.teardown(async () => {
    await fetcher.close()
    await blocks.close()
    await hasher.close()
  })
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
