// Every errno that a program can hear from the mount, provoked. Elsewhere: names that are too long
// or no text (names.ts), a full cache (cache-dir.ts), what bad replies lead to (bad-server.ts).
import {
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { constants } from 'node:os'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2
/** Exits with the errno of renameat2(2), which Node does not have. */
const RENAMEAT2 = `perl -e 'require "syscall.ph"; my ($from, $to, $flags) = @ARGV;
  exit(syscall(&SYS_renameat2, -100, $from, -100, $to, 0 + $flags) == 0 ? 0 : $! + 0)' "$@"`

mountTest(t, 'errnos of ordinary use', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'full/sub' })
      admin.mkdir({ path: 'empty' })
      await admin.put({ path: 'file', content: Buffer.from('content') })
      await admin.put({ path: 'full/file', content: Buffer.from('content') })
      await admin.put({ path: 'big', size: MiB })
      admin.setLimits({ fileSizeMax: 4 * MiB, dirEntriesMax: 6 })
      admin.setQuota({ totalSpace: 3 * MiB })
    },
  })
  const at = (...path: string[]) => rig.path(...path)
  const renameat2 = async (from: string, to: string, flags: number) =>
    (await rig.sh(RENAMEAT2, from, to, String(flags))).code

  await t.test('ENOENT: what is not there, and what is in no directory', async (t) => {
    t.equal(await errno(stat(at('nothing'))), 'ENOENT')
    t.equal(await errno(readFile(at('nothing'))), 'ENOENT')
    t.equal(await errno(unlink(at('nothing'))), 'ENOENT')
    t.equal(await errno(rename(at('nothing'), at('else'))), 'ENOENT')
    t.equal(await errno(writeFile(at('nowhere', 'file'), '')), 'ENOENT')
    t.equal(await errno(mkdir(at('nowhere', 'dir'))), 'ENOENT')
  })

  await t.test('EEXIST: mkdir, O_EXCL and RENAME_NOREPLACE onto what is there', async (t) => {
    t.equal(await errno(mkdir(at('empty'))), 'EEXIST')
    t.equal(await errno(mkdir(at('file'))), 'EEXIST')
    t.equal(await errno(writeFile(at('file'), 'x', { flag: 'wx' })), 'EEXIST')
    t.equal(await renameat2('big', 'file', RENAME_NOREPLACE), constants.errno.EEXIST)
    t.equal(await text(at('file')), 'content')
  })

  await t.test(
    'ENOTEMPTY: rmdir of, and rename onto, a directory with something in it',
    async (t) => {
      t.equal(await errno(rmdir(at('full'))), 'ENOTEMPTY')
      t.equal(await errno(rename(at('empty'), at('full'))), 'ENOTEMPTY')
      t.same(await names(at('full')), ['file', 'sub'])
    },
  )

  await t.test('ENOTDIR and EISDIR: a file is no directory, a directory no file', async (t) => {
    t.equal(await errno(stat(at('file', 'below'))), 'ENOTDIR')
    t.equal(await errno(readdir(at('file'))), 'ENOTDIR')
    t.equal(await errno(rmdir(at('file'))), 'ENOTDIR')
    t.equal(await errno(rename(at('empty'), at('file'))), 'ENOTDIR')
    t.equal(await errno(readFile(at('empty'))), 'EISDIR')
    t.equal(await errno(writeFile(at('empty'), '')), 'EISDIR')
    t.equal(await errno(unlink(at('empty'))), 'EISDIR')
    t.equal(await errno(truncate(at('empty'))), 'EISDIR')
    t.equal(await errno(rename(at('file'), at('empty'))), 'EISDIR')
  })

  await t.test('EINVAL: a directory into itself, RENAME_EXCHANGE', async (t) => {
    t.equal(await errno(rename(at('full'), at('full', 'sub', 'deeper'))), 'EINVAL')
    t.equal(await renameat2('big', 'file', RENAME_EXCHANGE), constants.errno.EINVAL)
    t.equal(await text(at('file')), 'content')
  })

  await t.test('EPERM: links, devices, trash folders, what only the drive can say', async (t) => {
    t.equal(await errno(symlink('file', at('link'))), 'EPERM')
    t.equal(await errno(link(at('file'), at('link'))), 'EPERM')
    t.match(await rig.sh('mkfifo pipe'), { code: 1, stderr: 'Operation not permitted' })
    t.equal(await errno(mkdir(at('.Trash'))), 'EPERM')
    t.equal(await errno(mkdir(at('.Trash-1000'))), 'EPERM')
    const set = await rig.sh('setfattr -n user.weiyun.sha1 -v 0 file')
    t.match(set, { code: 1, stderr: 'Operation not permitted' })
    t.same(await names(at()), ['big', 'empty', 'file', 'full'])
  })

  await t.test('EBUSY: the mount point can be neither removed nor renamed', async (t) => {
    t.equal(await errno(rmdir(at())), 'EBUSY')
    t.equal(await errno(rename(at(), `${at()}.else`)), 'EBUSY')
  })

  await t.test('EBADF: a descriptor does only what it was opened for', async (t) => {
    const reader = await open(at('file'), 'r')
    t.equal(await errno(reader.write('x')), 'EBADF')
    await reader.close()
    const writer = await open(at('file'), 'a')
    t.equal(await errno(writer.read()), 'EBADF')
    await writer.close()
    t.equal(await text(at('file')), 'content')
  })

  await t.test(
    'ENODATA and ENOTSUP: attributes that are not there, or not for users',
    async (t) => {
      t.match(await rig.sh('getfattr -n user.none file'), { code: 1, stderr: 'No such attribute' })
      t.match(await rig.sh('setfattr -x user.none file'), { code: 1, stderr: 'No such attribute' })
      const trusted = await rig.sh('setfattr -n trusted.x -v 1 file')
      t.match(trusted, { code: 1, stderr: 'Operation not supported' })
    },
  )

  await t.test(
    'EFBIG: larger than any file may be; ENOSPC: larger than what is left',
    async (t) => {
      t.equal(await errno(truncate(at('big'), 4 * MiB + 1)), 'EFBIG')
      const handle = await open(at('big'), 'r+')
      t.equal(await errno(handle.write('x', 4 * MiB)), 'EFBIG')
      await handle.close()
      t.equal(await errno(writeFile(at('full', 'new'), Buffer.alloc(2.5 * MiB))), 'ENOSPC')
      await unlink(at('full', 'new'))
      t.equal(await errno(truncate(at('big'), 3.5 * MiB)), 'ENOSPC')
      t.equal((await stat(at('big'))).size, MiB)
      await writeFile(at('full', 'new'), Buffer.alloc(1.5 * MiB))
      await unlink(at('full', 'new'))
      t.equal(await errno(writeFile(at('full', 'new'), Buffer.alloc(1.5 * MiB))), undefined)
    },
  )

  await t.test('ENOSPC: a directory that holds as many entries as it may', async (t) => {
    await writeFile(at('fifth'), '')
    await writeFile(at('sixth'), '')
    t.equal(await errno(writeFile(at('seventh'), '')), 'ENOSPC')
    t.equal(await errno(mkdir(at('seventh'))), 'ENOSPC')
    t.equal(await errno(rename(at('full', 'file'), at('seventh'))), 'ENOSPC')
  })

  await rig.sync()
  t.equal(await rig.remoteText('file'), 'content')
})

mountTest(t, 'EROFS: nothing can be changed with --read-only', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--read-only'],
    prepare: async (admin) => {
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'file', content: Buffer.from('content') })
    },
  })
  const file = rig.path('file')
  t.equal(await errno(writeFile(rig.path('new'), '')), 'EROFS')
  t.equal(await errno(open(file, 'r+')), 'EROFS')
  t.equal(await errno(truncate(file)), 'EROFS')
  t.equal(await errno(mkdir(rig.path('new'))), 'EROFS')
  t.equal(await errno(unlink(file)), 'EROFS')
  t.equal(await errno(rmdir(rig.path('dir'))), 'EROFS')
  t.equal(await errno(rename(file, rig.path('new'))), 'EROFS')
  t.equal(await errno(utimes(file, 1, 1)), 'EROFS')
  t.match(await rig.sh('chmod 600 file'), { stderr: 'Read-only file system' })
  t.match(await rig.sh('setfattr -n user.x -v 1 file'), { stderr: 'Read-only file system' })
  t.equal(await text(file), 'content')
})

mountTest(t, 'ESTALE: the version that was opened is gone from the service', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      for (const path of ['removed', 'replaced', 'rewritten']) {
        await admin.put({ path, size: 20 * MiB, seed: 1 })
      }
    },
  })
  const wreck: Record<string, () => unknown> = {
    removed: () => rig.admin.remove({ path: 'removed' }),
    replaced: () => rig.admin.replace({ path: 'replaced', size: 10 * MiB, seed: 2 }),
    rewritten: () => rig.admin.put({ path: 'rewritten', size: 10 * MiB, seed: 2 }),
  }
  await names(rig.path())
  for (const [path, change] of Object.entries(wreck)) {
    const handle = await open(rig.path(path))
    await change()
    t.equal(await errno(handle.read(Buffer.alloc(10), 0, 10, 8 * MiB)), 'ESTALE', path)
    await handle.close()
  }
  // Nobody waits for --dir-ttl to find what is there instead.
  await until(() => rig.sh('test ! -e removed').then(({ code }) => code === 0), 'it is gone')
  for (const path of ['replaced', 'rewritten']) {
    await until(() => stat(rig.path(path)).then(({ size }) => size === 10 * MiB), 'its new size')
    t.ok((await readFile(rig.path(path))).equals(await rig.admin.read({ path })), path)
  }
})

mountTest(t, 'quota full: new writes get ENOSPC, queued files are kept and shown', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: (admin) => admin.put({ path: 'there', size: MiB, seed: 1 }),
  })
  const content = Buffer.alloc(2 * MiB, 'queued')
  await writeFile(rig.path('queued'), content)
  rig.admin.setQuota({ totalSpace: 1.5 * MiB })
  await t.rejects(rig.sync(), /full/)
  const shown = async () => {
    const { pending } = await rig.status()
    t.match(pending, [{ path: '/queued', size: 2 * MiB, state: 'error', error: /1053|full|room/ }])
    const state = await rig.run('getfattr --only-values -n user.weiyun.state queued')
    t.match(state, /^error: /)
  }
  await shown()
  await until(async () => (await rig.status()).quota?.total === 1.5 * MiB, 'the quota of now')
  t.equal(await errno(writeFile(rig.path('new'), Buffer.alloc(MiB))), 'ENOSPC')
  await unlink(rig.path('new'))
  t.ok((await readFile(rig.path('queued'))).equals(content), 'what is queued is there')
  t.same(rig.remoteNames(), ['there'])
  await rig.kill()
  await rig.start()
  await shown()

  rig.admin.setQuota({ totalSpace: 10 * MiB })
  await rig.sync()
  t.ok((await rig.admin.read({ path: 'queued' })).equals(content))
  t.same((await rig.status()).pending, [])
})
