// What the options of a mount promise, by what a program in it sees and what is asked of the
// service.
import {
  chmod,
  chown,
  mkdir,
  open,
  readFile,
  rename,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until, WIRE } from '../fixtures/mount.ts'

const KiB = 1024
const MiB = 1024 * 1024

mountTest(t, '--write-back 0: close returns when the service has it', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '0', '--timeout', '5s'] })
  await writeFile(rig.path('file'), 'content')
  t.equal(await rig.remoteText('file'), 'content')
  await mkdir(rig.path('dir'))
  t.ok(rig.remote().has('dir'))
  await rename(rig.path('file'), rig.path('dir/renamed'))
  t.same(rig.remoteNames(), ['dir', 'dir/renamed'])
  await unlink(rig.path('dir/renamed'))
  t.same(rig.remoteNames(), ['dir'])
  await rmdir(rig.path('dir'))
  t.same(rig.remoteNames(), [])
})

mountTest(t, '--write-back 0: close tells why the service refuses', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '0', '--timeout', '3s'] })
  await names(rig.path())
  const REFUSALS: Record<string, string> = {
    'ret:1053': 'ENOSPC', // the drive is full
    'ret:1028': 'EDQUOT', // as many entries as an account may have
    'ret:1029': 'EFBIG',
    'ret:1088': 'EINVAL', // a name that this service does not like
    'ret:100034': 'EPERM', // blocked content
    stall: 'ETIMEDOUT',
  }
  for (const [kind, expected] of Object.entries(REFUSALS)) {
    rig.admin.setFaults([{ kind, match: WIRE.announce }])
    t.equal(await errno(writeFile(rig.path(kind.replace(':', ' ')), kind)), expected, kind)
    rig.admin.setFaults([])
  }
  rig.admin.expireSession()
  t.equal(await errno(writeFile(rig.path('no session'), 'x')), 'EACCES')
  rig.admin.reviveSession()
  t.equal((await names(rig.path())).length, 7, 'refused, and kept nevertheless')
})

mountTest(
  t,
  '--fsync remote: fsync returns when the service has it, close does not wait',
  async (t) => {
    const rig = await Rig.open(t, { args: ['--fsync', 'remote', '--write-back', '1h'] })
    const handle = await open(rig.path('file'), 'w')
    await handle.writeFile('first')
    await handle.sync()
    t.equal(await rig.remoteText('file'), 'first')
    await handle.writeFile(', second')
    await handle.sync()
    t.equal(await rig.remoteText('file'), 'first, second')
    await handle.close()
    await writeFile(rig.path('closed'), 'only closed')
    t.same(rig.remoteNames(), ['file'])
  },
)

mountTest(t, '--fsync local: fsync returns without the service', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '1h'] })
  await names(rig.path())
  rig.admin.setFaults([{ kind: 'stall' }])
  const handle = await open(rig.path('file'), 'w')
  await handle.writeFile('content')
  await handle.sync()
  await handle.close()
  rig.admin.setFaults([])
  t.same(rig.remoteNames(), [])
})

mountTest(t, '--local-only: stays here until it is renamed to something else', async (t) => {
  const rig = await Rig.open(t, { args: ['--local-only', '*.draft', '--local-only', 'tmp?'] })
  await rig.run('echo 1 > a.draft; echo 2 > tmp1; echo 3 > tmp10; mkdir dir; echo 4 > dir/b.draft')
  await rig.sync()
  t.same(rig.remoteNames(), ['dir', 'tmp10'])
  t.equal(await rig.run('getfattr --only-values -n user.weiyun.state a.draft'), 'local')
  await rig.run('mv a.draft a.txt; mv tmp10 tmp2; mv dir/b.draft dir/c.draft')
  await rig.sync()
  t.same(rig.remoteNames(), ['a.txt', 'dir', 'tmp2'], 'what the service has is not taken from it')
  await rig.restart()
  t.equal(await text(rig.path('dir/c.draft')), '4\n')
  t.equal(await text(rig.path('tmp1')), '2\n')
})

mountTest(t, '--root: the folder is all that there is', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--root', '/some/文件夹'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'some/文件夹/sub' })
      await admin.put({ path: 'some/outside', content: Buffer.from('outside') })
      await admin.put({ path: 'some/文件夹/file', content: Buffer.from('inside') })
    },
  })
  t.same(await names(rig.path()), ['file', 'sub'])
  await rig.run('echo new > sub/new; mv file moved')
  await rig.sync()
  t.same(rig.remoteNames('some'), [
    'outside',
    '文件夹',
    '文件夹/moved',
    '文件夹/sub',
    '文件夹/sub/new',
  ])
  await rig.stop()

  await rig.start('--root', '/', '--write-back', '1h', '--drain', '0')
  t.same(await names(rig.path()), ['some'], 'another folder is another mount')
  await rig.run('mkdir "some/c:d"; echo odd > "some/c:d/odd"')
  await rig.restart('--root', '/some')
  t.same(await names(rig.path()), ['c:d', 'outside', '文件夹'])
  t.same(await names(rig.path('c:d')), [], 'which keeps to itself what it has to send')
  await rig.restart('--root', '/')
  await rig.sync()
  await rig.restart('--root', '/some/c:d')
  t.same(await names(rig.path()), ['odd'], 'named as users see it')
  await rig.stop()
  const { code, stderr } = await rig.bench.run('-f', ...rig.bench.args('--root', '/some/nothing'))
  t.equal(code, 66)
  t.equal(stderr, 'weiyun-mount: /some/nothing: no such folder on the drive\n')
})

mountTest(t, '--uid, --gid and --umask: owner and mode of what has none of its own', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--uid', '1234', '--gid', '2345', '--umask', '027'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'file', content: Buffer.from('content') })
    },
  })
  t.equal(await rig.run('stat -c "%u %g %a" dir file'), '1234 2345 750\n1234 2345 640\n')
  await rig.run('umask 0; echo > made; mkdir -m 711 own; chown 5:6 own; chmod 604 file')
  const EXPECTED = '1234 2345 666\n5 6 711\n1234 2345 604\n'
  t.equal(await rig.run('stat -c "%u %g %a" made own file'), EXPECTED)
  await rig.sync()
  await rig.restart()
  t.equal(await rig.run('stat -c "%u %g %a" made own file'), EXPECTED)
})

mountTest(
  t,
  'modes, owners, times to the nanosecond and attributes survive a remount',
  async (t) => {
    const rig = await Rig.open(t, {
      prepare: (admin) => admin.put({ path: 'there', content: Buffer.from('content') }),
    })
    await rig.run('mkdir dir; echo fresh > fresh')
    for (const [name, mode] of Object.entries({ there: 0o604, fresh: 0o440, dir: 0o700 })) {
      await rig.run('setfattr -n user.comment -v "of $1" "$1"; setfattr -n user.empty "$1"', name)
      await chown(rig.path(name), 11, 22)
      await chmod(rig.path(name), mode)
      await rig.run('touch -a -d "1999-12-31 23:59:59.123456789 UTC" "$1"', name)
      await rig.run('touch -m -d "2038-01-20 00:00:00.000000001 UTC" "$1"', name)
    }
    const look = () =>
      rig.run(`stat -c '%n %a %u %g %x %y %s %F' there fresh dir
      for f in there fresh dir; do getfattr -d -m '^user\\.(comment|empty)' $f; done`)
    const before = await look()
    t.match(before, '23:59:59.123456789')
    t.match(before, '00:00:00.000000001')
    t.match(before, 'user.comment="of dir"')
    t.equal(await look(), before)
    await rig.run('mv fresh dir/moved; mv dir/moved fresh')
    await rig.run('touch -m -d "2038-01-20 00:00:00.000000001 UTC" dir')
    await rig.sync()
    t.equal(await look(), before, 'after the upload')
    await rig.restart()
    t.equal(await look(), before, 'after a remount')
    await rig.kill()
    await rig.start()
    t.equal(await look(), before, 'after a crash')
  },
)

mountTest(
  t,
  '--dir-ttl: a listing is trusted for so long, and asked for again after that',
  async (t) => {
    const rig = await Rig.open(t, { args: ['--dir-ttl', '1h'] })
    t.same(await names(rig.path()), [])
    await rig.admin.put({ path: 'new', content: Buffer.from('new') })
    t.same(await names(rig.path()), [], 'for an hour')
    t.equal(await errno(stat(rig.path('new'))), 'ENOENT')
    await rig.refresh()
    t.same(await names(rig.path()), ['new'], 'or until somebody asks for it')
    await rig.stop()

    await rig.start('--dir-ttl', '100ms')
    await rig.admin.put({ path: 'newer', content: Buffer.from('newer') })
    await until(async () => (await names(rig.path())).includes('newer'), 'seen after --dir-ttl')
  },
)

mountTest(t, '--bwlimit-up and --bwlimit-down: no more bytes go than that', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--bwlimit-up', '256K', '--bwlimit-down', '256K'],
    prepare: (admin) => admin.put({ path: 'there', size: MiB, seed: 1 }),
  })
  await names(rig.path())
  const startedMs = performance.now()
  const before = (await rig.status()).traffic
  // What a limit lets through at once, and the replies to commands.
  const SLACK = 512 * KiB
  await writeFile(rig.path('sent'), Buffer.alloc(MiB, 'up'))
  let isRead = false
  const read = readFile(rig.path('there')).finally(() => {
    isRead = true
  })
  await until(async () => {
    const { traffic, pending } = await rig.status()
    const allowed = ((performance.now() - startedMs) / 1000) * 256 * KiB + SLACK
    const moved = [
      traffic.sentBytes - before.sentBytes,
      traffic.receivedBytes - before.receivedBytes,
    ]
    if (Math.max(...moved) > allowed) t.fail(`${moved} bytes where ${allowed} are allowed`)
    return isRead && pending.length === 0
  }, 'both')
  t.ok((await read).equals(await rig.admin.read({ path: 'there' })))
  t.ok((await rig.admin.read({ path: 'sent' })).equals(Buffer.alloc(MiB, 'up')))
})
