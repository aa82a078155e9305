import t, { type Test } from 'tap'
import { withStandin } from '../fixtures/standin.ts'

const CONTENT = Buffer.from('0123456789')

async function withUrl(t: Test) {
  const { standin, client } = await withStandin(t)
  const { id } = await standin.admin.put({ path: 'a', content: CONTENT })
  const url = String((await client.locate(id, 'a')).headers.location)
  const strike = (kind: string, more = {}) => standin.admin.setFaults([{ kind, ...more }])
  return { standin, client, url, strike }
}

const DIR = (client: { rootKey: string; mainKey: string }) => ({
  ppdir_key: client.rootKey,
  pdir_key: client.mainKey,
  dir_attr: { dir_name: 'd', dir_note: '' },
})

t.test('before the work: it is not done', async (t) => {
  const { standin, client, strike } = await withUrl(t)
  const create = () => client.post('dir_create', DIR(client))
  for (const kind of ['reset', 'stall']) {
    strike(kind, { ms: 1 })
    await t.rejects(create(), kind)
  }
  for (const status of [500, 503]) {
    strike(`status-${status}`)
    t.equal((await create()).answer.status, status)
  }
  strike('html')
  const page = (await create()).answer
  t.equal(page.status, 200)
  t.match(page.body.toString(), /^<!DOCTYPE html>/)
  const codes = { busy: 190042, 'expired-session': 190051, 'ret:1013': 1013 }
  for (const [kind, ret] of Object.entries(codes)) {
    strike(kind)
    t.equal((await create()).ret, ret)
  }
  t.equal(standin.admin.tree().length, 1, 'nothing was made')
  strike('delay', { ms: 1 })
  t.equal((await create()).ret, 0)
  t.match(standin.admin.faults(), [{ kind: 'delay', hits: 1 }])
})

t.test('after the work: it is done, and the answer suffers', async (t) => {
  const { standin, client, strike } = await withUrl(t)
  const create = () => client.post('dir_create', DIR(client))
  strike('lost-reply')
  await t.rejects(create())
  t.same(
    standin.admin.tree().map(({ path }) => path),
    ['a', 'd'],
  )
  standin.admin.remove({ path: 'd' })

  strike('duplicate-reply')
  t.equal((await create()).ret, 1051, 'the second answer of a command done twice')
  standin.admin.remove({ path: 'd' })

  strike('malformed')
  t.ok(Number.isNaN((await create()).ret))
  strike('truncated')
  await t.rejects(create())
})

t.test('data URLs: bytes and ranges', async (t) => {
  const { client, url, strike } = await withUrl(t)
  strike('corrupted')
  const { body } = await client.fetch(url)
  t.equal(body.length, CONTENT.length)
  t.equal(body.filter((byte, i) => byte !== CONTENT[i]).length, 1)

  strike('truncated')
  await t.rejects(client.fetch(url))
  strike('expired-url')
  t.equal((await client.fetch(url)).status, 403)

  strike('ignore-range')
  const whole = await client.fetch(url, 'bytes=2-4')
  t.equal(whole.status, 200)
  t.ok(whole.body.equals(CONTENT))
  strike('wrong-range')
  const shifted = await client.fetch(url, 'bytes=2-4')
  t.equal(shifted.headers['content-range'], 'bytes 1-3/10')
  t.equal(shifted.body.toString(), '123')
})

t.test('rules choose by name, rate and count; only what fits uses them up', async (t) => {
  const { standin, client, url } = await withUrl(t)
  standin.admin.setFaults([
    { kind: 'ret:1013', match: '^query_', after: 1, times: 2 },
    { kind: 'wrong-range', times: 1 },
    { kind: 'ret:1025', match: 'root_dir_list', rate: 0 },
  ])
  const rets = []
  for (let i = 0; i < 5; i++) rets.push((await client.get('query_user', {})).ret)
  t.same(rets, [0, 1013, 1013, 0, 0])
  t.equal((await client.get('root_dir_list', {})).ret, 0)
  t.equal((await client.fetch(url)).status, 200, 'no range to be wrong about')
  t.equal((await client.fetch(url, 'bytes=0-1')).headers['content-range'], 'bytes 1-2/10')
  t.same(
    standin.admin.faults().map(({ hits }) => hits),
    [2, 1, 0],
  )
  standin.admin.setFaults([])
  t.same(standin.admin.faults(), [])
})

t.test('every data plane speaks its own kind of failure', async (t) => {
  const { client, url, strike } = await withUrl(t)
  const content = Buffer.from('new')
  const { body } = await client.announce(client.main, { name: 'b', content })
  strike('ret:-29150')
  t.match(await client.sendChunk(body, content, 0, 3), { code: -29150 })
  t.equal((await client.announce(client.main, { name: 'c', content })).ret, -29150)
  t.equal((await client.fetch(url)).status, 403)
  const form = await client.send('/ftn_handler/?ver=1&ukey=0&filekey=0&', { method: 'POST' })
  t.match(form.body.toString(), /ftn_post_end\(-29150\)/)
})
