// Ways in which programs change files that are there already.
import { open, readFile, truncate, writeFile } from 'node:fs/promises'
import t from 'tap'
import { FEATURES, mountTest, Rig, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024

mountTest(t, 'a new version by a temporary file and a rename costs one upload', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '1s'] })
  await rig.run('echo old > document.txt')
  await rig.sync()
  const id = rig.admin.tree()[0]?.id
  const asked = await rig.requests(async () => {
    await rig.run('echo new version > document.txt.tmp; mv document.txt.tmp document.txt')
    await rig.sync()
  })
  t.equal(asked[WIRE.announce], 1, 'announced once')
  t.same(rig.remoteNames(), ['document.txt'])
  t.equal(await rig.remoteText('document.txt'), 'new version\n')
  t.not(rig.admin.tree()[0]?.id, id)

  // As editors do that keep a backup.
  await rig.run('mv document.txt document.txt~; echo third > document.txt; rm document.txt~')
  await rig.sync()
  t.same(rig.remoteNames(), ['document.txt'])
  t.equal(await rig.remoteText('document.txt'), 'third\n')
})

mountTest(t, 'an edit in place fetches only what it needs', async (t) => {
  const rig = await Rig.open(t, {
    prepare: (admin) => admin.put({ path: 'big', size: 8 * MiB, seed: 1 }),
    args: ['--write-back', '1h'],
  })
  const expected = await rig.admin.read({ path: 'big' })
  const handle = await open(rig.path('big'), 'r+')
  const asked = await rig.requests(async () => {
    for (const offset of [0, 5_000_000, 8 * MiB - 3]) {
      await handle.write('xyz', offset)
      expected.write('xyz', offset)
    }
    await handle.close()
  })
  t.notOk(WIRE.data in asked, 'writing fetches nothing')
  t.ok((await readFile(rig.path('big'))).equals(expected))
  await rig.sync()
  t.ok((await rig.admin.read({ path: 'big' })).equals(expected))
  t.same(rig.remoteNames(), ['big'])
})

mountTest(t, 'truncate, append, dd with seek, holes', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      await admin.put({ path: 'one', size: 300_000, seed: 1 })
      await admin.put({ path: 'two', size: 300_000, seed: 2 })
    },
  })
  const one = await rig.admin.read({ path: 'one' })
  const two = await rig.admin.read({ path: 'two' })
  await truncate(rig.path('one'), 100_001)
  await rig.run('printf tail >> one')
  const cut = Buffer.concat([one.subarray(0, 100_001), Buffer.from('tail')])
  t.ok((await readFile(rig.path('one'))).equals(cut))

  await rig.run('echo middle | dd of=two bs=1 seek=150000 conv=notrunc status=none')
  two.write('middle\n', 150_000)
  await truncate(rig.path('two'), 400_000)
  const grown = Buffer.concat([two, Buffer.alloc(100_000)])
  t.ok((await readFile(rig.path('two'))).equals(grown))

  await rig.run(
    'dd if=/dev/zero of=hole bs=1 count=1 seek=3M status=none; : > one.copy; cat one > one.copy',
  )
  await rig.sync()
  t.ok((await rig.admin.read({ path: 'one' })).equals(cut))
  t.ok((await rig.admin.read({ path: 'one.copy' })).equals(cut))
  t.ok((await rig.admin.read({ path: 'two' })).equals(grown))
  t.ok((await rig.admin.read({ path: 'hole' })).equals(Buffer.alloc(3 * MiB + 1)))
  t.same(rig.remoteNames(), ['hole', 'one', 'one.copy', 'two'])
})

mountTest(
  t,
  'O_TRUNC and full rewrites fetch nothing; the last content of many is sent',
  async (t) => {
    const rig = await Rig.open(t, {
      prepare: (admin) => admin.put({ path: 'file', size: 3 * MiB, seed: 1 }),
    })
    const asked = await rig.requests(async () => {
      await writeFile(rig.path('file'), 'short')
      await rig.sync()
      for (let n = 0; n < 30; n++) await writeFile(rig.path('file'), `version ${n}`)
      await rig.sync()
    })
    t.notOk(WIRE.data in asked)
    t.equal(await rig.remoteText('file'), 'version 29')
    t.same(rig.remoteNames(), ['file'])
  },
)

mountTest(t, 'written again while it is being uploaded', async (t) => {
  const rig = await Rig.open(t, { standin: { bandwidth: 2 * MiB } })
  await writeFile(rig.path('file'), Buffer.alloc(4 * MiB, 'a'))
  while (!(await rig.status()).pending.some(({ state }) => state === 'uploading'))
    await rig.run(':')
  const handle = await open(rig.path('file'), 'r+')
  await handle.write('b'.repeat(MiB), MiB)
  await handle.close()
  rig.admin.setKnobs({ bandwidth: 0 })
  await rig.sync()
  const expected = Buffer.alloc(4 * MiB, 'a').fill('b', MiB, 2 * MiB)
  t.ok((await rig.admin.read({ path: 'file' })).equals(expected))
  t.same(rig.remoteNames(), ['file'])
  t.same(rig.remoteBroken(), [])
})

mountTest(t, 'cp inside the mount sends no byte', async (t) => {
  const rig = await Rig.open(t, {
    prepare: (admin) => admin.put({ path: 'film', size: 20 * MiB, seed: 1 }),
  })
  const asked = await rig.requests(async () => {
    await rig.run('cp film copy')
    await rig.sync()
  })
  t.notOk(WIRE.piece in asked, 'sent')
  // Where hashes are not enough, it is read once for its announcement.
  t.equal(WIRE.data in asked, !FEATURES.uploadsByHash, 'fetched')
  t.same(rig.remote().get('copy'), rig.remote().get('film'))
  await rig.run('cmp film copy')
})

mountTest(t, 'a copy under the name of a file that is on its way elsewhere', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'file', size: 1000, seed: 1 })
    },
  })
  // The service has the bytes under that very name when it is asked again: they are not the copy.
  rig.admin.setFaults([{ kind: 'lost-reply', match: WIRE.announce, times: 1 }])
  await rig.run('mv file dir/file; cp dir/file file')
  await rig.sync('/file')
  t.equal(await rig.run('cmp file dir/file; find . -type f | sort'), './dir/file\n./file\n')
  t.same(rig.remoteNames(), ['dir', 'dir/file', 'file'])
})
