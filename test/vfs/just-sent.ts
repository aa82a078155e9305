// A file in the moment in which its upload is finished, and its bytes move from the staging area
// into the cache.
import { constants } from 'node:fs'
import t from 'tap'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew } from '../fixtures/vfs.ts'

const SIZE = 3_000_000
const FILES = 10

t.test('who reads meanwhile fetches nothing', async (t) => {
  const drive = new MemoryDrive()
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  const fetched: string[] = []
  drive.fault = (command) => {
    if (command === 'read') fetched.push(command)
    return undefined
  }
  for (let index = 0; index < FILES; index++) {
    const path = `/file-${index}`
    await writeNew(vfs, path, String(index).repeat(SIZE))
    await vfs.getattr(path)
    const { fh } = await vfs.open(path, constants.O_RDONLY)
    let isSent = false
    const sent = vfs.sync().then(() => {
      isSent = true
    })
    for (let reads = 0; !isSent; reads++) {
      const bytes = await vfs.files.read(fh, (reads * 65_536) % (SIZE - 10), 10)
      if (bytes.toString() !== String(index).repeat(10)) t.fail(`wrong bytes of ${path}`)
    }
    await sent
    await vfs.files.release(fh)
  }
  t.same(fetched, [])
})
