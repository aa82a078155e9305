import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { EXIT } from '../../src/cli/exit.ts'
import { accountOf, readSession, SessionFile } from '../../src/cli/session-file.ts'
import { type Session, saveSession } from '../../src/weiyun/index.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

const SECRET = 'SECRET-of-this-test'
const SESSION: Session = {
  dialect: 'classic',
  uin: '2100000001',
  skey: SECRET,
  ptcz: SECRET,
  pgv_info: 'ssid=s1',
  pgv_pvid: '1',
  email: 'nobody@example.com',
}

async function sessionFile(t: Test): Promise<string> {
  const path = join(await tempDir(t), 'session.json')
  await saveSession(path, SESSION)
  return path
}

t.test('a session is read', async (t) => {
  const path = await sessionFile(t)
  t.same(await readSession(path, undefined), SESSION)
  t.same(await readSession(path, 'classic'), SESSION)
  const other = readSession(path, 'webapp')
  await t.rejects(other, { exitCode: EXIT.CONFIG, message: /is a classic session, not webapp/ })
})

t.test('what is wrong with one is said, its content is not', async (t) => {
  const path = await sessionFile(t)
  const missing = readSession(`${path}x`, undefined)
  await t.rejects(missing, { exitCode: EXIT.SESSION, message: /weiyun-mount login.*--local/ })
  await chmod(path, 0o640)
  await t.rejects(readSession(path, undefined), { exitCode: EXIT.CONFIG, message: /chmod 600/ })
  await chmod(path, 0o600)
  for (const content of ['', SECRET, `{"dialect": "${SECRET}"}`, `{"dialect":"classic"}`]) {
    await writeFile(path, content)
    const error = await readSession(path, undefined).catch((error) => error)
    t.equal(error.exitCode, EXIT.CONFIG, content)
    t.notMatch(error.message, SECRET)
  }
})

t.test('the command line says so too', async (t) => {
  const path = await sessionFile(t)
  await chmod(path, 0o644)
  const home = await tempDir(t)
  await mkdir(join(home, 'mnt'))
  const args = ['-f', join(home, 'mnt'), '--session', path]
  const open = await runCli(args, homeEnv(home))
  t.equal(open.code, EXIT.CONFIG)
  t.match(open.stderr, `weiyun-mount: others can read ${path}`)
  const none = await runCli(['-f', join(home, 'mnt')], homeEnv(home))
  t.equal(none.code, EXIT.SESSION)
  t.match(none.stderr, `weiyun-mount: no session at ${home}/.config/weiyun-mount/session.json`)
})

t.test('a new session in the file reaches the mount, our own writing does not', async (t) => {
  const path = await sessionFile(t)
  const file = new SessionFile(path, SESSION, silentLogger)
  const seen: Session[] = []
  let heard = Promise.withResolvers<void>()
  const watcher = file.watch((session) => {
    seen.push(session)
    heard.resolve()
  })
  t.teardown(() => watcher.close())

  const renewed = { ...SESSION, skey: 'renewed' }
  await file.save(renewed)
  t.same(JSON.parse(await readFile(path, 'utf8')), renewed)
  t.equal((await stat(path)).mode & 0o777, 0o600)

  await rm(path)
  await writeFile(path, 'half a ses', { mode: 0o600 })
  const second = { ...SESSION, skey: 'second' }
  await saveSession(path, second)
  await heard.promise
  heard = Promise.withResolvers<void>()
  const third = { ...SESSION, skey: 'third' }
  await saveSession(`${path}.elsewhere`, third)
  await rename(`${path}.elsewhere`, path)
  await heard.promise
  t.same(seen, [second, third])
})

t.test('the account of a session', async (t) => {
  const webapp = (cookies: string): Session => ({ dialect: 'webapp', cookies })
  t.equal(accountOf(SESSION), '2100000001')
  t.equal(accountOf(webapp('a=b; uin=o0210000001; skey=x')), '210000001')
  t.equal(accountOf(webapp('p_uin=o2100000001')), '2100000001')
  t.equal(accountOf(webapp('wy_uf=1; wx_uid=144115')), '144115')
  t.equal(accountOf(webapp('luin=o1; wy_uf=2; uid=77')), '77')
  t.throws(() => accountOf(webapp(`skey=${SECRET}`)), {
    exitCode: EXIT.CONFIG,
    message: /no account/,
  })
})
