import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { startStandin } from '../../src/standin/index.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

interface Report {
  ok: boolean
  findings: { check: string; level: string; message: string; remedy?: string }[]
}

async function examine(home: string, ...args: string[]) {
  const { code, stdout, stderr } = await runCli(['doctor', '--json', ...args], homeEnv(home))
  if (stderr !== '') throw new Error(stderr)
  const { ok, findings }: Report = JSON.parse(stdout)
  return { code, ok, by: Object.fromEntries(findings.map((finding) => [finding.check, finding])) }
}

t.test('all is well with the local service', async (t) => {
  const home = await tempDir(t)
  const standin = await startStandin({ dataDir: join(home, 'data') })
  t.teardown(() => standin.close())
  const where = ['--service', standin.url, '--session', standin.sessions.classic ?? '']
  const { code, ok, by } = await examine(home, ...where)
  for (const check of ['node', 'session', 'service', 'cache', 'state']) {
    t.equal(by[check]?.level, 'ok', `${check}: ${by[check]?.message}`)
  }
  t.equal(code, ok ? 0 : 1)
})

t.test('each fault is found', async (t) => {
  const home = await tempDir(t)
  const standin = await startStandin({ dataDir: join(home, 'data') })
  const session = standin.sessions.classic ?? ''
  const { by: without } = await examine(home)
  t.match(without.session, { level: 'fail', message: /login/ })
  t.match(without.service, { level: 'warn', message: /not asked/ })

  await standin.close()
  const dead = await examine(home, '--service', standin.url, '--session', session)
  t.match(dead.by.service, { level: 'fail' })
  t.equal(dead.code, 1)

  await chmod(session, 0o644)
  const open = await examine(home, '--session', session, '--service', standin.url)
  t.match(open.by.session, { level: 'fail', message: /chmod 600/ })

  const file = join(home, 'file')
  await writeFile(file, '')
  const blocked = await examine(home, '--cache-dir', join(file, 'cache'), '--state-dir', file)
  t.match(blocked.by.cache, { level: 'fail', remedy: /--cache-dir/ })
  t.match(blocked.by.state, { level: 'fail', remedy: /--state-dir/ })

  const large = await examine(home, '--cache-size', '900T')
  t.match(large.by.space, { level: 'warn' })
})

t.test('a session that the service no longer takes', async (t) => {
  const home = await tempDir(t)
  const standin = await startStandin({
    dataDir: join(home, 'data'),
    faults: [{ kind: 'expired-session' }],
  })
  t.teardown(() => standin.close())
  const where = ['--service', standin.url, '--session', standin.sessions.classic ?? '']
  const { by, code } = await examine(home, ...where)
  t.match(by.service, { level: 'fail', message: /expired.*login/ })
  t.equal(code, 1)
})

t.test('for people', async (t) => {
  const home = await tempDir(t)
  const config = join(home, '.config/weiyun-mount/config.toml')
  await mkdir(dirname(config), { recursive: true })
  await writeFile(config, 'cache-size = "900T"')
  const { stdout, code } = await runCli(['doctor'], homeEnv(home))
  t.match(stdout, /^ok {4}node {9}Node \d+/m)
  t.match(stdout, /^fail {2}session {6}no session at /m)
  t.match(stdout, /^warn {2}space .*\n {19}→ /m)
  t.equal(code, 1)
})
