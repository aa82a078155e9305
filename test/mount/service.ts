// Under systemd and mount(8): what they ask of a mount program.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { EXIT } from '../../src/cli/exit.ts'
import { findProgram } from '../../src/cli/fuse-helper.ts'
import { until } from '../fixtures/mount.ts'
import { MountBench, noFuse } from '../fixtures/mount-cli.ts'

const run = promisify(execFile)
const PROGRAM = fileURLToPath(new URL('../../scripts/weiyun-mount', import.meta.url))
const UNIT = fileURLToPath(new URL('../../scripts/weiyun-mount@.service', import.meta.url))

/** Perl, which every Debian has, listens in our place: Node knows no datagrams on such sockets. */
const LISTENER = `use Socket; $| = 1;
  socket(S, AF_UNIX, SOCK_DGRAM, 0) or die;
  bind(S, pack_sockaddr_un($ARGV[0])) or die; print "listening\\n";
  while (defined recv(S, $m, 4096, 0)) { print "$_\\n" for split /\\n/, $m }`

async function lacks(...programs: string[]): Promise<string | false> {
  for (const name of programs) if (!(await findProgram(name))) return `no ${name}`
  return noFuse
}

/** Everything that is said on a notify socket, as lines. */
async function notifySocket(t: Test, path: string): Promise<string[]> {
  const listener = spawn('perl', ['-e', LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => listener.kill())
  const lines: string[] = []
  const heard = createInterface({ input: listener.stdout })
  heard.on('line', (line) => lines.push(line))
  await once(heard, 'line')
  return lines
}

t.test(
  'systemd hears: ready, alive, stopping',
  {
    skip: await lacks('systemd-notify', 'perl'),
  },
  async (t) => {
    const bench = await MountBench.open(t)
    bench.env.NOTIFY_SOCKET = join(bench.home, 'notify')
    bench.env.WATCHDOG_USEC = '400000'
    const lines = await notifySocket(t, bench.env.NOTIFY_SOCKET)
    const mount = await bench.mount(t, '--drain', '7s')
    await until(() => lines.includes('READY=1'), 'ready')
    t.ok(lines.includes(`STATUS=${bench.mountpoint}`))
    await until(() => lines.filter((line) => line === 'WATCHDOG=1').length >= 2, 'two heartbeats')
    t.notOk(lines.includes('STOPPING=1'))
    t.equal(await mount.stop(), 0)
    await until(
      () => lines.includes('EXTEND_TIMEOUT_USEC=22000000'),
      'stopping, with time to drain',
    )
    t.ok(lines.includes('STOPPING=1'))
  },
)

t.test(
  'the unit is one that systemd takes',
  {
    skip: await lacks('systemd-analyze'),
  },
  async (t) => {
    const home = (await MountBench.open(t)).home
    const instance = join(home, 'weiyun-mount@home-me-weiyun.service')
    const text = await readFile(UNIT, 'utf8')
    await writeFile(instance, text.replace('ExecStart=weiyun-mount', `ExecStart=${PROGRAM}`))
    const { stdout, stderr } = await run(
      'systemd-analyze',
      ['verify', '--man=no', '--user', instance],
      {
        env: { ...process.env, XDG_RUNTIME_DIR: home },
      },
    ).catch((error) => error)
    t.notMatch(stdout + stderr, /weiyun-mount/)

    const [, never = ''] = /^RestartPreventExitStatus=(.*)$/m.exec(text) ?? []
    const { USAGE, NO_INPUT, CANNOT_CREATE, SESSION, CONFIG } = EXIT
    t.equal(never, [USAGE, NO_INPUT, CANNOT_CREATE, SESSION, CONFIG].join(' '))
    for (const line of ['Type=notify', 'WatchdogSec=60', 'Restart=on-failure', 'LimitCORE=0'])
      t.match(text, `\n${line}\n`)
  },
)

const isRoot = process.getuid?.() === 0

/**
 * Runs a script as root who sees our program as DIR/NAME: mount(8) looks for helpers in /sbin, and
 * for programs in directories of its own choice.
 */
async function asInstalled(bench: MountBench, place: string, script: string, ...args: string[]) {
  const program = join(bench.home, 'program')
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
  await writeFile(program, `#!${process.execPath}\nimport(${JSON.stringify(main)})\n`, {
    mode: 0o755,
  })
  // Of tap, whose loader knows no program without a suffix.
  const shadow = 'mount -t tmpfs none "$(dirname "$1")" && cp "$2" "$1"; shift 2'
  const whole = `unset NODE_OPTIONS; ${shadow}; ${script}`
  const argv = ['-m', 'sh', '-euc', whole, 'sh', place, program, ...args]
  return run('unshare', argv, { env: bench.env })
}

t.test(
  'mount -t fuse.weiyun-mount, as a line of fstab says',
  { skip: isRoot ? await lacks('unshare', 'mount.fuse3') : 'mount(8) wants root' },
  async (t) => {
    const bench = await MountBench.open(t)
    await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello') })
    const options = `noauto,user,_netdev,ro,service=${bench.standin.url},session=${bench.session}`
    const table = join(bench.home, 'fstab')
    await writeFile(table, `weiyun ${bench.mountpoint} fuse.weiyun-mount ${options} 0 0\n`)
    const script = 'mount -T "$1" "$2"; cat "$2/a.txt"; grep "$2" /proc/mounts; umount "$2"'
    const place = '/usr/local/bin/weiyun-mount'
    const { stdout } = await asInstalled(bench, place, script, table, bench.mountpoint)
    t.match(stdout, `helloweiyun-ro ${bench.mountpoint} fuse.weiyun-mount `)
    await until(async () => (await bench.run('status')).code === 66, 'its process ends')
  },
)

t.test(
  'a helper of mount(8) by its name, mount.weiyun-mount',
  { skip: isRoot ? await lacks('unshare') : 'mount(8) wants root' },
  async (t) => {
    const bench = await MountBench.open(t)
    await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello') })
    const options = `service=${bench.standin.url},session=${bench.session}`
    const script = 'mount -t weiyun-mount -o "$1" weiyun "$2"; cat "$2/a.txt"; umount "$2"'
    const place = '/usr/sbin/mount.weiyun-mount'
    const { stdout } = await asInstalled(bench, place, script, options, bench.mountpoint)
    t.equal(stdout, 'hello')
    await until(async () => (await bench.run('status')).code === 66, 'its process ends')
  },
)
