import t from 'tap'
import { LoginBrowser } from '../../fixtures/login-pages.ts'
import { webappLogin, withWebapp } from '../../fixtures/webapp-client.ts'

t.test('over HTTP: logins, tokens, cookies, marks and the phone', async (t) => {
  const { standin, client } = await withWebapp(t)
  const ask = async (method: string, path: string, input: unknown) => {
    const body = JSON.stringify(input)
    const headers = { Cookie: undefined, 'Content-Length': String(Buffer.byteLength(body)) }
    const answer = await client.send(`/_admin/${path}`, { method, headers, body })
    return JSON.parse(answer.body.toString())
  }
  const ret = async () => (await client.command('DiskUserInfoGet', {})).ret

  await ask('POST', 'sessions', { dialect: 'webapp', action: 'expire' })
  t.equal(await ret(), 190051)
  await ask('POST', 'sessions', { dialect: 'classic', action: 'revive' })
  t.equal(await ret(), 190051)
  await ask('POST', 'sessions', { action: 'revive' })
  t.equal(await ret(), 0)
  t.equal(await ask('POST', 'tokens/rotate', {}), null)
  t.equal(await ret(), 403)
  await client.disk()
  const before = client.jar.get('p_skey')
  await ask('POST', 'cookies/renew', {})
  t.equal(await ret(), 0)
  t.not(client.jar.get('p_skey'), before)

  await ask('POST', 'files/mkdir', { path: 'd' })
  await ask('POST', 'files/mark', { path: 'd', mark: 'hidden' })
  t.same(await client.names(), [])
  t.match(await ask('POST', 'files/mark', { path: 'd', mark: 'odd' }), { ret: 190013 })
  const knobs = { tokenTtlMs: 0, loginIdleMs: 0, uploadIdleMs: 300_000, longPollMs: 25_000 }
  await ask('PUT', 'knobs', knobs)
  t.match(standin.admin.knobs(), knobs)

  const { uin, sessions } = await ask('POST', 'accounts', { kind: 'openid' })
  t.equal((await webappLogin(standin, sessions)).uin, uin)
  t.match(await ask('POST', 'login', { action: 'scan' }), { ret: 190013 })
  const browser = new LoginBrowser(standin.url)
  await browser.qrshow()
  t.same(await ask('POST', 'login', { action: 'scan' }), { kind: 'qq', state: 'scanned' })
  t.same(await ask('POST', 'login', { action: 'confirm', uin }), { kind: 'qq', state: 'confirmed' })
  t.match(await ask('POST', 'login', { action: 'confirm' }), { ret: 190013 })
})
