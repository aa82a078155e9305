// The check of a content that arrives piece by piece, most of which is hashed before its end is
// here.
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { BLOCK_SIZE, BlockCache, type ContentId } from '../../src/cache/blocks.ts'
import { digestsOf } from '../../src/cache/digest.ts'
import { Hasher } from '../../src/cache/hasher.ts'
import { SEGMENT_BLOCKS } from '../../src/cache/segment.ts'
import { Space } from '../../src/cache/space.ts'
import { Checker } from '../../src/vfs/checker.ts'
import type { Fetcher, Source } from '../../src/vfs/fetcher.ts'
import { tempDir } from '../fixtures/cli.ts'

/** Two files on the disk and a part of a third. */
const BLOCKS = 2 * SEGMENT_BLOCKS + 3
const WORDS = Uint32Array.from({ length: (BLOCKS * BLOCK_SIZE) / 4 }, (_, n) => n * 2654435761)
const BYTES = Buffer.from(WORDS.buffer, 0, WORDS.byteLength - 1000)
const CONTENT: ContentId = {
  sha1: createHash('sha1').update(BYTES).digest('hex'),
  size: BYTES.length,
}

interface Rig {
  blocks: BlockCache
  hasher: Hasher
  checker: Checker
  /** Puts blocks [first, end) into the cache, as a range does that has arrived. */
  arrive(first: number, end: number, change?: (block: Buffer) => void): Promise<void>
  /** What the fetcher says of a range that ended. */
  onArrived(): void
  forgotten: () => number
}

async function openRig(t: Test): Promise<Rig> {
  const dir = await tempDir(t)
  const space = new Space({ dir, capacity: 2 ** 30, marginBytes: 0 })
  const blocks = await BlockCache.open({ dir: join(dir, 'cache'), log: silentLogger, space })
  const hasher = Hasher.start(1)
  let forgotten = 0
  const fetcher = { written: async () => {}, forget: () => forgotten++ } as unknown as Fetcher
  const checker = new Checker({ blocks, fetcher, hasher, log: silentLogger })
  t.teardown(async () => {
    await blocks.close()
    await hasher.close()
  })
  const onArrived = (): void => fetcher.onArrived({ content: CONTENT } as Source)
  const arrive: Rig['arrive'] = async (first, end, change = () => {}) => {
    for (let index = first; index < end; index++) {
      const block = Buffer.from(BYTES.subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE))
      change(block)
      await blocks.put(CONTENT, index, block)
    }
    onArrived()
  }
  return { blocks, hasher, checker, arrive, onArrived, forgotten: () => forgotten }
}

const spoil = (block: Buffer): void => {
  block[100] = (block[100] as number) ^ 1
}

t.test('right, whatever the order in which it arrives', async (t) => {
  for (const order of ['forwards', 'backwards']) {
    const { blocks, hasher, checker, arrive, forgotten } = await openRig(t)
    const hashWhole = t.capture(hasher, 'sha1', hasher.sha1)
    const ranges: [number, number][] = []
    for (let at = 0; at < BLOCKS; at += 100) ranges.push([at, Math.min(at + 100, BLOCKS)])
    for (const [first, end] of order === 'forwards' ? ranges : ranges.reverse()) {
      t.notOk(blocks.verified(CONTENT))
      await arrive(first, end)
    }
    await checker.check(CONTENT)
    t.ok(blocks.verified(CONTENT), order)
    t.equal(hashWhole().length, order === 'forwards' ? 0 : 1, 'hashed once, as it came or at last')
    t.equal(forgotten(), 0)
  }
})

t.test('wrong in what was hashed long before the end', async (t) => {
  const { blocks, checker, arrive, forgotten } = await openRig(t)
  await arrive(0, 1, spoil)
  await arrive(1, BLOCKS - 1)
  await arrive(BLOCKS - 1, BLOCKS)
  await checker.check(CONTENT)
  t.notOk(blocks.verified(CONTENT))
  t.equal(checker.spoiledSoFar(CONTENT), 1)
  t.equal(forgotten(), 1)
  t.notOk(blocks.has(CONTENT, 1), 'nobody may see it again')
  await arrive(0, BLOCKS)
  await checker.check(CONTENT)
  t.ok(blocks.verified(CONTENT), 'and right when it comes again')
})

t.test('what was hashed and has come anew since is hashed anew', async (t) => {
  for (const [change, isRight] of [
    [spoil, false],
    [() => {}, true],
  ] as const) {
    const { blocks, hasher, checker, arrive } = await openRig(t)
    await arrive(0, SEGMENT_BLOCKS)
    // In the same thread and begun later, it ends later.
    await hasher.sha1(blocks.partsFrom(CONTENT, 0))
    await blocks.drop(CONTENT)
    await arrive(0, 1, change)
    await arrive(1, BLOCKS)
    await checker.check(CONTENT)
    t.equal(blocks.verified(CONTENT), isRight)
  }
})

/** A check that has to wait for the hash of the whole; `end` gives it and waits for the check. */
async function checkBegun(rig: Rig, change?: (block: Buffer) => void) {
  const { hasher, checker, arrive } = rig
  const first = Promise.withResolvers<string>()
  const { sha1 } = hasher
  hasher.sha1 = () => {
    hasher.sha1 = sha1
    return first.promise
  }
  await arrive(1, BLOCKS)
  await arrive(0, 1, change)
  return async (hash: string): Promise<void> => {
    const check = checker.check(CONTENT)
    first.resolve(hash)
    await check
  }
}

t.test('what comes anew while the old is hashed was not hashed', async (t) => {
  const rig = await openRig(t)
  const { blocks, checker, arrive } = rig
  const end = await checkBegun(rig)
  await blocks.drop(CONTENT)
  await arrive(0, 1, spoil)
  await arrive(1, BLOCKS)
  await end(CONTENT.sha1)
  t.notOk(blocks.verified(CONTENT))
  t.equal(checker.spoiledSoFar(CONTENT), 1)
})

t.test('an upload that takes the place of wrong bytes while they are hashed stays', async (t) => {
  const rig = await openRig(t)
  const { blocks, checker } = rig
  const end = await checkBegun(rig, spoil)
  const path = join(await tempDir(t), 'staged')
  await writeFile(path, BYTES)
  const { crcs } = digestsOf(BYTES)
  await blocks.adopt(CONTENT, path, 0, crcs)
  checker.adopted(CONTENT, crcs)
  const spoiled = checker.spoiledSoFar(CONTENT)
  await end('wrong')
  t.ok(blocks.verified(CONTENT))
  t.equal(checker.spoiledSoFar(CONTENT), spoiled)
})

t.test('what cannot be hashed, as at the end of the program, is not called wrong', async (t) => {
  const { blocks, hasher, checker, arrive, forgotten } = await openRig(t)
  await arrive(0, SEGMENT_BLOCKS)
  await arrive(SEGMENT_BLOCKS, BLOCKS)
  const check = checker.check(CONTENT)
  await hasher.close()
  await check
  t.notOk(blocks.verified(CONTENT))
  t.ok(blocks.complete(CONTENT), 'it stays, to be checked another time')
  t.equal(checker.spoiledSoFar(CONTENT) + forgotten(), 0)
})

t.test('what arrives when nothing can be hashed any more is no error', async (t) => {
  const { blocks, hasher, checker, arrive, onArrived } = await openRig(t)
  await hasher.close()
  await arrive(0, SEGMENT_BLOCKS)
  t.doesNotThrow(onArrived)
  await arrive(SEGMENT_BLOCKS, BLOCKS)
  await checker.check(CONTENT)
  t.ok(blocks.complete(CONTENT))
  t.notOk(blocks.verified(CONTENT))
})
