// Copies that are made inside the mount: until they are sent, their bytes are those of their
// source.
import { constants } from 'node:fs'
import t from 'tap'
import { StagedFile } from '../../src/cache/staged-file.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const CONTENT = 'content of a'

/** As cp(1) does it: without a byte where that is possible. */
async function copy(vfs: Vfs, from: string, to: string): Promise<void> {
  await vfs.getattr(from)
  const source = (await vfs.open(from, constants.O_RDONLY)).fh
  const target = (await vfs.create(to, 0o644, constants.O_RDWR)).fh
  const { files } = vfs
  if ((await files.clone(source, target, 2 ** 20)) === undefined)
    await files.write(target, await files.read(source, 0, 2 ** 20), 0)
  await files.flush(target)
  await files.release(target)
  await files.release(source)
}

t.test('read in the moment in which it is sent', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'a', CONTENT)
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  await copy(vfs, '/a', '/b')
  const { fh } = await vfs.open('/b', constants.O_RDONLY)
  const [isReading, isSent] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { read } = StagedFile.prototype
  let reads = 0
  t.intercept(StagedFile.prototype, 'read', {
    async value(this: StagedFile, offset: number, length: number) {
      const isFirst = reads++ === 0
      const bytes = await read.call(this, offset, length)
      if (isFirst) {
        isReading.resolve()
        await isSent.promise
      }
      return bytes
    },
  })
  const reading = vfs.files.read(fh, 0, 100)
  await isReading.promise
  await vfs.sync()
  isSent.resolve()
  t.equal((await reading).toString(), CONTENT)
  await vfs.files.release(fh)
})
