// What was read or sent once is on this disk: it is found again under any name and by the next
// process, and nothing wrong comes out of it. Counted at the service.
import { open, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { mountTest, names, Rig, sha1 } from '../fixtures/mount.ts'
import { costOf } from '../fixtures/traffic.ts'

const MiB = 1024 * 1024

/** Files of the block cache, as paths. */
async function blockFiles(rig: Rig): Promise<string[]> {
  const dir = join(await rig.cacheDir, 'blocks')
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
}

mountTest(t, 'what was read is read again without a request, by the next mount too', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      await admin.put({ path: 'film', size: 5 * MiB, seed: 1 })
      await admin.put({ path: 'the same', size: 5 * MiB, seed: 1 })
      await admin.put({ path: 'note', size: 100, seed: 2 })
    },
  })
  await rig.run('cat film note')
  t.same(await costOf(rig, () => rig.run('cat "the same"')), { bytes: 0 }, 'another file like it')
  await rename(rig.path('film'), rig.path('renamed'))
  await rig.run('cp renamed copied')
  await rig.sync()
  await rig.restart()
  await names(rig.path())
  const cost = await costOf(rig, async () => {
    for (const name of ['renamed', 'copied', 'the same'])
      t.equal(await sha1(rig.path(name)), rig.remote().get(name)?.sha, name)
    await rig.run('cat note')
  })
  t.match(cost, { addresses: undefined, data: undefined, bytes: 0 })
})

mountTest(t, 'what was sent is read without a request, by the next mount too', async (t) => {
  const rig = await Rig.open(t)
  const bytes = Buffer.alloc(3 * MiB + 5, 'written here, ')
  await writeFile(rig.path('large'), bytes)
  await writeFile(rig.path('small'), 'small')
  await rig.sync()
  await rig.restart()
  const cost = await costOf(rig, async () => {
    t.ok((await readFile(rig.path('large'))).equals(bytes))
    t.equal(await readFile(rig.path('small'), 'utf8'), 'small')
  })
  t.match(cost, { addresses: undefined, data: undefined, bytes: 0 })
})

mountTest(t, 'wrong bytes in the cache are fetched again, and nobody sees them', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      await admin.put({ path: 'film', size: 20 * MiB, seed: 3 })
      await admin.put({ path: 'small', size: 3000, seed: 4 })
    },
  })
  const right = async () => {
    for (const name of ['film', 'small'])
      t.equal(await sha1(rig.path(name)), rig.remote().get(name)?.sha, name)
  }
  await right()
  await rig.stop()
  const files = await blockFiles(rig)
  t.ok(files.length >= 3)
  for (const path of files) {
    const file = await open(path, 'r+')
    const { size } = await file.stat()
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, size - 10)
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, size - 10)
    await file.close()
  }
  await rig.start()
  const cost = await costOf(rig, right)
  t.ok(cost.bytes > 0 && cost.bytes <= 2 * MiB, `${cost.bytes} bytes came again`)

  await rig.stop()
  for (const path of files) await (await open(path, 'w')).close()
  await rig.start()
  await right()
  t.equal(rig.remoteNames().length, 2)
})
