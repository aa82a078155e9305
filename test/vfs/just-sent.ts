// A file in the moment in which its upload is finished, and its bytes move from the staging area
// into the cache.
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { BlockCache } from '../../src/cache/blocks.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew } from '../fixtures/vfs.ts'

const SIZE = 300_000

t.test('who reads meanwhile fetches nothing', async (t) => {
  const drive = new MemoryDrive()
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  const moving = Promise.withResolvers<void>()
  const { adopt } = BlockCache.prototype
  t.intercept(BlockCache.prototype, 'adopt', {
    async value(this: BlockCache, ...args: Parameters<typeof adopt>) {
      moving.resolve()
      await sleep(100)
      return adopt.apply(this, args)
    },
  })
  const fetched: string[] = []
  drive.fault = (command) => {
    if (command === 'read') fetched.push(command)
    return undefined
  }
  await writeNew(vfs, '/file', 'x'.repeat(SIZE))
  await vfs.getattr('/file')
  const { fh } = await vfs.open('/file', constants.O_RDONLY)
  const sent = vfs.sync()
  await moving.promise
  const bytes = await vfs.files.read(fh, SIZE - 10, 10)
  t.equal(bytes.toString(), 'x'.repeat(10))
  await sent
  await vfs.files.release(fh)
  t.same(fetched, [])
})
