// A session that is kept alive, renewed, found dead and revived (protocol notes, webapp 3 and 4.2).
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { DriveConfig } from '../../../src/weiyun/index.ts'
import { type Reply, reset } from '../../fixtures/fake-service.ts'
import {
  accountBody,
  CMD,
  diskPage,
  gateway,
  json,
  listing,
  MAIN,
  SESSION,
  sent,
  withFakeWebapp,
} from '../../fixtures/fake-webapp.ts'

const LIST_OK = listing()
const LOGIN_PAGE: Reply = { status: 302, headers: { location: '/login.html' } }
const WECHAT = {
  dialect: 'webapp',
  cookies:
    'wy_uf=1; wx_uid=77; wy_appid=wx1; openid=OLD; access_token=OLD; refresh_token=RT; wyctoken=5',
} as const
const TOKENS = '/sns/oauth2/refresh_token'

async function setUp(t: Test, config: Partial<DriveConfig> = {}) {
  const fake = await withFakeWebapp(t, config)
  fake.service.on('/login.html', { body: '<html>log in</html>' })
  return fake
}

t.test('a session without a token gets one first', async (t) => {
  const session = { ...SESSION, cookies: 'uin=o010001; p_skey=PSKEY' }
  const { service, drive, sessions } = await setUp(t, { session })
  service.on(CMD.list, LIST_OK)
  await Promise.all([drive.list(MAIN), drive.list(MAIN)])
  t.strictSame(service.names, ['/disk', CMD.list, CMD.list], 'one page for both')
  t.equal(service.seen[1]?.query.get('g_tk'), '99')
  t.equal(service.seen[0]?.headers.cookie, session.cookies)
  await drive.close()
  t.strictSame(sessions, [`${session.cookies}; wyctoken=99`], 'kept for the next time')

  t.test('or goes by its own hash where the site gives none', async (t) => {
    const { service, drive } = await setUp(t, { session })
    service.on('/disk', { body: '<html></html>' }).on(CMD.list, LIST_OK)
    await drive.list(MAIN)
    await drive.list(MAIN)
    t.strictSame(service.names, ['/disk', CMD.list, CMD.list])
    t.equal(service.seen[1]?.query.get('g_tk'), '232092721')
  })
})

t.test('a refused token is renewed, and the request repeated once', async (t) => {
  const refusals: Record<string, Reply> = {
    'HTTP 403': { status: 403, body: 'no' },
    'the same by the gateway': gateway(403),
    'a session code': gateway(190051),
    'the same by the service': json({}, 190051),
    'a page in place of JSON': { body: '<html>wait</html>' },
    'a redirect': { status: 302, headers: { location: '/login.html' } },
  }
  for (const [what, refusal] of Object.entries(refusals)) {
    const { service, drive } = await setUp(t)
    service.on(CMD.list, refusal, LIST_OK)
    t.strictSame(await drive.list(MAIN), { entries: [], stamp: undefined }, what)
    t.strictSame(service.names, [CMD.list, '/disk', CMD.list], what)
    t.equal(service.seen[2]?.query.get('g_tk'), '99', what)
    t.match(service.seen[2]?.headers.cookie, /wyctoken=99/, what)
  }
})

t.test('a token that stays refused', async (t) => {
  const { service, drive } = await setUp(t)
  service.on(CMD.list, { status: 403 })
  await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'THROTTLED' })
  const pages = service.names.filter((name) => name === '/disk').length
  t.ok(pages < service.names.length / 2, 'the site is not asked each time')
  service.on(CMD.list, gateway(1137))
  await t.rejects(drive.list(MAIN), { code: 'SESSION_EXPIRED', ret: 1137 })
})

t.test('many requests at once lead to one renewal', async (t) => {
  const { service, drive } = await setUp(t)
  service.on(CMD.list, ({ query }) => (query.get('g_tk') === '99' ? LIST_OK : { status: 403 }))
  await Promise.all(Array.from({ length: 6 }, () => drive.list(MAIN)))
  t.equal(service.names.filter((name) => name === '/disk').length, 1)
})

t.test('dead cookies', async (t) => {
  const { service, drive, sessions } = await setUp(t)
  service.on(CMD.list, gateway(190051)).on('/disk', {
    ...LOGIN_PAGE,
    headers: { ...LOGIN_PAGE.headers, 'set-cookie': 'skey=; Max-Age=0' },
  })
  await t.rejects(drive.list(MAIN), { code: 'SESSION_EXPIRED' })
  await t.rejects(drive.list(MAIN), { code: 'SESSION_EXPIRED' })
  t.equal(service.names.filter((name) => name === '/disk').length, 1, 'not asked again soon')
  t.strictSame(sessions, [], 'the file stays as it is')

  t.test('are revived by a new login', async (t) => {
    service.on(CMD.list, LIST_OK)
    const other = { ...SESSION, cookies: 'uin=o010002; p_skey=X' }
    t.throws(() => drive.useSession(other), { code: 'INVALID' })
    drive.useSession({ ...SESSION, cookies: 'uin=o010001; p_skey=NEW; wyctoken=7' })
    await drive.list(MAIN)
    const seen = service.seen.at(-1)
    t.equal(seen?.query.get('g_tk'), '7')
    t.match(seen && sent(seen).head, { token_info: { login_key_value: 'NEW' } })
  })
})

t.test('a site in trouble is not a dead session', async (t) => {
  const { service, drive } = await setUp(t)
  service.on(CMD.list, { status: 403 }).on('/disk', { status: 502 })
  await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'SERVER' })
  service.on('/disk', reset)
  await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'UNREACHABLE' })
  service.on('/disk', { status: 302, headers: { location: '/disk' } })
  await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'BAD_REPLY' })
})

t.test('cookies that change with replies', async (t) => {
  const { service, drive, sessions } = await setUp(t)
  service.on(CMD.account, {
    ...json(accountBody()),
    headers: { 'set-cookie': ['p_skey=ROTATED; Domain=weiyun.com', 'x=1'] },
  })
  await drive.account()
  await drive.account()
  const [, seen] = service.seen
  t.match(seen?.headers.cookie, /p_skey=ROTATED/)
  t.match(seen && sent(seen).head, { token_info: { login_key_value: 'ROTATED' } })
  t.strictSame(sessions, [], 'not written at once')
  await drive.close()
  t.equal(sessions.length, 1, 'and once in the end')
  t.match(sessions[0], /p_skey=ROTATED; wyctoken=1234567890; x=1$/)
})

t.test('WeChat tokens', async (t) => {
  const fresh = { openid: 'OID', access_token: 'NEW', refresh_token: 'RT2', expires_in: 7200 }

  t.test('renewed when the login has expired', async (t) => {
    const { service, drive, sessions } = await setUp(t, { session: WECHAT })
    service.on(CMD.list, json({}, 20410), LIST_OK).on(TOKENS, { body: JSON.stringify(fresh) })
    await drive.list(MAIN)
    t.strictSame(service.names, [CMD.list, TOKENS, '/disk', CMD.list])
    t.strictSame(Object.fromEntries(service.only(TOKENS).query), {
      grant_type: 'refresh_token',
      appid: 'wx1',
      refresh_token: 'RT',
    })
    t.equal(service.only(TOKENS).headers.cookie, undefined, 'WeChat gets no cookies of Weiyun')
    const seen = service.seen.at(-1)
    t.match(seen && sent(seen).head.token_info, { openid: 'OID', access_token: 'NEW' })
    t.equal(seen && sent(seen).header.user_flag, 1)
    await drive.close()
    t.match(sessions[0], /openid=OID; access_token=NEW; refresh_token=RT2/)
  })

  t.test('renewed when the site sends us to its login', async (t) => {
    const { service, drive } = await setUp(t, { session: WECHAT })
    service
      .on(CMD.list, { status: 403 }, LIST_OK)
      .on('/disk', LOGIN_PAGE, diskPage())
      .on(TOKENS, { body: JSON.stringify(fresh) })
    await drive.list(MAIN)
    t.strictSame(service.names, [CMD.list, '/disk', '/login.html', TOKENS, '/disk', CMD.list])
  })

  t.test('that cannot be renewed', async (t) => {
    const { service, drive } = await setUp(t, { session: WECHAT })
    service.on(CMD.list, json({}, 20410))
    service.on(TOKENS, { body: '{"errcode":42002,"errmsg":"refresh_token expired"}' })
    await t.rejects(drive.list(MAIN), { code: 'SESSION_EXPIRED' })
  })

  t.test('from something that is not WeChat', async (t) => {
    const { service, drive } = await setUp(t, { session: WECHAT })
    service.on(CMD.list, json({}, 20410)).on(TOKENS, { body: '<html>' })
    await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'BAD_REPLY' })
  })
})

t.test('keeping an idle session alive', async (t) => {
  const { service } = await setUp(t, { keepAliveMs: 50 })
  const waitFor = async (count: number) => {
    while (service.names.length < count) await sleep(20)
  }
  await waitFor(1)
  t.equal(service.names[0], '/disk')
  service.on('/disk', reset)
  await waitFor(2)
  service.on('/disk', diskPage('100'))
  await waitFor(3)
  t.ok(service.names.every((name) => name === '/disk'))
})

t.test('a session of another dialect', async (t) => {
  const { drive } = await setUp(t)
  const classic = { uin: '10001', skey: 's', ptcz: '', pgv_info: '', pgv_pvid: '', email: '' }
  t.throws(() => drive.useSession({ dialect: 'classic', ...classic }), { code: 'INVALID' })
})
