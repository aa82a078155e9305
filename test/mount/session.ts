// A session that ends while the drive is mounted: what is here goes on working, what is unsent
// waits, and a new session file is all that it takes.
import { readFile, rename, rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024

/**
 * Whether everything could be sent; a `sync` that comes before the news of a new session is told
 * of the old one.
 */
async function isSynced(rig: Rig): Promise<boolean> {
  return rig.sync().then(
    () => true,
    () => false,
  )
}

mountTest(t, 'session expired: cached reads and writes go on, the rest is EACCES', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '100ms'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'known/unknown' })
      await admin.put({ path: 'known/read', content: Buffer.from('read before') })
      await admin.put({ path: 'known/unread', content: Buffer.from('never read') })
    },
  })
  await names(rig.path('known'))
  await text(rig.path('known/read'))
  rig.admin.expireSession()

  t.same(await names(rig.path('known')), ['read', 'unknown', 'unread'], 'what is known is shown')
  t.equal(await text(rig.path('known/read')), 'read before')
  t.equal(await errno(readFile(rig.path('known/unread'))), 'EACCES')
  t.equal(await errno(names(rig.path('known/unknown'))), 'EACCES', 'unauthorised is not empty')
  t.equal(await errno(stat(rig.path('known/unknown/file'))), 'EACCES', 'nor absent')
  await until(async () => (await rig.status()).session === 'expired', 'status says so')

  await rig.run('mkdir new; echo new > new/file; echo changed > known/read; rm known/unread')
  t.equal(await text(rig.path('known/read')), 'changed\n')
  await t.rejects(rig.sync(), /session has expired/, 'nobody waits for what cannot come')
  const { pending } = await rig.status()
  t.same(
    pending.map(({ path, error }) => ({ path, error })).sort((a, b) => (a.path < b.path ? -1 : 1)),
    ['/known/read', '/known/unread', '/new', '/new/file'].map((path) => ({
      path,
      error: undefined,
    })),
    'the queue is whole, and nothing in it is an error of its own',
  )

  await rig.admin.rotateSession()
  await until(() => isSynced(rig), 'the new session file is read')
  t.equal((await rig.status()).session, 'ok')
  t.same(rig.remoteNames(), ['known', 'known/read', 'known/unknown', 'new', 'new/file'])
  t.equal(await rig.remoteText('known/read'), 'changed\n')
  t.same(await names(rig.path('known/unknown')), [])
})

mountTest(t, 'session replaced while a request is under way: it is asked again', async (t) => {
  const rig = await Rig.open(t, { prepare: (admin) => admin.mkdir({ path: 'dir/below' }) })
  await stat(rig.path('dir'))
  rig.admin.setFaults([{ kind: 'delay', ms: 3000, match: WIRE.list, times: 1 }])
  const listed = names(rig.path('dir'))
  await until(() => rig.admin.faults()[0]?.hits === 1, 'the request with the old session')
  await rig.admin.rotateSession()
  t.same(await listed, ['below'])
})

mountTest(t, 'session expired in the middle of uploads: each file arrives once', async (t) => {
  const COUNT = 40
  /** At most, when the session expires, and the large one. */
  const UNDER_WAY = 11
  const rig = await Rig.open(t, { standin: { rttMs: 50 } })
  await rig.run('mkdir many; head -c 4M /dev/urandom > large')
  await rig.run(`for n in $(seq ${COUNT}); do echo "content $n" > many/$n; done`)
  await until(() => rig.remoteNames('many').length > 5, 'some files')
  rig.admin.expireSession()
  await until(async () => (await rig.status()).session === 'expired', 'it is noticed')
  t.ok(rig.remoteNames('many').length < COUNT, 'in the middle')
  t.equal((await names(rig.path('many'))).length, COUNT)

  await rig.admin.rotateSession()
  await until(() => isSynced(rig), 'the new session file is read')
  t.equal(rig.remoteNames('many').length, COUNT)
  t.same(rig.remoteBroken(), [])
  t.ok((await rig.admin.read({ path: 'large' })).equals(await readFile(rig.path('large'))))
  const { requests = 0, refused = 0 } = rig.admin.counters()[WIRE.announce] ?? {}
  t.ok(requests - refused <= COUNT + UNDER_WAY, 'only what was cut short was announced again')
})

mountTest(t, 'one refusal of a valid session: the queue goes on by itself', async (t) => {
  const rig = await Rig.open(t)
  rig.admin.setFaults([{ kind: 'expired-session', match: WIRE.announce, times: 2 }])
  await writeFile(rig.path('file'), 'content')
  await until(async () => (await rig.status()).session === 'expired', 'it is believed at first')
  await until(() => rig.remoteNames().includes('file'), 'nobody had to log in')
  t.equal((await rig.status()).session, 'ok')
})

mountTest(
  t,
  'session expired between mounts: what is known is served, what is unsent stays',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--write-back', '1h', '--drain', '0'],
      prepare: (admin) => admin.put({ path: 'there', size: MiB, seed: 1 }),
    })
    const content = await readFile(rig.path('there'))
    await writeFile(rig.path('unsent'), 'unsent')
    await rig.stop()
    rig.admin.expireSession()
    await rig.start()
    t.same(await names(rig.path()), ['there', 'unsent'])
    t.ok((await readFile(rig.path('there'))).equals(content))
    t.equal(await text(rig.path('unsent')), 'unsent')
    await until(async () => (await rig.status()).session === 'expired', 'status says so')
    await rig.admin.rotateSession()
    await until(() => isSynced(rig), 'the new session file is read')
    t.same(rig.remoteNames(), ['there', 'unsent'])
  },
)

mountTest(t, 'renamed and removed with EACCES: what is read is what will be there', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '0'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      for (const name of ['old', 'new', 'other'])
        await admin.put({ path: name, content: Buffer.from(`the ${name} one`) })
    },
  })
  for (const name of ['old', 'new', 'other']) await text(rig.path(name))
  await names(rig.path('dir'))
  rig.admin.expireSession()
  t.equal(await errno(rename(rig.path('new'), rig.path('old'))), 'EACCES')
  t.equal(await errno(unlink(rig.path('other'))), 'EACCES')
  t.equal(await errno(rmdir(rig.path('dir'))), 'EACCES')
  t.equal(await text(rig.path('old')), 'the new one')
  for (const name of ['new', 'other', 'dir'])
    t.equal(await errno(stat(rig.path(name))), 'ENOENT', name)

  await rig.admin.rotateSession()
  await until(() => isSynced(rig), 'the new session file is read')
  t.equal(await rig.remoteText('old'), 'the new one')
  t.same(rig.remoteNames(), ['old'])
})
