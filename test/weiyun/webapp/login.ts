// Login step by step on the wire, and whole on the local service (protocol notes, webapp 4).
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { startStandin } from '../../../src/standin/index.ts'
import {
  type LoginConfig,
  type LoginState,
  loadSession,
  loginByQr,
  logout,
  openDrive,
  sessionFromPaste,
} from '../../../src/weiyun/index.ts'
import {
  type FakeService,
  type Reply,
  reset,
  withFakeService,
} from '../../fixtures/fake-service.ts'
import { diskPage } from '../../fixtures/fake-webapp.ts'

const U1 = 'https://www.weiyun.com/web/callback/common_qq_login_ok.html?login_succ'
const PICTURE = Buffer.from('a picture')

const { hash33 } = JSON.parse(
  await readFile(new URL('../../vectors/webapp-sha1-state.json', import.meta.url), 'utf8'),
)
const QRSIG = hash33.at(-1)

function ptui(code: number, url = '', message = ''): Reply {
  return { body: `ptuiCB('${code}','0','${url}','0','${message}', 'Seppe');` }
}

function wechat(errcode: number, code = ''): Reply {
  return { body: `window.wx_errcode=${errcode};window.wx_code='${code}';` }
}

function cookies(...lines: string[]): Reply {
  return { headers: { 'set-cookie': lines } }
}

async function setUp(t: Test, { scripts }: { scripts: (service: FakeService) => void }) {
  const service = await withFakeService(t)
  scripts(service)
  const told: string[] = []
  const config: LoginConfig = {
    service: service.url,
    pollMs: 1,
    onCode: ({ image, url }) => void told.push(`code ${image} ${url?.replace(service.url, '')}`),
    onState: (state) => void told.push(state),
  }
  return { service, told, config }
}

const qqPages = (service: FakeService) =>
  service
    .on('/cgi-bin/xlogin', cookies('pt_login_sig=SIG; Path=/'))
    .on('/ptqrshow', { ...cookies(`qrsig=${QRSIG.input}; Path=/`), body: PICTURE })
    .on('/check_sig', {
      status: 302,
      headers: { location: '/common_ok', 'set-cookie': ['uin=o0010001', 'p_skey=PS', 'skey=@s'] },
    })
    .on('/common_ok', cookies('pt4_token=T'))
    .on('/disk', diskPage())

t.test('QQ', async (t) => {
  const { service, told, config } = await setUp(t, { scripts: qqPages })
  const url = `${service.url}/check_sig?secret=1`
  service.on('/ptqrlogin', ptui(66), ptui(66), ptui(67), ptui(0, url))
  const session = await loginByQr('qq', config)
  t.strictSame(told, ['code a picture undefined', 'waiting', 'scanned', 'confirmed'])
  t.match(session, { dialect: 'webapp' })
  for (const pair of ['uin=o0010001', 'p_skey=PS', 'skey=@s', 'pt4_token=T', 'wyctoken=99']) {
    t.ok(session.cookies.split('; ').includes(pair), pair)
  }
  t.strictSame(service.names, [
    '/cgi-bin/xlogin',
    '/ptqrshow',
    ...Array(4).fill('/ptqrlogin'),
    '/check_sig',
    '/common_ok',
    '/disk',
  ])
  const query = (name: string) =>
    Object.fromEntries(service.seen.find((seen) => seen.name === name)?.query ?? [])
  t.strictSame(query('/cgi-bin/xlogin'), {
    appid: '527020901',
    daid: '372',
    s_url: U1,
    low_login: '1',
    low_login_foreced: '1',
    qlogin_auto_login: '1',
    style: '20',
    hide_title: '1',
    target: 'self',
    link_target: 'blank',
    hide_close_icon: '1',
    pt_no_auth: '1',
  })
  const { t: random, ...show } = query('/ptqrshow')
  t.match(random, /^0\.\d+/)
  t.strictSame(show, {
    appid: '527020901',
    daid: '372',
    pt_3rd_aid: '0',
    e: '2',
    l: 'M',
    s: '3',
    d: '72',
    v: '4',
    u1: U1,
  })
  const { action, ...poll } = query('/ptqrlogin')
  t.match(action, /^0-0-\d{13}$/)
  t.match(poll, {
    u1: U1,
    aid: '527020901',
    daid: '372',
    ptqrtoken: String(QRSIG.ptqrtoken),
    ptredirect: '0',
    h: '1',
    t: '1',
    g: '1',
    from_ui: '1',
    ptlang: '2052',
    login_sig: 'SIG',
    pt_uistyle: '40',
    low_login_enable: '1',
    low_login_hour: '720',
  })
  t.match(service.seen[2]?.headers.cookie, /qrsig=/)
})

t.test('WeChat', async (t) => {
  const page = `<a href="/x?appid=wx12ab&amp;s=1"></a><script>var g_tk = 5381</script>
    <img src="/connect/qrcode/0a1B_c-d==">`
  const { service, told, config } = await setUp(t, {
    scripts: (service) =>
      service
        .on('web_login', { body: page })
        .on('/connect/qrcode/0a1B_c-d==', { body: PICTURE })
        .on('/connect/l/qrconnect', wechat(408), wechat(404), wechat(405, 'CODE'))
        .on('/newcgi/weixin_oauth20.fcg', cookies('openid=O', 'access_token=A', 'wy_uf=1'))
        .on('/disk', diskPage()),
  })
  const session = await loginByQr('wechat', config)
  t.strictSame(told, [
    'code a picture /connect/qrcode/0a1B_c-d==',
    'waiting',
    'scanned',
    'confirmed',
  ])
  t.equal(session.cookies, 'openid=O; access_token=A; wy_uf=1; wyctoken=99')
  const query = (name: string) =>
    Object.fromEntries(service.seen.find((seen) => seen.name === name)?.query ?? [])
  t.strictSame(query('web_login'), {
    cmd: 'web_login',
    no_referer: '1',
    low_login: '1',
  })
  t.strictSame(query('/connect/l/qrconnect'), { uuid: '0a1B_c-d==' })
  t.strictSame(query('/newcgi/weixin_oauth20.fcg'), {
    g_tk: '5381',
    appid: 'wx12ab',
    action: 'web_login',
    code: 'CODE',
  })
})

t.test('a code that expires', async (t) => {
  const { service, told, config } = await setUp(t, { scripts: qqPages })
  service.on('/ptqrlogin', ptui(66), ptui(65), ptui(0, `${service.url}/check_sig`))
  await loginByQr('qq', config)
  const code = 'code a picture undefined'
  t.strictSame(told, [code, 'waiting', 'expired', code, 'confirmed'])

  t.test('again and again', async (t) => {
    const { service, told, config } = await setUp(t, { scripts: qqPages })
    service.on('/ptqrlogin', ptui(65))
    await t.rejects(loginByQr('qq', config), { code: 'TIMEOUT', message: /nobody scanned/ })
    t.ok(told.length < 20)
  })
})

t.test('what goes wrong', async (t) => {
  const lost: Record<
    string,
    [(service: FakeService) => unknown, { code: string; message?: RegExp }]
  > = {
    'a refusal on the phone': [
      (service) => service.on('/ptqrlogin', ptui(68, '', 'refused by the user')),
      { code: 'REFUSED', message: /refused by the user/ },
    ],
    'a page in place of the state': [
      (service) => service.on('/ptqrlogin', { body: '<html>' }),
      { code: 'BAD_REPLY' },
    ],
    'no cookie with the code': [
      (service) => service.on('/ptqrshow', { body: PICTURE }),
      { code: 'BAD_REPLY', message: /qrsig/ },
    ],
    'no page at all': [
      (service) => service.on('/ptqrshow', { status: 404 }),
      { code: 'BAD_REPLY' },
    ],
    'a stranger': [
      (service) => service.on('/ptqrlogin', ptui(0, 'https://example.com/')),
      { code: 'BAD_REPLY' },
    ],
    'no cookies in the end': [
      (service) =>
        service
          .on('/ptqrlogin', ptui(0, `${service.url}/check_sig`))
          .on('/check_sig', { body: 'sorry' }),
      { code: 'BAD_REPLY', message: /cookie/ },
    ],
    'a dead line': [(service) => service.on('/cgi-bin/xlogin', reset), { code: 'UNREACHABLE' }],
  }
  for (const [what, [change, failure]] of Object.entries(lost)) {
    const { service, config } = await setUp(t, { scripts: qqPages })
    change(service)
    await t.rejects(loginByQr('qq', config), failure, what)
  }
})

t.test('what goes wrong with WeChat', async (t) => {
  const page = '/connect/qrcode/u1 appid=wx1 g_tk=1'
  const scripts = (service: FakeService) =>
    service
      .on('web_login', { body: page })
      .on('/connect/qrcode/u1', { body: PICTURE })
      .on('/connect/l/qrconnect', wechat(405, 'C'))
      .on('/newcgi/weixin_oauth20.fcg', { body: 'no' })
  const { service, config } = await setUp(t, { scripts })
  await t.rejects(loginByQr('wechat', config), { code: 'BAD_REPLY', message: /cookie/ })
  service.on('/connect/l/qrconnect', wechat(403))
  await t.rejects(loginByQr('wechat', config), { code: 'REFUSED' })
  service.on('/connect/l/qrconnect', { body: 'what?' })
  await t.rejects(loginByQr('wechat', config), { code: 'BAD_REPLY' })
  service.on('web_login', { body: '<html>' })
  await t.rejects(loginByQr('wechat', config), { code: 'BAD_REPLY', message: /names no code/ })
  service.on('web_login', { status: 503 })
  await t.rejects(loginByQr('wechat', config), { code: 'SERVER' })
})

t.test('a user who gives up', async (t) => {
  const { service, config } = await setUp(t, { scripts: qqPages })
  service.on('/ptqrlogin', ptui(66))
  const abort = new AbortController()
  const onState = () => abort.abort()
  await t.rejects(loginByQr('qq', { ...config, signal: abort.signal, onState }), {
    code: 'ABORTED',
  })
})

t.test('cookies of a browser', async (t) => {
  t.strictSame(sessionFromPaste('Cookie: uin=o1; p_skey=x'), {
    dialect: 'webapp',
    cookies: 'uin=o1; p_skey=x',
  })
  t.throws(() => sessionFromPaste('p_skey=x'), { code: 'INVALID', message: /no account/ })
  for (const [pasted, lacks] of [
    ['uin=o1; a=b', 'p_skey'],
    ['wy_uf=1; wx_uid=1', 'access_token'],
    ['wy_uf=2; uid=1', 'uid_key'],
  ] as const) {
    t.throws(() => sessionFromPaste(pasted), { code: 'INVALID', message: new RegExp(lacks) })
  }
})

t.test('logout', async (t) => {
  const service = await withFakeService(t)
  service.on('/cgi-bin/logout', { body: '' })
  const session = { dialect: 'webapp', cookies: 'uin=o1; p_skey=x' } as const
  await logout(session, { service: service.url })
  t.equal(service.only('/cgi-bin/logout').headers.cookie, session.cookies)
  service.on('/cgi-bin/logout', { status: 500 })
  await t.rejects(logout(session, { service: service.url }), { code: 'SERVER' })
})

t.test('on the local service', async (t) => {
  const standin = await startStandin({ dataDir: t.testdir({}) })
  t.teardown(() => standin.close())
  for (const way of ['qq', 'wechat'] as const) {
    const states: LoginState[] = []
    const session = await loginByQr(way, {
      service: standin.url,
      pollMs: 20,
      onCode: () => void standin.admin.login({ action: states.length > 0 ? 'scan' : 'expire' }),
      onState(state) {
        states.push(state)
        if (state === 'scanned') standin.admin.login({ action: 'confirm' })
      },
    })
    t.strictSame(states, ['expired', 'scanned', 'confirmed'], way)
    const drive = openDrive({ session, service: standin.url })
    const { uin } = await drive.account()
    await drive.close()
    const given = await loadSession(standin.sessions.webapp as string)
    t.match(given, { cookies: new RegExp(uin) }, 'the account that confirmed')

    await logout(session, { service: standin.url })
    const after = openDrive({ session, service: standin.url })
    await t.rejects(after.account(), { code: 'SESSION_EXPIRED' })
    await after.close()
  }
  await t.rejects(
    loginByQr('qq', {
      service: standin.url,
      pollMs: 20,
      onCode: () => void standin.admin.login({ action: 'refuse' }),
      onState: () => {},
    }),
    { code: 'REFUSED' },
  )
})
