// Two devices change one drive: whatever both did is kept, visible and said, and nothing goes that
// the other changed since we looked.
import { open, readFile, rename, rm, rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
/**
 * Nothing is sent before somebody waits for it, and nothing is looked at again before it is asked
 * for.
 */
const STILL = ['--write-back', '1h', '--dir-ttl', '1h']
const CONFLICT = /^(.*) \(conflict \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\)(\.[a-z]+)?$/
const bytes = (content: string) => ({ content: Buffer.from(content) })

/** Names in a directory, those made up for a conflict as `name !.ext`. */
async function plainNames(rig: Rig, dir = ''): Promise<string[]> {
  const found = await names(rig.path(dir))
  return found.map((name) => name.replace(CONFLICT, '$1 !$2')).sort()
}

mountTest(t, 'changed on both sides: both versions are kept, ours beside the other', async (t) => {
  const PATHS = ['edited.txt', 'rewritten', 'appended.tar.gz']
  const rig = await Rig.open(t, {
    args: STILL,
    prepare: async (admin) => {
      for (const path of PATHS) await admin.put({ path, ...bytes(`old ${path}`) })
    },
  })
  await rig.run('cat *') // as editors do, so that the bytes around a change are here
  await rig.run('printf ours > rewritten; printf " ours" >> appended.tar.gz')
  const handle = await open(rig.path('edited.txt'), 'r+')
  await handle.write('our', 0)
  await handle.close()
  for (const path of PATHS) await rig.admin.put({ path, ...bytes(`theirs, of ${path}`) })
  await rig.sync()

  const EXPECTED = [
    'appended.tar !.gz',
    'appended.tar.gz',
    'edited !.txt',
    'edited.txt',
    'rewritten',
    'rewritten !',
  ]
  t.same(await plainNames(rig), EXPECTED)
  t.same(rig.remoteNames(), await names(rig.path()), 'on the service as in the folder')
  const contents: string[] = []
  for (const name of await names(rig.path())) {
    contents.push(await text(rig.path(name)))
    t.equal(await rig.remoteText(name), await text(rig.path(name)), name)
  }
  t.same(contents.sort(), [
    'old appended.tar.gz ours',
    'our edited.txt',
    'ours',
    ...PATHS.map((path) => `theirs, of ${path}`).sort(),
  ])
  t.equal(rig.log.match(/changed on two sides: both versions are kept/g)?.length, PATHS.length)
})

mountTest(
  t,
  'edited over bytes that are gone there: kept, shown, and hiding nothing',
  async (t) => {
    const rig = await Rig.open(t, {
      args: STILL,
      prepare: (admin) => admin.put({ path: 'file', size: 3 * MiB, seed: 1 }),
    })
    const handle = await open(rig.path('file'), 'r+')
    await handle.write('ours'.repeat(128 * 1024), MiB)
    await handle.close()
    await rig.admin.put({ path: 'file', ...bytes('theirs') })
    await t.rejects(rig.sync(), /the version that was edited in place is gone/)
    t.same(await plainNames(rig), ['file', 'file !'])
    t.equal(await text(rig.path('file')), 'theirs')
    t.same(rig.remoteNames(), ['file'])
    const [ours = ''] = (await names(rig.path())).filter((name) => CONFLICT.test(name))
    t.match((await rig.status()).pending, [{ path: `/${ours}`, state: 'error' }])
    const part = await open(rig.path(ours))
    t.equal((await part.read(Buffer.alloc(4), 0, 4, MiB)).buffer.toString(), 'ours')
    t.equal(await errno(part.read(Buffer.alloc(4), 0, 4, 0)), 'ESTALE')
    await part.close()
    await unlink(rig.path(ours))
    await rig.sync()
    t.same((await rig.status()).pending, [], 'until somebody removes it')
  },
)

mountTest(t, 'changed there while we keep it open: ours goes beside it', async (t) => {
  const rig = await Rig.open(t, {
    args: STILL,
    prepare: (admin) => admin.put({ path: 'file', ...bytes('old') }),
  })
  const handle = await open(rig.path('file'), 'r+')
  await handle.write('our', 0)
  await rig.admin.put({ path: 'file', ...bytes('theirs') })
  await rig.refresh()
  await handle.write('s', 3)
  t.equal(await handle.readFile('utf8').then(() => 'read'), 'read')
  await handle.close()
  await rig.sync()
  t.same(await plainNames(rig), ['file', 'file !'])
  t.equal(await text(rig.path('file')), 'theirs')
  const ours = (await names(rig.path())).find((name) => CONFLICT.test(name))
  t.equal(await rig.remoteText(ours ?? ''), 'ours')
})

mountTest(t, 'removed there while ours is unsent: ours is sent anew', async (t) => {
  const rig = await Rig.open(t, {
    args: STILL,
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'dir/file', ...bytes('old') })
      await admin.put({ path: 'dir/other', ...bytes('old') })
      await admin.put({ path: 'alone', ...bytes('old') })
    },
  })
  await names(rig.path('dir'))
  await rig.run('printf ours > dir/file; printf ours > alone; touch dir/other')
  rig.admin.remove({ path: 'dir' })
  rig.admin.remove({ path: 'alone' })
  await rig.refresh()
  t.equal(await text(rig.path('dir/file')), 'ours')
  await rig.sync()
  t.same(rig.remoteNames(), ['alone', 'dir', 'dir/file'], 'the directory comes back for its sake')
  t.equal(await rig.remoteText('dir/file'), 'ours')
  t.equal(await rig.remoteText('alone'), 'ours')
  t.same(await names(rig.path('dir')), ['file'], 'and what was not changed here stays removed')
})

mountTest(
  t,
  'removed here, changed there since we looked: theirs is kept, and seen again',
  async (t) => {
    const rig = await Rig.open(t, {
      args: STILL,
      prepare: async (admin) => {
        admin.mkdir({ path: 'tree/sub' })
        await admin.put({ path: 'file', ...bytes('old') })
        await admin.put({ path: 'gone', ...bytes('old') })
        await admin.put({ path: 'tree/sub/file', ...bytes('old') })
        await admin.put({ path: 'tree/plain', ...bytes('old') })
      },
    })
    await names(rig.path('tree'))
    await names(rig.path('tree/sub'))
    await rig.admin.put({ path: 'file', ...bytes('theirs') })
    await rig.admin.put({ path: 'tree/sub/new', ...bytes('theirs, new') })
    rig.admin.remove({ path: 'gone' })
    await unlink(rig.path('file'))
    await unlink(rig.path('gone'))
    await rm(rig.path('tree'), { recursive: true })
    t.same(await names(rig.path()), [])
    await rig.sync()
    t.same(rig.remoteNames(), ['file', 'tree', 'tree/sub', 'tree/sub/new'])
    t.same(await names(rig.path()), ['file', 'tree'])
    t.equal(await text(rig.path('file')), 'theirs')
    t.equal(await text(rig.path('tree/sub/new')), 'theirs, new')
    t.match(rig.log, 'changed on the service after it was removed here: it is kept')
  },
)

mountTest(t, 'the name of an unsent file or directory is taken there: both are kept', async (t) => {
  const rig = await Rig.open(t, { args: STILL })
  await names(rig.path())
  rig.admin.setFaults([{ kind: 'reset', match: WIRE.makeDir }])
  await rig.run('mkdir both kind; printf ours > both/ours; printf ours > file.txt')
  await rig.run('printf same > same; printf ours > kind2')
  await rig.admin.put({ path: 'file.txt', ...bytes('theirs') })
  await rig.admin.put({ path: 'same', ...bytes('same') })
  rig.admin.mkdir({ path: 'both' })
  await rig.admin.put({ path: 'both/theirs', ...bytes('theirs') })
  await rig.admin.put({ path: 'kind', ...bytes('a file where we made a directory') })
  rig.admin.mkdir({ path: 'kind2' })
  rig.admin.setFaults([])
  await rig.sync()
  await rig.refresh()
  t.same(await plainNames(rig), [
    'both',
    'file !.txt',
    'file.txt',
    'kind',
    'kind !',
    'kind2',
    'kind2 !',
    'same',
  ])
  t.equal(await text(rig.path('file.txt')), 'theirs')
  await until(async () => (await names(rig.path('both'))).includes('theirs'), 'it is listed')
  t.same(await names(rig.path('both')), ['ours', 'theirs'], 'two directories of one name are one')
  t.ok((await stat(rig.path('kind'))).isFile())
  t.ok((await stat(rig.path('kind2'))).isDirectory())
  t.same(rig.remoteNames(), [...(await names(rig.path())), 'both/ours', 'both/theirs'].sort())
})

mountTest(
  t,
  'renamed here onto a name that was taken there meanwhile: both are kept',
  async (t) => {
    const rig = await Rig.open(t, {
      args: STILL,
      prepare: async (admin) => {
        await admin.put({ path: 'file', ...bytes('ours') })
        admin.mkdir({ path: 'dir' })
        await admin.put({ path: 'dir/inside', ...bytes('inside') })
      },
    })
    await names(rig.path('dir'))
    await rename(rig.path('file'), rig.path('wanted'))
    await rename(rig.path('dir'), rig.path('wanted dir'))
    await rig.admin.put({ path: 'wanted', ...bytes('theirs') })
    rig.admin.mkdir({ path: 'wanted dir' })
    await rig.sync()
    await rig.refresh()
    t.same(await plainNames(rig), ['wanted', 'wanted !', 'wanted dir', 'wanted dir !'])
    t.equal(await text(rig.path('wanted')), 'theirs')
    t.same(rig.remoteNames().filter((path) => path.endsWith('inside')).length, 1)
  },
)

mountTest(t, 'what another device changes, renames or moves is seen after --dir-ttl', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '200ms'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'a/sub' })
      admin.mkdir({ path: 'b' })
      await admin.put({ path: 'a/file', ...bytes('short') })
      await admin.put({ path: 'a/sub/deep', size: 2 * MiB, seed: 1 })
    },
  })
  await rig.run('chmod 600 a/file; ls -lR')

  await rig.admin.put({ path: 'a/file', ...bytes('longer than before') })
  await until(async () => (await stat(rig.path('a/file'))).size === 18, 'the new size')
  t.equal(await text(rig.path('a/file')), 'longer than before', 'with all of its bytes')
  await rig.admin.put({ path: 'a/file', ...bytes('cut') })
  await until(async () => (await stat(rig.path('a/file'))).size === 3, 'the shorter size')
  t.equal(await text(rig.path('a/file')), 'cut', 'and no more')

  rig.admin.rename({ path: 'a/file', name: 'renamed' })
  await until(async () => (await names(rig.path('a'))).includes('renamed'), 'the new name')
  t.same(await names(rig.path('a')), ['renamed', 'sub'])
  const { mode } = await stat(rig.path('a/renamed'))
  t.equal(mode & 0o777, 0o600, 'the same file, with the mode that it was given here')

  rig.admin.move({ path: 'a/sub', to: 'b' })
  await until(async () => (await names(rig.path('b'))).includes('sub'), 'in the other directory')
  await until(async () => (await names(rig.path('a'))).length === 1, 'and gone from the first')
  t.ok(
    (await readFile(rig.path('b/sub/deep'))).equals(await rig.admin.read({ path: 'b/sub/deep' })),
  )

  await writeFile(rig.path('b/sub/mine'), 'mine')
  await rig.sync()
  t.same(
    rig.remoteNames('b'),
    ['sub', 'sub/deep', 'sub/mine'],
    'the old keys are not used any more',
  )
})

mountTest(t, 'what comes into a directory before its removal is repeated, stays', async (t) => {
  const rig = await Rig.open(t, { prepare: (admin) => admin.mkdir({ path: 'dir' }) })
  t.same(await names(rig.path('dir')), [])
  rig.admin.setFaults([{ kind: 'status-503', times: 1, match: WIRE.removeDirs }])
  await rmdir(rig.path('dir'))
  await until(() => rig.admin.faults()[0]?.hits, 'the removal to fail')
  await rig.admin.put({ path: 'dir/theirs', content: Buffer.from('theirs') })
  await rig.sync()
  t.ok(rig.remote().has('dir/theirs'))
  await rig.refresh()
  t.equal(await text(rig.path('dir/theirs')), 'theirs')
})

mountTest(t, 'what is written into a file before its removal is repeated, stays', async (t) => {
  // Of the two, the dialect whose removals carry no version.
  const rig = await Rig.open(t, {
    dialect: 'webapp',
    prepare: async (admin) => {
      await admin.put({ path: 'file', ...bytes('old') })
    },
  })
  t.equal(await text(rig.path('file')), 'old')
  rig.admin.setFaults([{ kind: 'status-503', times: 1, match: 'DiskDirFileBatchDeleteEx' }])
  await unlink(rig.path('file'))
  await until(() => rig.admin.faults()[0]?.hits, 'the removal to fail')
  await rig.admin.put({ path: 'file', ...bytes('theirs') })
  await rig.sync()
  t.equal(await rig.remoteText('file'), 'theirs')
  await rig.refresh()
  t.equal(await text(rig.path('file')), 'theirs')
})
