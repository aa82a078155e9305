import { request } from 'node:http'
import t from 'tap'
import { loginTo, sha1Of, withStandin } from '../fixtures/standin.ts'

t.test('through a proxy: absolute targets, any host of the site', async (t) => {
  const { standin, client } = await withStandin(t)
  const face = `appid=527020901&imgtype=5&encrytype=0&devtype=0&keytpye=0&uin=${client.uin}`
  const seen = await client.send(`http://ptlogin2.weiyun.com/getface?${face}`)
  const text = seen.body.toString()
  t.match(text, /^pt\.setHeader\(\{".*"\}\);$/)
  const url = JSON.parse(text.slice('pt.setHeader('.length, -2))[String(client.uin)]
  t.equal(new URL(url).host, new URL(standin.url).host, 'addresses lead back here')
  const picture = await client.send(url)
  t.equal(picture.headers['content-type'], 'image/png')
  t.ok(picture.body.subarray(1, 4).equals(Buffer.from('PNG')))

  const hosts = { Host: 'web.cgi.weiyun.com' }
  t.equal((await client.get('query_user', {}, { headers: hosts })).ret, 0)
  t.equal((await client.send('http://example.org/wy_web_jsonp.fcg')).status, 421)
  t.equal((await client.send('/nowhere')).status, 404)
})

t.test('behind a forwarded port, addresses lead back through it', async (t) => {
  const { standin, client } = await withStandin(t)
  const face = `appid=527020901&imgtype=5&encrytype=0&devtype=0&keytpye=0&uin=${client.uin}`
  const named = async (host: string) => {
    const { body } = await client.send(`/getface?${face}`, { headers: { Host: host } })
    const faces = JSON.parse(body.toString().slice('pt.setHeader('.length, -2))
    return new URL(faces[String(client.uin)]).host
  }
  for (const host of ['127.0.0.1:1', 'localhost:81', '[::1]:82']) t.equal(await named(host), host)
  t.equal(await named('user.weiyun.com'), new URL(standin.url).host, 'never the real one')
})

t.test('avatars of strangers have the time 0; nonsense is refused', async (t) => {
  const { client } = await withStandin(t)
  const face = async (change: Record<string, string>) => {
    const query = { appid: '527020901', imgtype: '1', encrytype: '0', devtype: '0', keytpye: '0' }
    const { status, body } = await client.send(
      `/getface?${new URLSearchParams({ ...query, uin: '10001', ...change })}`,
    )
    return { status, text: body.toString() }
  }
  t.match((await face({})).text, /&t=0"/)
  for (const change of [{ imgtype: '6' }, { keytpye: '1' }, { uin: 'x' }, { extra: '1' }]) {
    t.equal((await face(change as Record<string, string>)).status, 400)
  }
})

t.test("one account's keys open nothing of another's", async (t) => {
  const { standin, client: alice } = await withStandin(t)
  const bob = await loginTo(t, standin, (await standin.admin.addAccount()).sessions)
  const dir = await alice.mkdir('private')
  const file = await alice.upload(dir, 'secret', Buffer.from('secret'))
  const before = standin.admin.tree({ uin: alice.uin })

  const place = { ppdir_key: alice.mainKey, pdir_key: dir.key }
  const item = { ...place, file_id: file.file_id, file_name: 'secret', file_ver: '' }
  const time = { file_note: '', file_mtime: '2026-01-01 00:00:00' }
  const toBob = { dst_pdir_key: bob.mainKey, dst_ppdir_key: bob.rootKey }
  const attempts = {
    list: bob.get('get_dir_list', {
      pdir_key: alice.mainKey,
      dir_key: dir.key,
      dir_mtime: '2000-01-01 01:01:01',
      only_dir: 0,
    }),
    mkdir: bob.post('dir_create', { ...place, dir_attr: { dir_name: 'x', dir_note: '' } }),
    rename: bob.post('file_attr_mod', {
      ...place,
      file_id: file.file_id,
      file_attr: { file_name: 'x', ...time },
    }),
    'rename from his own': bob.post('file_attr_mod', {
      ppdir_key: bob.rootKey,
      pdir_key: bob.mainKey,
      file_id: file.file_id,
      file_attr: { file_name: 'x', ...time },
    }),
    upload: bob.announce(dir, { name: 'x', content: Buffer.from('x') }),
  }
  for (const [what, attempt] of Object.entries(attempts)) t.not((await attempt).ret, 0, what)
  const batches = {
    delete: bob.post('batch_file_delete', { del_files: [item] }),
    move: bob.post('batch_file_move', {
      move_files: [
        {
          src_pdir_key: dir.key,
          src_ppdir_key: alice.mainKey,
          ...toBob,
          file_id: file.file_id,
          file_attr: { file_name: 'secret' },
          src_file_name: 'secret',
        },
      ],
    }),
    restore: bob.post('recycle_batch_undel_file', { files: [{ file_id: file.file_id }] }),
  }
  for (const [what, attempt] of Object.entries(batches)) {
    t.not((await attempt).body.results[0].result, 0, what)
  }
  const down = await bob.locate(file.file_id, 'secret', {}, dir)
  t.match(down.headers.location, /iframe_disk_down_fail/)
  t.equal((await bob.locate(file.file_id, 'secret')).headers['x-errno'], '1020')
  t.same(standin.admin.tree({ uin: alice.uin }), before)
})

t.test('delay and bandwidth hold replies back, but not the admin endpoint', async (t) => {
  const { standin, client } = await withStandin(t)
  const { id } = await standin.admin.put({ path: 'a', size: 50_000, seed: 1 })
  const url = String((await client.locate(id, 'a')).headers.location)
  standin.admin.setKnobs({ rttMs: 100, bandwidth: 200_000 })
  const startMs = Date.now()
  t.equal(sha1Of((await client.fetch(url)).body), standin.admin.tree()[0]?.sha)
  // 100 ms, and 250 ms for the bytes, less what the line may make up for.
  t.ok(Date.now() - startMs >= 300, 'not before its time')
  const content = Buffer.alloc(50_000, 'x')
  const { body } = await client.announce(client.main, { name: 'b', content })
  const sentMs = Date.now()
  t.match(await client.sendChunk(body, content, 0, 50_000), { done: true })
  t.ok(Date.now() - sentMs >= 300, 'the other way as well')
  standin.admin.setKnobs({ rttMs: 3_600_000 })
  t.equal((await client.send('/_admin/snapshot')).status, 200)
})

t.test('a client that goes away in the middle leaves the service standing', async (t) => {
  const { standin, client } = await withStandin(t)
  await standin.admin.put({ path: 'a', size: 30_000_000, seed: 1 })
  const [file] = standin.admin.tree()
  const url = String((await client.locate(file?.id as string, 'a')).headers.location)
  standin.admin.setKnobs({ bandwidth: 1_000_000 })
  await new Promise<void>((resolve) => {
    const headers = { Cookie: client.cookieHeader() }
    request(url, { headers }, (response) => {
      response.once('data', () => response.destroy())
      response.on('close', resolve)
    }).end()
  })
  standin.admin.setKnobs({ bandwidth: 0 })
  t.equal((await client.get('query_user', {})).ret, 0)
})
