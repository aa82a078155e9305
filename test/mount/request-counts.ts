// What work costs in requests. Services of this kind punish scans, and a round trip is what a user
// waits for.
import { readFile, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, WIRE } from '../fixtures/mount.ts'

/** The account is asked now and then, whatever anybody does. */
async function counted(rig: Rig, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const { [WIRE.account]: _, ...rest } = await rig.requests(work)
  return rest
}

mountTest(t, 'looking costs a listing once, and then nothing', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'a/b' })
      await admin.fill({ path: 'a/b', count: 50, size: 100 })
    },
  })
  const cold = await counted(rig, () => names(rig.path('a/b')))
  t.same(cold, { [WIRE.list]: 3 }, 'one for each level')
  const warm = await counted(rig, async () => {
    await names(rig.path('a/b'))
    await stat(rig.path('a/b/file-00010'))
    t.equal(await errno(stat(rig.path('a/b/unknown'))), 'ENOENT')
    await rig.run('ls -lR; find . -size +1; test ! -e a/nothing')
  })
  t.same(warm, {})
})

mountTest(t, 'first bytes of a known file: its address, then its bytes', async (t) => {
  const rig = await Rig.open(t, { prepare: (admin) => admin.put({ path: 'file', size: 5000 }) })
  await names(rig.path())
  const first = await counted(rig, () => readFile(rig.path('file')))
  t.same(first, { [WIRE.address]: 1, [WIRE.data]: 1 })
  const again = await counted(rig, () => readFile(rig.path('file')))
  t.same(again, {})
})

mountTest(t, 'a small new file costs two requests, known bytes one', async (t) => {
  const rig = await Rig.open(t)
  await names(rig.path())
  const fresh = await counted(rig, async () => {
    await writeFile(rig.path('fresh'), 'never seen before')
    await rig.sync()
  })
  t.same(fresh, { [WIRE.announce]: 1, [WIRE.piece]: 1 })
  const known = await counted(rig, async () => {
    await writeFile(rig.path('known'), 'never seen before')
    await rig.sync()
    await readFile(rig.path('fresh'))
    await readFile(rig.path('known'))
  })
  t.same(known, { [WIRE.announce]: 1 }, 'and reading what we wrote none')
})

mountTest(t, 'rm -r goes in batches', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      await admin.fill({ path: 'dir', count: 200, size: 10 })
    },
  })
  await names(rig.path('dir'))
  const asked = await counted(rig, async () => {
    await rig.run('rm -r dir')
    await rig.sync()
  })
  t.same(rig.remoteNames(), [])
  t.ok((asked[WIRE.removeFiles] ?? 0) <= 100, `${asked[WIRE.removeFiles]} requests for 200 files`)
})
