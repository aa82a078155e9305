// A service that does not say what the hash of a file is: nothing tells its bytes from another's.
import { constants } from 'node:fs'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
import type { Listing } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const PART_BYTES = 128 * 1024

class HashlessDrive extends MemoryDrive {
  override async list(...args: Parameters<MemoryDrive['list']>): Promise<Listing | 'unchanged'> {
    const listing = await super.list(...args)
    if (listing === 'unchanged') return listing
    const entries = listing.entries.map((entry) =>
      entry.kind === 'file' ? { ...entry, sha1: '', md5: '' } : entry,
    )
    return { ...listing, entries }
  }
}

async function open(t: Test, files: Record<string, string>): Promise<Vfs> {
  const drive = new HashlessDrive()
  for (const [name, text] of Object.entries(files)) drive.put('main', name, text)
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  return vfs
}

async function readWhole(vfs: Vfs, path: string): Promise<string> {
  const { size } = await vfs.getattr(path)
  const { fh } = await vfs.open(path, constants.O_RDONLY)
  const parts: Buffer[] = []
  for (let at = 0; at < size; at += PART_BYTES)
    parts.push(await vfs.files.read(fh, at, Math.min(PART_BYTES, size - at)))
  await vfs.files.release(fh)
  return Buffer.concat(parts).toString()
}

for (const [words, size] of Object.entries({ small: 10, 'of 1 MiB': 2 ** 20, large: 3e6 })) {
  t.test(`two files of equal size have their own bytes: ${words}`, async (t) => {
    const files = { a: 'a'.repeat(size), b: 'b'.repeat(size) }
    const vfs = await open(t, files)
    for (const [name, text] of Object.entries(files))
      t.ok((await readWhole(vfs, `/${name}`)) === text, name)
    t.ok((await readWhole(vfs, '/a')) === files.a, 'and keep them')
  })
}

t.test('a copy of it is made of bytes: there is no hash to send it by', async (t) => {
  const vfs = await open(t, { file: 'content' })
  await vfs.getattr('/file')
  const from = await vfs.open('/file', constants.O_RDONLY)
  const to = await vfs.create('/copy', 0o644, constants.O_RDWR)
  t.equal(await vfs.files.clone(from.fh, to.fh, 100), undefined)
  for (const { fh } of [from, to]) await vfs.files.release(fh)
})
