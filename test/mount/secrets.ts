// Whatever goes well or wrong, the session is in its own file and nowhere else. Every other test
// with a mount ends with the same search of what it left and printed (MountBench); this one adds
// the most talkative log, faults, and what can be seen of processes.
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { findProgram } from '../../src/cli/fuse-helper.ts'
import { runCli, startCli } from '../fixtures/cli.ts'
import { until } from '../fixtures/mount.ts'
import { gone, MountBench, noFuse } from '../fixtures/mount-cli.ts'
import { exposures, filesWithSecrets, secretsOf } from '../fixtures/secrets.ts'

const FAULTS = ['html', 'malformed', 'reset', 'truncated', 'status-403', 'expired-session']
/** Run by the program, for moments: what they are told is written down by those in their place. */
const HELPERS = ['fusermount3', 'prlimit', 'systemd-notify']
const REQUESTS = ['status', 'metrics', 'refresh', 'sync', 'nonsense']

/** Puts programs in the place of the helpers; resolves with the file that they write to. */
async function watchHelpers(bench: MountBench): Promise<string> {
  const bin = join(bench.home, 'bin')
  const record = join(bench.home, 'helpers')
  await mkdir(bin)
  for (const name of HELPERS) {
    const real = (await findProgram(name)) ?? 'true'
    const script = `#!/bin/sh\n{ echo "${name} $*"; env; } >> ${record}\nexec ${real} "$@"\n`
    await writeFile(join(bin, name), script)
    await chmod(join(bin, name), 0o755)
  }
  bench.env.PATH = `${bin}:${bench.env.PATH}`
  return record
}

/** What a mount answers to whoever reaches its socket. */
async function answers(home: string): Promise<string> {
  const dir = join(home, 'run/weiyun-mount')
  const [socket = ''] = await readdir(dir)
  const said = REQUESTS.map((name) => {
    const connection = connect(join(dir, socket))
    connection.end(`${JSON.stringify({ do: name, path: '/' })}\n`)
    return text(connection)
  })
  return (await Promise.all(said)).join('')
}

/** The page in the browser, its parts and its figures. */
async function statusPage(t: Test, bench: MountBench): Promise<string> {
  const child = startCli(['status', '--web'], bench.env)
  t.teardown(() => child.kill('SIGKILL'))
  const [url] = await once(createInterface({ input: child.stdout }), 'line')
  const parts = ['', 'data', 'status.js', 'status.css', 'nothing'].map(async (name) => {
    const response = await fetch(url + name)
    return JSON.stringify([...response.headers]) + (await response.text())
  })
  const page = (await Promise.all(parts)).join('')
  const ended = once(child, 'exit')
  child.kill('SIGINT')
  await ended
  return page
}

for (const dialect of ['classic', 'webapp'] as const) {
  t.test(`${dialect}: files, logs, arguments, cores`, { skip: noFuse }, async (t) => {
    const bench = await MountBench.open(t, {}, dialect)
    const { session } = bench
    const secrets = await secretsOf(session)
    t.ok(secrets.length >= 2, 'there is something to look for')
    const isClean = (words: string, what: string) => {
      t.ok(words.length > 0, `${what}: there is something to look at`)
      t.notOk(
        secrets.some((secret) => words.includes(secret)),
        `${what}: no secret`,
      )
    }
    await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello') })
    const helpers = await watchHelpers(bench)

    const log = join(bench.home, 'mount.log')
    const options = ['--log-level', 'trace', '--log-file', log, '--write-back', '10ms']
    const started = await bench.run(...bench.args(...options))
    t.equal(started.code, 0, started.stderr)
    const { pid } = JSON.parse((await bench.run('status', '--json')).stdout)
    const processes = await exposures(pid)
    t.same(
      [...new Set(processes.map(({ coreLimit }) => coreLimit))],
      ['0'],
      'a crash leaves no core',
    )
    isClean(processes.map(({ shown }) => shown).join(''), 'arguments and environments')

    t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
    for (const kind of FAULTS) {
      bench.standin.admin.setFaults([{ kind, times: 3 }])
      await writeFile(join(bench.mountpoint, `${kind}.txt`), kind)
      await until(() => bench.standin.admin.faults()[0]?.hits, kind)
    }
    isClean(await answers(bench.home), 'the control socket')
    isClean(await statusPage(t, bench), 'the status page')
    bench.standin.admin.setFaults([])
    await bench.standin.admin.rotateSession()
    secrets.push(...(await secretsOf(session)))
    for (const command of [['sync'], ['status'], ['status', '--json'], ['status', '--metrics']])
      await bench.run(...command)
    await bench.run('doctor', '--json', ...bench.args().slice(1))
    isClean(await answers(bench.home), 'the control socket, later')
    await bench.run('unmount', bench.mountpoint)
    await gone(pid)
    isClean(bench.said, 'what commands print')
    t.match(await readFile(log, 'utf8'), /"level":20/, 'there is a log to look at')
    t.match(await readFile(helpers, 'utf8'), /^prlimit .*--core=0$/m, 'there are helpers too')
    t.same(await filesWithSecrets(bench.home, secrets, [join(bench.home, 'service')]), [])
    t.same(
      await filesWithSecrets(join(bench.home, 'service/sessions'), secrets),
      [session],
      'found',
    )
  })
}

t.test('login and logout: the session file alone', { skip: noFuse }, async (t) => {
  const bench = await MountBench.open(t, {}, 'webapp')
  const secrets = await secretsOf(bench.session)
  const { cookies } = JSON.parse(await readFile(bench.session, 'utf8'))
  const file = join(bench.home, '.config/weiyun-mount/session.json')
  const service = ['--service', bench.standin.url]
  const login = async (pasted: string) => {
    const child = startCli(['login', '--cookies', ...service], bench.env)
    const said = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    const seen = (await exposures(child.pid ?? 0)).map(({ shown }) => shown)
    child.stdin.end(pasted)
    const [stdout, stderr, [code]] = await said
    return { code, words: seen.join('') + stdout + stderr }
  }
  const holders = () => filesWithSecrets(bench.home, secrets, [join(bench.home, 'service')])
  const done = await login(cookies)
  t.equal(done.code, 0)
  t.same(await holders(), [file])
  const out = await runCli(['logout', ...service], bench.env)
  t.equal(out.code, 0, out.stderr)
  t.same(await holders(), [], 'and none is left')
  const refused = await login(cookies)
  t.equal(refused.code, 77, 'the service was told')
  t.same(await holders(), [])
  const words = done.words + refused.words + out.stdout + out.stderr
  t.same(
    secrets.filter((secret) => words.includes(secret)),
    [],
  )
})
