// kill -9 of the program: what close(2) or fsync(2) promised is there at the next mount, and
// reaches the service.
import { open, opendir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
/** Nothing is uploaded before somebody waits for it. */
const LATER = ['--write-back', '1h']
/** Any listing. */
const LISTS = `root_dir_list|${WIRE.list}`

mountTest(t, 'killed while nothing was sent yet', async (t) => {
  const rig = await Rig.open(t, {
    args: LATER,
    prepare: async (admin) => {
      await admin.put({ path: 'old', content: Buffer.from('old content') })
      await admin.put({ path: 'edited', size: 3 * MiB, seed: 1 })
      await admin.put({ path: 'removed', content: Buffer.from('x') })
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'dir/moved', content: Buffer.from('moved') })
    },
  })
  const edited = await rig.admin.read({ path: 'edited' })
  await rig.run(`echo new > new; echo replaced > old; mkdir -p a/b; echo deep > a/b/deep
    rm removed; mv dir/moved a/moved; rmdir dir; touch -d 2001-02-03 new; chmod 600 new`)
  const handle = await open(rig.path('edited'), 'r+')
  await handle.write('changed', 1_000_000)
  edited.write('changed', 1_000_000)
  await handle.sync()
  const before = await rig.run('find . | sort; stat -c "%n %a %Y" new')
  await rig.kill()
  await handle.close().catch(() => {})
  t.ok(rig.remote().has('dir/moved'))
  t.notOk(rig.remote().has('new'), 'nothing was sent')

  await rig.start()
  t.equal(await rig.run('find . | sort; stat -c "%n %a %Y" new'), before)
  t.equal(await text(rig.path('old')), 'replaced\n')
  t.ok((await readFile(rig.path('edited'))).equals(edited))
  await rig.sync()
  t.same(rig.remoteNames(), ['a', 'a/b', 'a/b/deep', 'a/moved', 'edited', 'new', 'old'])
  t.equal(await rig.remoteText('old'), 'replaced\n')
  t.ok((await rig.admin.read({ path: 'edited' })).equals(edited))
})

mountTest(t, 'killed while uploading: goes on where the service has got to', async (t) => {
  const rig = await Rig.open(t, { standin: { bandwidth: 4 * MiB } })
  await rig.run('yes 0123456789 | head -c 16M > big')
  const sent = () => rig.admin.counters()[WIRE.piece]?.requests ?? 0
  const all = (16 * MiB) / WIRE.pieceBytes
  await until(() => sent() >= all / 2, 'half of it')
  await rig.kill()
  const before = sent()
  rig.admin.setKnobs({ bandwidth: 0 })
  await rig.start()
  await rig.sync()
  // Those under way when it was killed are sent once more.
  t.ok(sent() < all + 8, `${before} pieces before and ${sent() - before} after, of ${all}`)
  t.same(rig.remoteNames(), ['big'])
  t.same(rig.remoteBroken(), [])
  await rig.run('cmp big <(yes 0123456789 | head -c 16M)')
})

mountTest(t, 'the state file is lost, emptied, cut, or has flipped bits', async (t) => {
  const damages: Record<string, (path: string) => Promise<unknown>> = {
    lost: (path) => rm(path),
    emptied: (path) => truncate(path, 0),
    cut: (path) => truncate(path, 5000),
    flipped: async (path) => {
      const bytes = await readFile(path)
      for (let at = 20; at < bytes.length; at += 1999) bytes[at] = (bytes[at] ?? 0) ^ 0x55
      await writeFile(path, bytes)
    },
    garbage: (path) => writeFile(path, 'not a database, '.repeat(2000)),
  }
  for (const [kind, damage] of Object.entries(damages)) {
    const rig = await Rig.open(t, {
      args: LATER,
      prepare: (admin) => admin.put({ path: 'replaced', content: Buffer.from('old') }),
    })
    await rig.run('mkdir -p dir/sub; echo 1 > dir/sub/one; echo 2 > two; echo 3 > replaced')
    await rig.run('mv two 二; touch -d 2001-02-03 二; chmod 640 二')
    await rig.kill()
    const path = await rig.stateFile
    for (const suffix of ['-wal', '-shm']) await rm(path + suffix, { force: true })
    await damage(path)
    await rig.start()
    await rig.sync()
    t.same(rig.remoteNames(), ['dir', 'dir/sub', 'dir/sub/one', 'replaced', '二'], kind)
    t.equal(await rig.remoteText('replaced'), '3\n', kind)
    t.equal(await rig.remoteText('dir/sub/one'), '1\n', kind)
    t.equal(await rig.run('stat -c "%a %Y" 二; cat 二'), '640 981158400\n2\n', kind)
    await rig.stop()
  }
})

mountTest(t, 'no start deletes staged bytes, whatever it finds', async (t) => {
  const rig = await Rig.open(t, { args: LATER })
  await writeFile(rig.path('file'), 'precious')
  await rig.kill()
  const staging = join(await rig.cacheDir, 'staging')
  const [id] = (await readdir(staging)).filter((name) => /^[0-9a-f]{16}$/.test(name))
  const path = join(staging, id ?? 'none')
  const bytes = await readFile(path)
  // Both copies of what it says of itself are gone, and so is the state file.
  await writeFile(path, bytes.fill(0, 0, bytes.indexOf('precious')))
  await rm(await rig.stateFile)
  await rig.start()
  t.same(await names(rig.path()), [])
  const kept = await rig.run('grep -rl precious "$1"', staging)
  t.match(kept, /recovered/, 'set aside for somebody to look at')
})

mountTest(t, 'a new file that was never closed is not half there', async (t) => {
  const rig = await Rig.open(t, { args: LATER })
  await writeFile(rig.path('closed'), 'all of it')
  const handle = await open(rig.path('open'), 'w')
  await handle.write('half')
  const synced = await open(rig.path('synced'), 'w')
  await synced.write('promised')
  await synced.sync()
  await rig.kill()
  await handle.close().catch(() => {})
  await synced.close().catch(() => {})
  await rig.start()
  await rig.sync()
  t.same(rig.remoteNames(), ['closed', 'synced'])
  t.equal(await rig.remoteText('synced'), 'promised')
})

mountTest(
  t,
  'a directory whose making was cut off is renamed, made anew, or removed',
  async (t) => {
    for (const kills of [false, true]) {
      const rig = await Rig.open(t)
      await names(rig.path())
      rig.admin.setFaults([{ kind: 'lost-reply', match: WIRE.makeDir }])
      await rig.run('mkdir one two')
      await until(
        () => rig.remote().has('one') && rig.remote().has('two'),
        'the service to have both',
      )
      if (kills) await rig.kill()
      rig.admin.setFaults([])
      if (kills) await rig.start()
      await rig.run('mv one 1; mkdir one; echo x > one/x; echo y > 1/y; rmdir two')
      await rig.sync()
      t.same(rig.remoteNames(), ['1', '1/y', 'one', 'one/x'])
      await rig.refresh()
      t.same(await names(rig.path()), ['1', 'one'])
      await rig.stop()
    }
  },
)

mountTest(t, 'staged files are gone: the old version is seen, or an error', async (t) => {
  const rig = await Rig.open(t, {
    args: LATER,
    prepare: (admin) => admin.put({ path: 'old', content: Buffer.from('old content') }),
  })
  await rig.run('echo edited > old; echo new > new; echo other > other; : > empty; : > grown')
  await rig.kill()
  const staging = join(await rig.cacheDir, 'staging')
  for (const name of await readdir(staging)) {
    if (name !== 'recovered') await rm(join(staging, name))
  }

  await rig.start()
  t.equal(await text(rig.path('old')), 'old content')
  t.equal(await errno(readFile(rig.path('new'))), 'EIO')
  const { pending } = await rig.status()
  t.same(pending.map(({ path, state }) => [path, state]).sort(), [
    ['/empty', 'waiting'],
    ['/grown', 'waiting'],
    ['/new', 'error'],
    ['/other', 'error'],
  ])
  await rig.run('mv other renamed; echo again > renamed; rm new; echo more >> grown')
  await rig.sync()
  t.same(rig.remoteNames(), ['empty', 'grown', 'old', 'renamed'])
  t.equal(await rig.remoteText('renamed'), 'again\n')
  t.equal(await rig.remoteText('grown'), 'more\n')
  t.equal(await rig.remoteText('empty'), '')
})

mountTest(t, 'staged files are gone that the service has got', async (t) => {
  const rig = await Rig.open(t, { args: LATER })
  await rig.run('echo new > new; : > empty')
  await rig.kill()
  const staging = join(await rig.cacheDir, 'staging')
  for (const name of await readdir(staging)) {
    if (name !== 'recovered') await rm(join(staging, name))
  }
  await rig.admin.put({ path: 'new', content: Buffer.from('new\n') })
  await rig.admin.put({ path: 'empty', content: Buffer.from('not any more') })
  await rig.start()
  t.same(await names(rig.path()), ['empty', 'new'])
  await until(async () => (await rig.status()).pending.length === 0, 'the listing to tell')
  t.equal(await text(rig.path('new')), 'new\n')
  t.equal(await text(rig.path('empty')), 'not any more')
  t.same(rig.remoteNames(), ['empty', 'new'])
})

mountTest(
  t,
  'killed while the kernel is told what changed: it ends, and mounts again',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--dir-ttl', '10ms'],
      prepare: (admin) => {
        admin.mkdir({ path: 'a/b' })
        return admin.put({ path: 'a/b/file', content: Buffer.from('old') })
      },
    })
    await text(rig.path('a/b/file'))
    const dir = await opendir(rig.path('a/b'))
    await sleep(100)
    await rig.admin.put({ path: 'a/b/file', content: Buffer.from('another') })
    // The listings that show it pass; those without which nobody can look at a/b again do not.
    rig.admin.setFaults([{ kind: 'delay', ms: 20_000, match: LISTS, after: 2 }])
    await dir.read()
    await until(() => (rig.admin.faults()[0]?.hits ?? 0) > 0, 'the way to a/b is looked at')
    await rig.kill()
    await dir.close().catch(() => {})
    rig.admin.setFaults([])
    await rig.start()
    await until(async () => (await text(rig.path('a/b/file'))) === 'another', 'it is seen')
  },
)

mountTest(
  t,
  'killed while it waits for a lock that one of its callers has: both end, and it mounts again',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--dir-ttl', '1s'],
      prepare: (admin) => admin.put({ path: 'file', content: Buffer.from('a longer one') }),
    })
    const file = await open(rig.path('file'))
    await file.read(Buffer.alloc(100), 0, 100, 0)
    await rig.admin.put({ path: 'file', content: Buffer.from('short') })
    await rig.refresh()
    await sleep(1_200)
    await rig.run('stat file')
    await sleep(1_200)
    // A lookup holds the directory's lock until the service has answered.
    rig.admin.setFaults([{ kind: 'delay', ms: 20_000, match: LISTS }])
    const looking = errno(stat(rig.path('unknown')))
    await until(() => (rig.admin.faults()[0]?.hits ?? 0) > 0, 'the directory is looked at')
    // With the last handle of the longer version goes its size, of which the kernel is told.
    await file.close()
    await sleep(500)
    await rig.kill()
    t.equal(await looking, 'ECONNABORTED')
    rig.admin.setFaults([])
    await rig.start()
    t.equal(await text(rig.path('file')), 'short')
  },
)
