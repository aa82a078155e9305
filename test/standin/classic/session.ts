import { readFile } from 'node:fs/promises'
import t from 'tap'
import { gtkOf, tokenOf } from '../../../src/standin/classic/session.ts'
import { loginTo, withStandin } from '../../fixtures/standin.ts'

const vectors = JSON.parse(
  await readFile(new URL('../../vectors/classic.json', import.meta.url), 'utf8'),
)

t.test('the two guards follow from skey', async (t) => {
  for (const { skey, g_tk, token } of vectors.skey) {
    t.equal(gtkOf(skey), g_tk, skey)
    t.equal(tokenOf(skey), token, skey)
  }
})

t.test('every cookie of a session is looked at', async (t) => {
  const { client } = await withStandin(t)
  for (const name of Object.keys(client.cookies())) {
    const cookies = client.cookies()
    delete cookies[name]
    const headers = { Cookie: client.cookieHeader(cookies) }
    t.equal((await client.get('query_user', {}, { headers })).ret, 190051, `without ${name}`)
  }
  for (const name of ['uin', 'skey', 'ptcz', 'pt2gguin', 'ptisp']) {
    const cookies = { ...client.cookies(), [name]: 'wrong' }
    const headers = { Cookie: client.cookieHeader(cookies) }
    const wanted = name === 'uin' ? 190011 : 190051
    t.equal((await client.get('query_user', {}, { headers })).ret, wanted, `wrong ${name}`)
  }
})

t.test('g_tk, token, Referer, Origin and callback are looked at', async (t) => {
  const { client } = await withStandin(t)
  const ret = async (bend: object) => (await client.get('query_user', {}, bend)).ret
  t.equal(await ret({ query: { g_tk: '1' } }), 199010)
  t.equal(await ret({ reqHeader: { token: 'a'.repeat(32) } }), 1024)
  t.equal(await ret({ headers: { Referer: 'http://example.org/' } }), 199009)
  t.equal(await ret({ headers: { Referer: 'http://notweiyun.com/' } }), 199009)
  t.equal(await ret({ headers: { Origin: 'http://example.org' } }), 199008)
  t.equal(await ret({ headers: { Origin: 'http://www.weiyun.com' } }), 0)
  t.equal(await ret({ query: { callback: 'alert' } }), 199001)
  t.equal(await ret({ query: { callback: undefined } }), 199001)
  t.equal(await ret({ query: { callback: 'get_RB7C197F8_8465_49DB_AEC7_273C1DC50470' } }), 0)
})

t.test('a session that expires takes everything with it, and can come back', async (t) => {
  const { standin, client } = await withStandin(t)
  standin.admin.expireSession()
  t.equal((await client.get('query_user', {})).ret, 190051)
  t.equal(
    (await client.announce(client.main, { name: 'a', content: Buffer.from('a') })).ret,
    190051,
  )
  standin.admin.reviveSession()
  t.equal((await client.get('query_user', {})).ret, 0)

  const renewed = await loginTo(t, standin, await standin.admin.rotateSession())
  t.equal((await client.get('query_user', {})).ret, 190051, 'the old skey is dead')
  t.equal((await renewed.get('query_user', {})).ret, 0)
})
