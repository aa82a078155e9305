import t, { type Test } from 'tap'
import { Random } from '../../fixtures/random.ts'
import { loginTo, withStandin } from '../../fixtures/standin.ts'

async function withFile(t: Test, content: Buffer) {
  const { standin, client } = await withStandin(t)
  const { id } = await standin.admin.put({ path: 'a.bin', content })
  const locate = async () => String((await client.locate(id, 'a.bin')).headers.location)
  return { standin, client, id, locate }
}

t.test('a redirect leads to the bytes, and to any range of them', async (t) => {
  const content = new Random().bytes(100_000)
  const { client, locate } = await withFile(t, content)
  const url = await locate()
  t.match(new URL(url).pathname, /^\/ftn_handler\//)
  const whole = await client.fetch(url)
  t.equal(whole.status, 200)
  t.ok(whole.body.equals(content))

  const cases: [string, number, number][] = [
    ['bytes=0-0', 0, 0],
    ['bytes=10-19', 10, 19],
    ['bytes=99990-', 99990, 99999],
    ['bytes=99990-200000', 99990, 99999],
    ['bytes=-5', 99995, 99999],
  ]
  for (const [range, first, last] of cases) {
    const part = await client.fetch(url, range)
    t.equal(part.status, 206, range)
    t.equal(part.headers['content-range'], `bytes ${first}-${last}/100000`)
    t.ok(part.body.equals(content.subarray(first, last + 1)))
  }
  const past = await client.fetch(url, 'bytes=100000-100001')
  t.equal(past.status, 416)
  t.equal(past.headers['content-range'], 'bytes */100000')
  for (const range of ['bytes=5-1', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=-']) {
    t.equal((await client.fetch(url, range)).status, 200, range)
  }
})

t.test('a data URL needs its cookies, ends, and belongs to one account', async (t) => {
  const { standin, client, locate } = await withFile(t, Buffer.from('abc'))
  const url = await locate()
  t.equal((await client.fetch(url, undefined, {})).status, 403, 'no cookies')
  const other = await loginTo(t, standin, (await standin.admin.addAccount()).sessions)
  t.equal((await client.fetch(url, undefined, other.cookies())).status, 403, "another's cookies")
  const forged = url.replace(/handler\/(.)/, (_, digit) => `handler/${digit === '5' ? '6' : '5'}`)
  t.equal((await client.fetch(forged)).status, 403)
  t.equal((await client.fetch(url)).status, 200)
  standin.admin.expireUrls()
  t.equal((await client.fetch(url)).status, 403, 'ended')
  t.equal((await client.fetch(await locate())).status, 200)
  standin.admin.setKnobs({ urlTtlMs: 0 })
  t.equal((await client.fetch(await locate())).status, 403, 'expired at birth')
})

t.test('without a redirect there is a cookie of the link', async (t) => {
  const { client, id } = await withFile(t, Buffer.from('abc'))
  const answer = await client.locate(id, 'a.bin', { redirect: '0', err_callback: undefined })
  const { ret, url, cookie_name, cookie_value } = JSON.parse(answer.body.toString())
  t.equal(ret, 0)
  const got = await client.fetch(url, undefined, { [cookie_name]: cookie_value })
  t.equal(got.body.toString(), 'abc')
  t.equal((await client.fetch(url, undefined, { [cookie_name]: 'x' })).status, 403)
})

t.test('failures go to the callback page with their code', async (t) => {
  const { standin, client, id } = await withFile(t, Buffer.from('abc'))
  const ret = async (bend: Record<string, string | undefined>) => {
    const { status, headers } = await client.locate(id, 'a.bin', bend)
    t.equal(status, 302)
    t.match(headers.location, /^http:\/\/www\.weiyun\.com\/web\/callback\//)
    return Number(headers['x-errno'])
  }
  t.equal(await ret({ fid: '00000000-0000-0000-0000-000000000000' }), 1020)
  t.equal(await ret({ pdir: client.rootKey }), 1020)
  t.equal(await ret({ checksum: '1' }), 199013)
  t.equal(await ret({ token: 'x' }), 1024)
  t.equal(await ret({ skey: '@wrong' }), 190051)
  t.equal(await ret({ uuin: '10001' }), 1137)
  t.equal(await ret({ appid: '1' }), 190048)
  t.equal(await ret({ extra: '1' }), 190013)
  const broken = standin.admin.breakOff({ path: 'broken', size: 5 })
  t.equal(await ret({ fid: broken.id }), 1052)
  const elsewhere = await client.locate(id, 'a', { ver: '1', err_callback: 'http://example.org/' })
  t.equal(elsewhere.status, 200, 'no redirect to a page that is not of the site')
  t.match(JSON.parse(elsewhere.body.toString()), { ret: 190013 })
})

t.test('a data URL serves its own version; a dead file serves nothing', async (t) => {
  const { standin, client, id, locate } = await withFile(t, Buffer.from('old'))
  const url = await locate()
  await standin.admin.put({ path: 'a.bin', content: Buffer.from('new bytes') })
  t.equal((await client.fetch(url)).body.toString(), 'old')
  t.equal((await client.fetch(await locate())).body.toString(), 'new bytes')
  const last = await locate()
  standin.admin.kill({ path: 'a.bin' })
  t.equal((await client.fetch(last)).status, 404)
  t.equal((await client.locate(id, 'a.bin')).headers['x-errno'], '1020')
})
