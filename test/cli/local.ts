import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { CliError } from '../../src/cli/exit.ts'
import { parseFault } from '../../src/cli/local.ts'
import { homeEnv, runCli, startCli, tempDir } from '../fixtures/cli.ts'

interface Ready {
  url: string
  session: string
  sessions: Record<string, string>
}

async function startLocal(t: Test, dir: string, ...args: string[]) {
  const child = startCli(['local', '--data', join(dir, 'data'), ...args], homeEnv(dir))
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  const ready: Ready = JSON.parse(line)
  return { child, ready, exited: once(child, 'exit') }
}

t.test('one line of JSON, then service until SIGTERM', async (t) => {
  const dir = await tempDir(t)
  const { child, ready, exited } = await startLocal(t, dir)
  t.match(ready.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal(ready.sessions.classic, ready.session)
  t.equal((await stat(ready.session)).mode & 0o777, 0o600)
  t.ok((await fetch(ready.url)).status, 'it answers')

  const session = JSON.parse(await readFile(ready.session, 'utf8'))
  t.equal(session.dialect, 'classic')
  const argv = await readFile(`/proc/${child.pid}/cmdline`, 'utf8')
  t.notOk(argv.includes(session.skey), 'no secret in the arguments')
  t.notOk(JSON.stringify(ready).includes(session.skey), 'nor in what it prints')

  child.kill('SIGTERM')
  t.same(await exited, [0, null])
})

t.test('it ends with the process that started it', async (t) => {
  const { child, exited } = await startLocal(t, await tempDir(t), '--until-stdin-ends')
  child.stdin.end()
  t.same(await exited, [0, null])
})

t.test('faults reach the service', async (t) => {
  const { ready } = await startLocal(t, await tempDir(t), '--fault', 'status-503:1:query_user')
  const url = `${ready.url}/wy_web_jsonp.fcg?cmd=query_user`
  t.equal((await fetch(url)).status, 503)
})

t.test('a port that is taken is a temporary failure', async (t) => {
  const dir = await tempDir(t)
  const { ready } = await startLocal(t, dir)
  const { port } = new URL(ready.url)
  const args = ['local', '--data', join(dir, 'data2'), '--port', port]
  const { code, stderr } = await runCli(args, homeEnv(dir))
  t.same([code, stderr], [75, `weiyun-mount: port ${port} is taken\n`])
})

t.test('a directory that cannot be made', async (t) => {
  const { code, stderr } = await runCli(['local', '--data', '/dev/null/x'], homeEnv('/nonexistent'))
  t.equal(code, 73)
  t.match(stderr, /^weiyun-mount: cannot start the local service: /)
})

t.test('how faults are written', async (t) => {
  t.same(parseFault('reset:0.1'), { kind: 'reset', rate: 0.1 })
  t.same(parseFault('ret:190042:1:file_.*:x'), { kind: 'ret:190042', rate: 1, match: 'file_.*:x' })
  t.same(parseFault('status-500:.5:get_dir_list'), {
    kind: 'status-500',
    rate: 0.5,
    match: 'get_dir_list',
  })
  for (const text of ['', 'reset', 'reset:', 'reset:2', 'reset:x', 'ret:x:1', ':1', 'reset:1:']) {
    t.throws(() => parseFault(text), CliError, text)
  }
})

t.test('wrong arguments start nothing', async (t) => {
  const dir = await tempDir(t)
  for (const args of [
    ['--port', 'x'],
    ['--rtt', '-1'],
    ['--bandwidth', 'fast'],
    ['--fault', 'x'],
  ]) {
    const { code, stderr } = await runCli(
      ['local', '--data', join(dir, 'd'), ...args],
      homeEnv(dir),
    )
    t.equal(code, 64, args.join(' '))
    t.match(stderr, `weiyun-mount: `)
  }
  const made = (await readdir(dir)).filter((name) => name !== '.cache')
  t.same(made, [], 'but for what was compiled')
})
