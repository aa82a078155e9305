import { readFile } from 'node:fs/promises'
import t from 'tap'
import { type Bend, WebappClient, webappLogin, withWebapp } from '../../fixtures/webapp-client.ts'

const ask = (client: WebappClient, bend: Bend = {}) => client.command('DiskUserInfoGet', {}, bend)
const status = async (client: WebappClient, bend: Bend = {}) =>
  (await ask(client, bend)).answer.status
const ret = async (client: WebappClient) => (await ask(client)).ret

t.test('g_tk is the cookie wyctoken, which /disk gives out', async (t) => {
  const { standin, client } = await withWebapp(t)
  const { cookies } = JSON.parse(await readFile(standin.sessions.webapp as string, 'utf8'))
  const fresh = new WebappClient(standin.url, cookies)
  t.equal(await status(fresh, { query: { g_tk: '5381' } }), 403, 'no wyctoken')
  t.equal(await status(fresh), 403, 'nor g_tk')
  const page = await fresh.disk()
  t.equal(page.status, 200)
  t.match(page.headers['set-cookie'], [/^wyctoken=\d+; Path=\/$/])
  t.equal(await ret(fresh), 0)
  t.equal(await status(fresh, { query: { g_tk: '5381' } }), 403, 'another g_tk')
  t.equal(await ret(client), 0, 'both browsers have the same')

  standin.admin.rotateTokens()
  t.equal(await status(fresh), 403, 'old')
  await fresh.disk()
  t.equal(await ret(fresh), 0)
  t.equal(await status(client), 403)

  standin.admin.setKnobs({ tokenTtlMs: 1 })
  await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(await status(fresh), 403, 'older than it may be')
})

t.test('without the cookie wyctoken, g_tk is the hash of the login itself', async (t) => {
  const { standin, client } = await withWebapp(t)
  const { sessions } = await standin.admin.addAccount({ kind: 'weixin' })
  const weixin = await webappLogin(standin, sessions)
  for (const [browser, secret] of [
    [client, 'p_skey'],
    [weixin, 'access_token'],
  ] as const) {
    browser.jar.delete('wyctoken')
    let hash = 5381n
    for (const code of Buffer.from(browser.jar.get(secret) ?? '')) {
      hash += (hash << 5n) + BigInt(code)
    }
    t.equal((await ask(browser, { query: { g_tk: String(hash & 0x7fffffffn) } })).ret, 0, secret)
    t.equal(await status(browser, { query: { g_tk: '5381' } }), 403)
  }
})

t.test('each kind of account, with its cookies and its token_info', async (t) => {
  const { standin } = await withWebapp(t)
  const all = { qq: 'p_skey', weixin: 'access_token', openid: 'uid_key' } as const
  for (const [kind, secret] of Object.entries(all)) {
    const { uin, sessions } = await standin.admin.addAccount({ kind: kind as keyof typeof all })
    const client = await webappLogin(standin, sessions)
    t.equal((await ask(client)).body.uin, uin, kind)
    t.equal(client.uin, uin)
    for (const name of client.jar.keys()) {
      if (name === 'wyctoken') continue
      const bare = new WebappClient(standin.url, client.cookieHeader())
      bare.jar.delete(name)
      const { whole } = await ask(bare, { head: { token_info: client.tokenInfo } })
      t.match(whole, { ret: 190051 }, `${kind} without ${name}`)
      bare.jar.set(name, 'x')
      t.match((await ask(bare)).whole, { ret: 190051 }, `${kind} with another ${name}`)
    }
    standin.admin.expireSession({ uin })
    t.match((await ask(client)).whole, { ret: kind === 'weixin' ? 20410 : 190051 }, secret)
    t.equal((await client.disk()).status, 302)
  }
})

t.test('the sessions of the two dialects die apart, or together', async (t) => {
  const { standin, client, classic } = await withWebapp(t)
  const both = async () => [await ret(client), (await classic.get('query_user', {})).ret]
  standin.admin.expireSession({ dialect: 'webapp' })
  t.same(await both(), [190051, 0])
  standin.admin.reviveSession({ dialect: 'webapp' })
  standin.admin.expireSession({ dialect: 'classic' })
  t.same(await both(), [0, 190051])
  standin.admin.expireSession()
  t.same(await both(), [190051, 190051])
  standin.admin.reviveSession()
  t.same(await both(), [0, 0])

  const sessions = await standin.admin.rotateSession({ dialect: 'webapp' })
  t.same(await both(), [190051, 0], 'ended for good')
  t.equal(await ret(await webappLogin(standin, sessions)), 0)
})

t.test('a dead login is led to the login page', async (t) => {
  const { standin, client } = await withWebapp(t)
  standin.admin.expireSession()
  const page = await client.disk()
  t.match(page, { status: 302, headers: { location: '/login.html' } })
  t.notOk(page.headers['set-cookie'])
  t.equal((await client.send('/login.html')).status, 200)
})

t.test('a login that nobody keeps alive lapses', async (t) => {
  const { standin, client } = await withWebapp(t)
  standin.admin.setKnobs({ loginIdleMs: 1_000_000 })
  t.equal(await ret(client), 0)
  standin.admin.setKnobs({ loginIdleMs: 1 })
  await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal((await client.disk()).status, 302)
  standin.admin.setKnobs({ loginIdleMs: 1_000_000 })
  t.equal(await ret(client), 190051, 'for good')
  standin.admin.reviveSession()
  t.equal(await ret(client), 0)
})

t.test('cookies are renewed with a reply; the old ones work until the next time', async (t) => {
  const { standin, client } = await withWebapp(t)
  const stale = new WebappClient(standin.url, client.cookieHeader())
  const before = client.jar.get('p_skey')
  standin.admin.renewCookies()
  t.match((await ask(client)).answer.headers['set-cookie'], [/^p_skey=/])
  t.not(client.jar.get('p_skey'), before)
  t.notOk((await ask(client)).answer.headers['set-cookie'], 'once')
  t.equal(await ret(stale), 0)
  const older = new WebappClient(standin.url, `${stale.cookieHeader()}; p_skey=${before}`)
  standin.admin.renewCookies()
  t.equal(await ret(older), 190051, 'a jar that was not kept up')
  t.equal(await ret(client), 0)
  t.equal(await ret(client), 0)
  standin.admin.renewCookies()
  await client.disk()
  t.equal(await ret(client), 0, '/disk renews as well')
})

t.test('logging out ends the login and takes its cookies', async (t) => {
  const { client } = await withWebapp(t)
  const other = new WebappClient(client.url, client.cookieHeader())
  const page = await client.send('/cgi-bin/logout')
  t.equal(page.status, 302)
  t.same([...client.jar], [])
  t.equal(await ret(other), 190051)
})

t.test('logins survive a restart', async (t) => {
  const { standin, client } = await withWebapp(t)
  const { startStandin } = await import('../../../src/standin/index.ts')
  const dataDir = t.testdir({})
  const first = await startStandin({ dataDir })
  const cookies = (await webappLogin(first)).cookieHeader()
  await first.close()
  const second = await startStandin({ dataDir })
  t.teardown(() => second.close())
  t.equal(await ret(new WebappClient(second.url, cookies)), 0)
  t.equal(await ret(new WebappClient(standin.url, cookies)), 190051, 'of another service')
  t.equal(await ret(client), 0)
})
