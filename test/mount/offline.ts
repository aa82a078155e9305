// Without the service: what is known is shown, what is here is read, and writes are taken for
// later. What cannot be asked for is never taken for absent.
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
const LATER = ['--write-back', '1h', '--drain', '0']
/**
 * The account's directories do not depend on the port, so this is the same service, and nobody
 * answers there.
 */
const UNREACHABLE = ['--service', 'http://127.0.0.1:1', '--timeout', '3s']

/** Whichever comes first, the last attempt or the end of the user's patience. */
const NO_ANSWER = /^(EIO|ETIMEDOUT)$/

mountTest(
  t,
  'service down at the start: the known tree, cached files, writes, and all of it sent later',
  async (t) => {
    const rig = await Rig.open(t, {
      args: LATER,
      prepare: async (admin) => {
        admin.mkdir({ path: 'known/dir' })
        admin.mkdir({ path: 'never looked at' })
        await admin.put({ path: 'known/read', size: 3 * MiB, seed: 1 })
        await admin.put({ path: 'known/unread', size: MiB, seed: 2 })
      },
    })
    await names(rig.path())
    await names(rig.path('known'))
    await names(rig.path('known/dir'))
    const content = await readFile(rig.path('known/read'))
    await writeFile(rig.path('unsent'), 'from the last run')
    await rig.stop()

    await rig.start(...UNREACHABLE)
    t.same(await names(rig.path()), ['known', 'never looked at', 'unsent'])
    t.same(await names(rig.path('known')), ['dir', 'read', 'unread'])
    t.equal((await stat(rig.path('known/unread'))).size, MiB)
    t.ok((await readFile(rig.path('known/read'))).equals(content))
    t.match(await errno(readFile(rig.path('known/unread'))), NO_ANSWER, 'unreachable')
    t.match(await errno(names(rig.path('never looked at'))), NO_ANSWER, 'is not empty')
    t.match(await errno(stat(rig.path('never looked at/file'))), NO_ANSWER, 'nor absent')
    t.equal(await errno(stat(rig.path('known/nothing'))), 'ENOENT', 'which is something else')
    await until(async () => (await rig.status()).session === 'unreachable', 'status says so')

    await rig.run(
      'mkdir new; echo new > new/file; echo more >> unsent; mv known/dir new/dir; rm known/unread',
    )
    await rename(rig.path('known/read'), rig.path('new/read'))
    t.ok((await readFile(rig.path('new/read'))).equals(content), 'moved, and still here')
    t.same((await rig.run('find . | sort')).trim().split('\n'), [
      '.',
      './known',
      './never looked at',
      './new',
      './new/dir',
      './new/file',
      './new/read',
      './unsent',
    ])
    t.equal(await rig.stop(), 0, 'ends in peace, with listings still under way')

    t.same(rig.remoteNames('known'), ['dir', 'read', 'unread'], 'none of it was sent')

    await rig.start()
    await rig.sync()
    t.same(rig.remoteNames(), [
      'known',
      'never looked at',
      'new',
      'new/dir',
      'new/file',
      'new/read',
      'unsent',
    ])
    t.equal(await rig.remoteText('unsent'), 'from the last runmore\n')
    t.equal((await rig.status()).session, 'ok')
  },
)

mountTest(t, 'service unreachable and back again while mounted', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '100ms', '--timeout', '3s'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'known' })
      await admin.put({ path: 'known/file', content: Buffer.from('content') })
    },
  })
  t.equal(await text(rig.path('known/file')), 'content')
  rig.admin.setFaults([{ kind: 'reset' }])
  t.same(await names(rig.path('known')), ['file'], 'what is known is shown')
  t.equal(await text(rig.path('known/file')), 'content')
  await rig.run('echo written > known/new; mkdir known/dir; echo deep > known/dir/deep')
  await until(async () => (await rig.status()).session === 'unreachable', 'status says so')
  t.equal((await rig.status()).pending.length, 3)
  t.same(rig.remoteNames('known'), ['file'])
  // Meanwhile, another device.
  await rig.admin.put({ path: 'known/other', content: Buffer.from('other') })

  rig.admin.setFaults([])
  await until(() => rig.remote().has('known/dir/deep'), 'it goes on by itself')
  await rig.sync()
  t.same(rig.remoteNames('known'), ['dir', 'dir/deep', 'file', 'new', 'other'])
  t.same(await names(rig.path('known')), ['dir', 'file', 'new', 'other'])
  t.equal(await text(rig.path('known/other')), 'other')
  t.equal((await rig.status()).session, 'ok')
})

mountTest(t, 'absent, unreachable and unauthorised are three things', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '10ms', '--timeout', '3s'],
    prepare: async (admin) => {
      for (const path of ['kept', 'removed']) {
        admin.mkdir({ path })
        await admin.put({ path: `${path}/file`, size: 3 * MiB, seed: 1 })
      }
    },
  })
  const file = rig.path('kept/file')
  const content = await readFile(file)
  await names(rig.path('removed'))

  rig.admin.setFaults([{ kind: 'reset' }])
  t.ok((await readFile(file)).equals(content), 'unreachable')
  t.same(await names(rig.path('kept')), ['file'])
  t.equal(
    await errno(readFile(rig.path('removed/file'))),
    undefined,
    'the same bytes, from the cache',
  )
  rig.admin.setFaults([])

  rig.admin.expireSession()
  t.ok((await readFile(file)).equals(content), 'unauthorised')
  t.same(await names(rig.path('kept')), ['file'])
  rig.admin.reviveSession()

  rig.admin.remove({ path: 'removed' })
  await until(async () => (await errno(stat(rig.path('removed')))) === 'ENOENT', 'absent')
  t.equal(await errno(readFile(rig.path('removed/file'))), 'ENOENT')
  t.ok((await readFile(file)).equals(content))
})
