import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { loadSession, parseSession, type Session, saveSession } from '../../src/weiyun/index.ts'
import { cookiesSet } from '../../src/weiyun/session.ts'
import { SESSION } from '../fixtures/fake-service.ts'

t.test('a file, there and back', async (t) => {
  const path = join(t.testdir({}), 'session.json')
  const webapp: Session = { dialect: 'webapp', cookies: 'a=b; c=d' }
  for (const session of [SESSION, webapp]) {
    await saveSession(path, session)
    t.strictSame(await loadSession(path), session)
    t.equal((await stat(path)).mode & 0o777, 0o600)
  }
  t.strictSame(await readdir(join(path, '..')), ['session.json'], 'and nothing beside it')
})

t.test('a file that others can read', async (t) => {
  const path = join(t.testdir({ 'session.json': JSON.stringify(SESSION) }), 'session.json')
  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    await chmod(path, mode)
    await t.rejects(loadSession(path), { code: 'FORBIDDEN', message: /chmod 600/ })
  }
  await chmod(path, 0o400)
  t.strictSame(await loadSession(path), SESSION)
})

t.test('a file that is none', async (t) => {
  const path = join(t.testdir({}), 'session.json')
  await t.rejects(loadSession(path), { code: 'NOT_FOUND' })
  await writeFile(path, `{"skey": "${SESSION.skey}`, { mode: 0o600 })
  const error = await loadSession(path).catch((caught) => caught)
  t.match(error, { code: 'INVALID', message: /not JSON/ })
  t.notMatch(error.message + error.stack + error.cause, SESSION.skey, 'does not quote it')
  t.equal((await readFile(path, 'utf8')).length, 20, 'and leaves it alone')
})

t.test('what is no session', async (t) => {
  for (const [value, message] of [
    [null, /object/],
    [[], /object/],
    [{}, /dialect/],
    [{ ...SESSION, dialect: 'other' }, /dialect/],
    [{ ...SESSION, uin: 'o123' }, /uin/],
    [{ ...SESSION, uin: 123 }, /uin/],
    [{ ...SESSION, skey: '' }, /skey/],
    [{ ...SESSION, skey: undefined }, /skey/],
    [{ ...SESSION, ptcz: 'a\r\nX: y' }, /ptcz/],
    [{ ...SESSION, email: 'a; b=c' }, /email/],
    [{ dialect: 'webapp' }, /cookies/],
    [{ dialect: 'webapp', cookies: 'a=b\n' }, /cookies/],
  ] as const) {
    t.throws(() => parseSession(value), { code: 'INVALID', message })
  }
  t.strictSame(parseSession({ ...SESSION, more: 'things' }), SESSION, 'more is ignored')
})

t.test('Set-Cookie', async (t) => {
  const found = (header: string | string[] | undefined) => Object.fromEntries(cookiesSet(header))
  t.strictSame(found(undefined), {})
  t.strictSame(found('a=b'), { a: 'b' })
  t.strictSame(
    found([
      'a=b=c; Path=/; HttpOnly',
      'keeps=1; expires=Tue, 19 Jan 2100 00:00:00 GMT',
      'goes=1; Max-Age=0; Path=/',
      'went=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
      'empty=; Path=/',
      'nonsense',
    ]),
    { a: 'b=c', keeps: '1' },
  )
})
