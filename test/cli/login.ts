// `weiyun-mount login` and `logout` as users meet them, on the local service.
import { once } from 'node:events'
import { access, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { PNG } from 'pngjs'
import encodeQr from 'qr'
import t, { type Test } from 'tap'
import { drawQr } from '../../src/cli/qr-code.ts'
import { startStandin } from '../../src/standin/index.ts'
import { homeEnv, runCli, startCli, tempDir } from '../fixtures/cli.ts'

async function setUp(t: Test) {
  const home = await tempDir(t)
  const standin = await startStandin({ dataDir: join(home, 'service') })
  t.teardown(() => standin.close())
  const file = join(home, '.config/weiyun-mount/session.json')
  const run = async (input: string | undefined, ...args: string[]) => {
    const child = startCli([...args, '--service', standin.url], homeEnv(home))
    child.stdin.end(input)
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    return { code, stdout, stderr }
  }
  return { home, standin, file, run, env: homeEnv(home) }
}

async function cookiesOf({ sessions }: { sessions: Record<string, string> }): Promise<string> {
  return JSON.parse(await readFile(sessions.webapp as string, 'utf8')).cookies
}

t.test('with a phone', async (t) => {
  const { standin, file, env } = await setUp(t)
  for (const flags of [[], ['--wechat']]) {
    const child = startCli(['login', '--service', standin.url, ...flags], env)
    t.teardown(() => child.kill('SIGKILL'))
    const stderr = text(child.stderr)
    const exited = once(child, 'exit')
    const lines: string[] = []
    let hasExpired = false
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line)
      if (line.startsWith('Scan')) {
        standin.admin.login({ action: hasExpired ? 'scan' : 'expire' })
        hasExpired = true
      }
      if (line.startsWith('scanned')) standin.admin.login({ action: 'confirm' })
    }
    t.strictSame(await exited, [0, null])
    t.equal(await stderr, '')
    const said = lines.join('\n')
    t.match(said, /Scan this with (QQ|WeChat) on your phone:\n█████/, 'a code to look at')
    t.match(said, /expired; here is a new one\nScan this/)
    t.match(said, /\nconfirmed\nlogged in as .+ \(\d+\), 0 B of .* used\n/)
    t.match(said, flags.length > 0 ? /a mount renews it by itself/ : /about 48 hours, until /)
    t.equal((await stat(file)).mode & 0o777, 0o600)
    const { dialect, cookies } = JSON.parse(await readFile(file, 'utf8'))
    t.equal(dialect, 'webapp')
    t.match(cookies, /wyctoken=\d+/)
    for (const [, value = ''] of cookies.matchAll(/(?:key|token)=([^;]+)/g)) {
      t.notOk(said.includes(value), 'nothing secret is printed')
    }
  }
})

t.test('refused on the phone', async (t) => {
  const { standin, file, env } = await setUp(t)
  const child = startCli(['login', '--service', standin.url], env)
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const stderr = text(child.stderr)
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('Scan')) standin.admin.login({ action: 'refuse' })
  }
  t.strictSame(await exited, [1, null])
  t.match(await stderr, /^weiyun-mount: no login: /)
  await t.rejects(access(file))
})

t.test('given up', async (t) => {
  const { standin, file, env } = await setUp(t)
  const child = startCli(['login', '--service', standin.url], env)
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const stderr = text(child.stderr)
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('Scan')) child.kill('SIGINT')
  }
  t.strictSame(await exited, [130, null])
  t.equal(await stderr, '')
  await t.rejects(access(file))
})

t.test('with cookies, and out again', async (t) => {
  const { standin, file, run } = await setUp(t)
  const cookies = await cookiesOf(standin)
  const { code, stdout, stderr } = await run(`Cookie: ${cookies}\n`, 'login', '--cookies')
  t.strictSame([code, stderr], [0, ''])
  t.match(stdout, /^logged in as .+\nsession in .+session\.json; /)
  t.match(JSON.parse(await readFile(file, 'utf8')), { dialect: 'webapp' })

  const out = await run(undefined, 'logout')
  t.strictSame([out.code, out.stderr], [0, ''])
  t.match(out.stdout, /^logged out; .+ is removed\n$/)
  await t.rejects(access(file))
  const again = await run(undefined, 'logout')
  t.match(again, { code: 77, stderr: /no session at/ })
  const dead = await run(cookies, 'login', '--cookies')
  t.match(dead, { code: 77, stderr: /does not take these cookies/ }, 'the service was told')
  await t.rejects(access(file), 'a session that does not work is not kept')
})

t.test("a session file of one's own", async (t) => {
  const { standin, home, run } = await setUp(t)
  const path = join(home, 'mine.json')
  const cookies = await cookiesOf(standin)
  const rows = cookies
    .split('; ')
    .map((pair) => ['.weiyun.com', 'TRUE', '/', 'TRUE', '0', ...pair.split('=')].join('\t'))
  t.match(await run(rows.join('\n'), 'login', '--cookies', '--session', path), { code: 0 })
  t.match(JSON.parse(await readFile(path, 'utf8')), { dialect: 'webapp' })
})

t.test('what is no session', async (t) => {
  const { file, run } = await setUp(t)
  const cases = { 'hello SECRET': /neither/, 'p_skey=SECRET': /no account/, '': /neither/ }
  for (const [pasted, message] of Object.entries(cases)) {
    const { code, stderr } = await run(pasted, 'login', '--cookies')
    t.equal(code, 1)
    t.match(stderr, message)
    t.notOk(stderr.includes('SECRET'))
  }
  await t.rejects(access(file))
})

t.test('a service that does not tell of an account', async (t) => {
  const { standin, file, run } = await setUp(t)
  const cookies = await cookiesOf(standin)
  const faults = { 'ret:1016': /no Weiyun drive/, html: /not JSON/, 'status-503': /HTTP 503/ }
  for (const [kind, message] of Object.entries(faults)) {
    standin.admin.setFaults([{ kind, match: 'DiskUserInfoGet' }])
    const { code, stderr } = await run(cookies, 'login', '--cookies')
    t.not(code, 0, kind)
    t.match(stderr, message)
    t.notMatch(stderr, '\n    at ', 'no trace of a bug')
    await t.rejects(access(file), 'nothing is kept')
  }
})

t.test('a session that cannot be told to the service, or read', async (t) => {
  const home = await tempDir(t)
  const path = join(home, 'session.json')
  const session = { dialect: 'webapp', cookies: 'uin=o1; p_skey=x' }
  const run = async () =>
    runCli(['logout', '--session', path, '--service', 'http://127.0.0.1:1'], homeEnv(home))
  for (const content of [JSON.stringify(session), 'garbage']) {
    await writeFile(path, content, { mode: 0o600 })
    t.match(await run(), { code: 0, stdout: /removed/, stderr: /the service was not told/ })
    await t.rejects(access(path))
  }
})

t.test('usage', async (t) => {
  const home = await tempDir(t)
  const run = (...args: string[]) => runCli(args, homeEnv(home))
  t.match(await run('login', '--wechat', '--cookies'), { code: 64, stderr: /exclude/ })
  t.match(await run('login', 'uin=o1; p_skey=x'), { code: 64, stderr: /too many arguments/ })
  t.match(await run('logout', 'x'), { code: 64 })
  t.match(await run('login', '--help'), { code: 0, stdout: /--cookies/ })
})

t.test('drawing', async (t) => {
  const cells = encodeQr('https://example.com/qr', 'raw', { border: 4, scale: 4 })
  const png = new PNG({ width: cells.length, height: cells.length })
  cells.flat().forEach((isDark, index) => {
    png.data.fill(isDark ? 0 : 255, index * 4, index * 4 + 3)
    png.data[index * 4 + 3] = 255
  })
  const plain = encodeQr('https://example.com/qr', 'ascii')
  t.equal(drawQr(PNG.sync.write(png), { colours: false })?.trim(), plain.trim())
  t.ok(drawQr(PNG.sync.write(png), { colours: true })?.startsWith('\x1b[97;40m█'))
  t.equal(drawQr(Buffer.from('no picture'), { colours: false }), undefined)
  const empty = new PNG({ width: 50, height: 50 })
  t.equal(drawQr(PNG.sync.write(empty), { colours: false }), undefined)
})
