// How mounts end: asked to, told to, killed or crashed. What was closed is never lost.
import { execFile } from 'node:child_process'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { WIRE } from '../fixtures/dialect.ts'
import { LATER, MountBench, noFuse } from '../fixtures/mount-cli.ts'

const skip = noFuse

t.test('in the foreground: usable when it says so, drained on SIGTERM', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t, ...LATER)
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  t.same(bench.remoteNames(), [], 'not uploaded yet')
  bench.standin.admin.setKnobs({ rttMs: 500 })
  t.equal(await mount.stop(), 0)
  t.same(bench.remoteNames(), ['a.txt'])
  t.match(mount.stderr, 'weiyun-mount: uploading 1 file (5 B) first\n')
  t.same(await readdir(bench.mountpoint), [], 'the mount point is bare again')
})

t.test('fusermount3 -u ends the process the same way', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t, ...LATER)
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  await promisify(execFile)('fusermount3', ['-u', bench.mountpoint])
  t.equal(await mount.exited, 0)
  t.same(bench.remoteNames(), ['a.txt'])
  t.notMatch(mount.stderr, /"level":50/, 'which is no error of anybody')
})

t.test('who cannot open a file for a while does not end', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t)
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  const limit = (files: string) =>
    promisify(execFile)('prlimit', ['--pid', `${mount.child.pid}`, `--nofile=${files}`])
  await limit('3:')
  await sleep(1200) // it looks twice a second whether it is still mounted
  await limit('1024:')
  t.equal(mount.child.exitCode, null)
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  t.equal(await mount.stop(), 0)
})

t.test('what --drain leaves is kept, and goes on at the next mount', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  bench.standin.admin.setFaults([{ kind: 'stall', match: WIRE.announce }])
  const mount = await bench.mount(t, ...LATER, '--drain', '100ms')
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  t.equal(await mount.stop(), 0)
  t.match(mount.stderr, '1 file (5 B) not uploaded yet; kept in the journal')
  t.same(bench.remoteNames(), [])

  bench.standin.admin.setFaults([])
  const next = await bench.mount(t)
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  const synced = await bench.run('sync', join(bench.mountpoint, 'a.txt'))
  t.same([synced.code, synced.stderr], [0, ''])
  t.same(bench.remoteNames(), ['a.txt'])
  t.equal(await next.stop('SIGINT'), 0)
})

t.test('a second Ctrl-C ends it at once', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  bench.standin.admin.setFaults([{ kind: 'stall', match: WIRE.announce }])
  const mount = await bench.mount(t, ...LATER, '--drain', '1h')
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  mount.child.kill('SIGINT')
  while (!mount.stderr.includes('uploading')) await sleep(20)
  t.equal(await mount.stop('SIGINT'), 130)
})

t.test('a mount left behind by a killed process is replaced', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t, ...LATER)
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  t.equal(await mount.stop('SIGKILL'), 'SIGKILL')
  await t.rejects(readdir(bench.mountpoint), { code: 'ENOTCONN' })
  t.equal((await bench.run('status', bench.mountpoint)).code, 66)

  const next = await bench.mount(t)
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  t.equal(await next.stop(), 0)
  t.same(bench.remoteNames(), ['a.txt'])

  const third = await bench.mount(t)
  await third.stop('SIGKILL')
  const { code, stderr } = await bench.run('unmount', bench.mountpoint)
  t.equal(code, 0)
  t.match(stderr, 'its process was gone already')
  t.same(await readdir(bench.mountpoint), [])
})

t.test('an open file keeps `unmount` from succeeding, --lazy does it', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t)
  const file = await open(join(bench.mountpoint, 'a.txt'), 'w')
  const busy = await bench.run('unmount', bench.mountpoint)
  t.equal(busy.code, 75)
  t.match(busy.stderr, 'in use; close what is open there, or add --lazy')
  await file.write('hello')
  await file.close()
  t.equal((await bench.run('unmount', '--lazy', bench.mountpoint)).code, 0)
  t.equal(await mount.exited, 0)
  t.same(bench.remoteNames(), ['a.txt'])
})

t.test('a bug ends the process and takes the mount away', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const planted = "process.on('SIGUSR2', () => { throw new Error('planted') })"
  bench.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(planted)}`
  const mount = await bench.mount(t, ...LATER)
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  t.equal(await mount.stop('SIGUSR2'), 70)
  t.match(mount.stderr, /^weiyun-mount: this is a bug: Error: planted$/m)
  t.same(await readdir(bench.mountpoint), [], 'no dead mount point is left')

  delete bench.env.NODE_OPTIONS
  const next = await bench.mount(t)
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  t.equal(await next.stop(), 0)
})
