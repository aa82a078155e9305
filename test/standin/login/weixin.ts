import { PNG } from 'pngjs'
import decodeQR from 'qr/decode.js'
import t, { type Test } from 'tap'
import { startStandin } from '../../../src/standin/index.ts'
import { LoginBrowser } from '../../fixtures/login-pages.ts'
import { withStandin } from '../../fixtures/standin.ts'
import { webappLogin } from '../../fixtures/webapp-client.ts'

async function withBrowser(t: Test) {
  const { standin } = await withStandin(t)
  return { standin, browser: new LoginBrowser(standin.url) }
}

const finish = (browser: LoginBrowser, named: { appid: string; g_tk: string }, code: string) =>
  browser.get('/newcgi/weixin_oauth20.fcg', {
    g_tk: named.g_tk,
    appid: named.appid,
    action: 'web_login',
    code,
  })

t.test('from the code to a session, with a poll that waits for news', async (t) => {
  const { standin, browser } = await withBrowser(t)
  const { uin } = await standin.admin.addAccount({ kind: 'weixin' })
  const named = await browser.weixin()
  const { width, height, data } = PNG.sync.read(
    (await browser.send(`/connect/qrcode/${named.uuid}`)).body,
  )
  t.match(decodeQR({ width, height, data }), named.uuid)

  const scanned = browser.qrconnect(named.uuid)
  t.same(standin.admin.login({ action: 'scan' }), { kind: 'weixin', state: 'scanned' })
  t.same(await scanned, [404, ''])
  const confirmed = browser.qrconnect(named.uuid)
  standin.admin.login({ action: 'confirm', uin })
  const [errcode, code] = await confirmed
  t.equal(errcode, 405)
  t.ok(code)

  t.equal((await finish(browser, named, 'x')).status, 403)
  t.equal((await finish(browser, named, code)).status, 200)
  t.equal(browser.jar.get('wy_uf'), '1')
  t.equal((await finish(browser, named, code)).status, 403, 'good once')
  await browser.disk()
  t.equal((await browser.command('DiskUserInfoGet', {})).body.uin, uin)
})

t.test('no news, a code that lapsed, a refusal', async (t) => {
  const { standin, browser } = await withBrowser(t)
  standin.admin.setKnobs({ longPollMs: 1 })
  const first = await browser.weixin()
  t.same(await browser.qrconnect(first.uuid), [408, ''])
  standin.admin.login({ action: 'expire' })
  t.same(await browser.qrconnect(first.uuid), [402, ''])
  const second = await browser.weixin()
  standin.admin.login({ action: 'refuse' })
  t.same(await browser.qrconnect(second.uuid), [403, ''])
  t.equal((await browser.get('/connect/l/qrconnect', { uuid: 'x' })).status, 403)
  t.equal((await browser.weixin({ low_login: '0' })).answer.status, 403)
})

t.test('a poll under way does not keep the service from closing', async (t) => {
  const standin = await startStandin({ dataDir: t.testdir({}) })
  const browser = new LoginBrowser(standin.url)
  const { uuid } = await browser.weixin()
  const poll = browser.qrconnect(uuid).catch(() => 'broken off')
  while (standin.admin.counters().qrconnect === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await standin.close()
  t.ok(await poll)
})

t.test('a login that lapsed is renewed by its refresh token', async (t) => {
  const { standin } = await withBrowser(t)
  const { uin, sessions } = await standin.admin.addAccount({ kind: 'weixin' })
  const client = await webappLogin(standin, sessions)
  standin.admin.expireSession({ uin })
  t.equal((await client.command('DiskUserInfoGet', {})).ret, 20410)
  const refresh = async (refresh_token: string) => {
    const query = { grant_type: 'refresh_token', appid: client.jar.get('wy_appid') ?? '' }
    const target = `/sns/oauth2/refresh_token?${new URLSearchParams({ ...query, refresh_token })}`
    return JSON.parse((await client.send(target)).body.toString())
  }
  t.match(await refresh('x'), { errcode: 40030 })
  const old = client.jar.get('refresh_token') ?? ''
  const reply = await refresh(old)
  t.match(reply, { openid: client.jar.get('openid'), expires_in: 7200, scope: /./ })
  for (const name of ['openid', 'access_token', 'refresh_token']) client.jar.set(name, reply[name])
  await client.disk()
  t.equal((await client.command('DiskUserInfoGet', {})).body.uin, uin)
  t.match(await refresh(old), { errcode: 40030 }, 'used')
})
