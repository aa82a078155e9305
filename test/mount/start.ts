// How mounts start, what they answer while they run, and what keeps one from starting.
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Status } from '../../src/cli/status.ts'
import { startCli } from '../fixtures/cli.ts'
import { WIRE } from '../fixtures/dialect.ts'
import { mountTest, Rig } from '../fixtures/mount.ts'
import { gone, LATER, MountBench, noFuse, Running } from '../fixtures/mount-cli.ts'

const skip = noFuse

t.test('in the background: returns when usable, ends with `unmount`', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const started = await bench.run(...bench.args(...LATER))
  t.same(started, { code: 0, stdout: '', stderr: '' })
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')

  const { stdout } = await bench.run('status', '--json', bench.mountpoint)
  const status: Status = JSON.parse(stdout)
  t.match(status, { mountpoint: bench.mountpoint, state: 'ready', session: 'ok' })
  t.match(status.pending, [{ path: '/a.txt', size: 5, sent: 0 }])
  t.equal((await bench.run('status', '--json')).stdout.split('\n').length, 2, 'one line a mount')
  t.match((await bench.run('status')).stdout, /a\.txt/)

  const unmounted = await bench.run('unmount', bench.mountpoint)
  t.equal(unmounted.code, 0)
  t.same(bench.remoteNames(), ['a.txt'], 'uploaded before `unmount` returned')
  t.equal((await bench.run('status', bench.mountpoint)).code, 66)
  await gone(status.pid)
  const log = join(bench.home, '.local/state/weiyun-mount/weiyun-mount.log')
  t.equal((await stat(log)).mode & 0o777, 0o600)
})

t.test('one process for one mount point and for one cache', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t)
  const again = await bench.run(...bench.args())
  t.equal(again.code, 66)
  t.match(again.stderr, `${bench.mountpoint}: already mounted by process ${mount.child.pid}`)

  const elsewhere = join(bench.home, 'mnt2')
  await mkdir(elsewhere)
  const [, ...options] = bench.args()
  for (const foreground of [['-f'], []]) {
    const second = await bench.run(...foreground, elsewhere, ...options)
    t.equal(second.code, 75)
    t.match(second.stderr, `in use by another process (pid ${mount.child.pid})`)
  }
  t.equal(await mount.stop(), 0)
})

t.test('a session that is dead at the start has an exit code of its own', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  bench.standin.admin.expireSession()
  for (const foreground of [['-f'], []]) {
    const { code, stdout, stderr } = await bench.run(...foreground, ...bench.args())
    t.same([code, stdout], [77, ''])
    t.match(stderr, 'the session has expired: run `weiyun-mount login`')
  }
  t.same(await readdir(bench.mountpoint), [])
})

t.test('Ctrl-C while the service keeps a start waiting', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  bench.standin.admin.setFaults([{ kind: 'stall', match: WIRE.account }])
  const child = startCli(['-f', ...bench.args()], bench.env)
  t.teardown(() => child.kill('SIGKILL'))
  while (bench.standin.admin.faults()[0]?.hits === 0) await sleep(20)
  const running = new Running(child)
  t.equal(await running.stop('SIGINT'), 130)
  t.match(running.stderr, 'interrupted before it was mounted')
  t.same(await readdir(bench.mountpoint), [])
})

t.test('a service that is not there', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const dead = bench.args('--service', 'http://127.0.0.1:1', '--log-level', 'silent')
  const { code, stderr } = await bench.run('-f', ...dead)
  t.equal(code, 69)
  t.match(stderr, /^weiyun-mount: .*127\.0\.0\.1/)
})

t.test('as mount(8) calls it', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello') })
  const [mountpoint, ...options] = bench.args()
  const list = 'rw,noauto,user,_netdev,x-systemd.automount,ro,dir_ttl=5s'
  const started = await bench.run('weiyun', mountpoint ?? '', ...options, '-o', list)
  t.same(started, { code: 0, stdout: '', stderr: '' })
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  await t.rejects(writeFile(join(bench.mountpoint, 'b.txt'), ''), { code: 'EROFS' })
  t.equal((await bench.run('unmount', bench.mountpoint)).code, 0)
})

t.test('--local brings its own service, and takes it away again', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const args = [bench.mountpoint, '--local', join(bench.home, 'drive')]
  t.same(await bench.run(...args), { code: 0, stdout: '', stderr: '' })
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  t.equal((await bench.run('unmount', bench.mountpoint)).code, 0)

  t.equal((await bench.run(...args, '--cache-dir', join(bench.home, 'c'))).code, 0)
  t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
  const { pid }: Status = JSON.parse((await bench.run('status', '--json')).stdout)
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
  t.equal(children.length, 2, 'the service, and the shell that looks at the mount')
  process.kill(pid, 'SIGKILL')
  for (const child of children) await gone(Number(child))
})

t.test('commands that name no mount', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  for (const args of [['unmount'], ['sync'], ['status']]) {
    const { code, stderr } = await bench.run(...args, bench.mountpoint)
    t.equal(code, 66, args.join(' '))
    t.match(stderr, `weiyun-mount: ${bench.mountpoint}: `)
  }
  t.equal((await bench.run('status')).code, 66)
  t.equal((await bench.run('sync')).code, 0, 'nothing mounted, nothing to wait for')
})

t.test('a new session file revives a running mount', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t, '--write-back', '10ms')
  t.same(await readdir(bench.mountpoint), [], 'known, so that it can be written to')
  bench.standin.admin.expireSession()
  await writeFile(join(bench.mountpoint, 'a.txt'), 'hello')
  const status = async (): Promise<Status> =>
    JSON.parse((await bench.run('status', '--json')).stdout)
  while ((await status()).session !== 'expired') await sleep(50)
  await bench.standin.admin.rotateSession()
  t.equal((await bench.run('sync')).code, 0)
  t.same(bench.remoteNames(), ['a.txt'])
  t.equal((await status()).session, 'ok')
  t.equal(await mount.stop(), 0)
})

t.test('status --watch goes on until the mount ends', { skip }, async (t) => {
  const bench = await MountBench.open(t)
  const mount = await bench.mount(t)
  const watching = new Running(startCli(['status', '--watch'], bench.env))
  t.teardown(() => watching.child.kill('SIGKILL'))
  let text = ''
  watching.child.stdout.on('data', (chunk) => {
    text += chunk
  })
  while (text.split('/s up, ').length < 3) await sleep(50)
  t.equal(await mount.stop(), 0)
  t.equal(await watching.exited, 0)
  t.match(text, /sent, .* received[\s\S]*\/s up, .*\/s down/, 'sums first, then rates')
})

mountTest(t, 'whoever gathers figures asks the control socket for them', async (t) => {
  const rig = await Rig.open(t)
  const socketPath = await rig.controlSocket()
  const ask = async (path: string): Promise<[number | undefined, string]> => {
    const [reply] = (await once(get({ socketPath, path }), 'response')) as [IncomingMessage]
    return [reply.statusCode, (await reply.setEncoding('utf8').toArray()).join('')]
  }
  const [code, text] = await ask('/metrics')
  t.equal(code, 200)
  t.match(text, /^# TYPE weiyun_mount_pending_entries gauge$/m)
  t.match(text, `weiyun_mount_resident_memory_bytes{mountpoint="${rig.bench.mountpoint}"} `)
  t.equal((await ask('/other'))[0], 404)
  t.equal((await rig.status()).state, 'ready', 'and the others are answered as before')
})
