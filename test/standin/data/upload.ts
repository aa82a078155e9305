import { hash } from 'node:crypto'
import t from 'tap'
import { startStandin } from '../../../src/standin/index.ts'
import { Random } from '../../fixtures/random.ts'
import { loginTo, type StandinClient, withStandin } from '../../fixtures/standin.ts'

const CHUNK_BYTES = 131072

function byHash(client: StandinClient, name: string, content: Buffer) {
  return client.get('file_upload', {
    ppdir_key: client.rootKey,
    pdir_key: client.mainKey,
    upload_type: 0,
    file_md5: hash('md5', content),
    file_sha: hash('sha1', content),
    file_size: String(content.length),
    file_attr: { file_name: name },
  })
}

function asForm(client: StandinClient, name: string, size: number) {
  return client.get('file_upload', {
    ppdir_key: client.rootKey,
    pdir_key: client.mainKey,
    upload_type: 1,
    file_md5: '',
    file_sha: '',
    file_size: String(size),
    file_attr: { file_name: name },
  })
}

function sendForm(
  client: StandinClient,
  keys: { upload_csum: string; file_key: string },
  content: Buffer,
  headers: Record<string, string> = {},
) {
  const disposition = 'Content-Disposition: form-data; name="file"; filename="filename"'
  const head = `--b\r\n${disposition}\r\nContent-Type: application/octet-stream\r\n\r\n`
  const target = `/ftn_handler/?ver=12345&ukey=${keys.upload_csum}&filekey=${keys.file_key}&`
  return client.send(target, {
    method: 'POST',
    headers: { 'Content-Type': 'multipart/form-data; boundary=b', ...headers },
    body: Buffer.concat([Buffer.from(head), content, Buffer.from('\r\n--b--\r\n')]),
  })
}

t.test('a hash that is not known leaves a broken entry; one that is needs no bytes', async (t) => {
  const { standin, client } = await withStandin(t)
  const content = Buffer.from('some bytes')
  const probe = (await byHash(client, 'a.txt', content)).body
  t.equal(probe.file_exist, false)
  t.match((await client.list()).files, [
    { file_id: probe.file_id, file_ver: probe.file_ver, file_size: '10', file_cur_size: '0' },
  ])
  const place = { ppdir_key: client.rootKey, pdir_key: client.mainKey }
  const renamed = await client.post('file_attr_mod', {
    ...place,
    file_id: probe.file_id,
    file_attr: { file_name: 'x', file_note: '', file_mtime: '2026-01-01 00:00:00' },
  })
  t.equal(renamed.ret, 3002, 'broken entries can only be deleted')
  const { file_id, file_ver } = probe
  await client.post('batch_file_delete', {
    del_files: [{ ...place, file_id, file_name: 'a.txt', file_ver }],
  })
  t.equal((await client.get('recycle_query_list', {})).body.files, null, 'and leave no trace')

  const other = await standin.admin.addAccount()
  await standin.admin.put({ uin: other.uin, path: 'theirs', content })
  const hit = (await byHash(client, 'a.txt', content)).body
  t.equal(hit.file_exist, true, 'whoever brought the bytes')
  t.match((await client.list()).files, [{ file_id: hit.file_id, file_cur_size: '10' }])
  t.equal((await standin.admin.read({ path: 'a.txt' })).toString(), 'some bytes')
})

t.test('an upload onto a taken name is renamed', async (t) => {
  const { client } = await withStandin(t)
  const content = Buffer.from('x')
  await client.upload(client.main, 'a.txt', content)
  await client.mkdir('d')
  const again = await client.upload(client.main, 'a.txt', content)
  t.match(again.filename, /^a\d{4}-\d+-\d+ \d+\.\d+\.\d+\.txt$/)
  t.match((await byHash(client, 'd', content)).body.file_name, /^d\d{4}-\d+-\d+ \d+\.\d+\.\d+$/)
  t.equal((await client.list()).files.length, 3)
})

t.test('file_exist_option 1 gives the file a new version once the bytes are there', async (t) => {
  const { standin, client } = await withStandin(t)
  const before = await client.upload(client.main, 'a', Buffer.from('old'))
  const content = Buffer.from('the new one')
  const file = {
    upload_type: 0,
    file_md5: hash('md5', content),
    file_sha: hash('sha1', content),
    file_size: content.length,
    filename: 'a',
    file_exist_option: 1,
  }
  const { body } = await client.announce(client.main, file)
  t.equal(body.file_id, before.file_id)
  t.equal((await standin.admin.read({ path: 'a' })).toString(), 'old')
  t.match(await client.sendChunk(body, content, 0, 100), { code: 0, done: true })
  t.equal((await standin.admin.read({ path: 'a' })).toString(), 'the new one')
  const [listed] = (await client.list()).files
  t.equal(listed.file_id, before.file_id)
  t.not(listed.file_ver, before.file_ver)
})

t.test('a form brings a file whose hashes nobody knew', async (t) => {
  const { standin, client } = await withStandin(t)
  const content = new Random().bytes(300_000)
  const { body } = await asForm(client, 'a', content.length)
  t.equal(body.file_exist, false)
  t.match((await sendForm(client, body, content.subarray(1))).body.toString(), /end\(38020\)/)
  t.match((await sendForm(client, body, content)).body.toString(), /ftn_post_end\(0\)/)
  t.match((await client.list()).files, [
    { file_sha: hash('sha1', content), file_cur_size: '300000' },
  ])
  t.ok((await standin.admin.read({ path: 'a' })).equals(content))
  t.match(
    (await sendForm(client, { ...body, upload_csum: '00' }, content)).body.toString(),
    /-29101/,
  )
})

t.test('a streamed form is not answered', async (t) => {
  const { client } = await withStandin(t)
  const { body } = await asForm(client, 'a', 3)
  const sent = sendForm(client, body, Buffer.from('abc'), { 'Transfer-Encoding': 'chunked' })
  await t.rejects(sent)
})

t.test('an empty file is always there', async (t) => {
  const { client } = await withStandin(t)
  t.equal((await byHash(client, 'a', Buffer.alloc(0))).body.file_exist, true)
  t.equal((await asForm(client, 'b', 0)).body.file_exist, true)
  const { body } = await client.announce(client.main, { name: 'c', content: Buffer.alloc(0) })
  t.equal(body.file_exist, true)
  const sha = hash('sha1', '')
  t.match((await client.list()).files, [{ file_sha: sha }, { file_sha: sha }, { file_sha: sha }])
})

t.test('hashes must fit each other and the type of the upload', async (t) => {
  const { client } = await withStandin(t)
  const content = Buffer.from('abc')
  await client.upload(client.main, 'a', content)
  const fields = {
    upload_type: 0,
    file_md5: hash('md5', content),
    file_sha: hash('sha1', content),
    file_size: 3,
    filename: 'b',
  }
  const ret = async (change: object) =>
    (await client.announce(client.main, { ...fields, ...change })).ret
  t.equal(await ret({}), 0)
  t.equal(await ret({ file_size: 4 }), 1090)
  t.equal(await ret({ file_md5: hash('md5', 'x') }), 1090)
  t.equal(await ret({ file_size: 0, file_sha: hash('sha1', 'x') }), 1090)
  t.equal(await ret({ file_sha: 'abc' }), 199004)
  t.equal(await ret({ file_md5: '' }), 199005)
  t.equal(await ret({ upload_type: 1 }), 190013)
  t.equal(await ret({ file_size: '3' }), 190204)
  t.equal(await ret({ filename: 'b...' }), 1088)
})

t.test('chunks: only the wanted offset is taken, damage is refused', async (t) => {
  const { client } = await withStandin(t)
  const content = new Random().bytes(CHUNK_BYTES + 1000)
  const { body } = await client.announce(client.main, { name: 'a', content })
  const send = (offset: number, length: number, bend = {}) =>
    client.sendChunk(body, content, offset, length, bend)
  t.match(await send(CHUNK_BYTES, 1000), { code: 0, done: false, next: 0 })
  t.match(await send(0, 1000, { bmd5: hash('md5', 'x') }), { code: -29102 })
  t.match(await send(0, 1000), { code: 0, done: false, next: 1000 })
  t.match(await send(0, CHUNK_BYTES), { code: 0, done: false, next: 1000 })
  t.match(await client.sendChunk({ ...body, check_key: '00' }, content, 1000, 10), { code: -29101 })
  t.match(await send(1000, content.length), { code: 0, done: true })
  t.match(await send(1000, 10), { code: 0, done: true }, 'a repeated end is an end')
  t.match((await client.list()).files, [{ file_cur_size: String(content.length) }])
})

t.test(
  'bytes that are not those announced leave the entry broken, and can be sent anew',
  async (t) => {
    const { client } = await withStandin(t)
    const content = Buffer.from('right')
    const lie = Buffer.from('wrong')
    const { body } = await client.announce(client.main, { name: 'a', content })
    t.match(await client.sendChunk(body, lie, 0, 5), { code: 38020 }, 'the MD5 in the URL tells')
    const md5 = hash('md5', content)
    t.match(await client.sendChunk(body, lie, 0, 5, { md5 }), { code: 38020 }, 'the whole tells')
    t.match((await client.list()).files, [{ file_cur_size: '0' }])
    t.match(await client.sendChunk(body, content, 0, 5), { code: 0, done: true })
    t.match((await client.list()).files, [{ file_cur_size: '5' }])
  },
)

t.test('an upload into a directory that is gone by then fails', async (t) => {
  const { standin, client } = await withStandin(t)
  const dir = await client.mkdir('d')
  const content = Buffer.from('abc')
  const { body } = await client.announce(dir, { name: 'a', content })
  standin.admin.remove({ path: 'd' })
  t.match(await client.sendChunk(body, content, 0, 3), { code: -7005 })
})

t.test('random chunks, repeats, gaps and restarts end in the same bytes', async (t) => {
  const random = new Random()
  t.comment(`WEIYUN_TEST_SEED=${random.seed}`)
  const dataDir = t.testdir({})
  const content = random.bytes(600_000)
  let standin = await startStandin({ dataDir })
  let client = await loginTo(t, standin)
  const ids = new Set<string>()
  const announce = async () => {
    const { body } = await client.announce(client.main, { name: 'a', content })
    ids.add(body.file_id)
    return body
  }
  let keys = await announce()
  let received = 0
  for (let done = false; !done; ) {
    if (random.below(12) === 0) {
      await standin.close()
      standin = await startStandin({ dataDir })
      client = await loginTo(t, standin)
      if (random.below(2) === 0) keys = await announce()
    }
    const offset = random.below(3) > 0 ? received : random.below(content.length)
    const length = 1 + random.below(CHUNK_BYTES)
    const answer = await client.sendChunk(keys, content, offset, length)
    t.equal(answer.code, 0)
    const taken = offset === received
    received = taken ? Math.min(content.length, offset + length) : received
    t.equal(answer.next, received)
    done = answer.done
    t.equal(done, received === content.length)
  }
  t.equal(ids.size, 1, 'announced again, it is the same file')
  t.ok((await standin.admin.read({ path: 'a' })).equals(content))
  await standin.close()
})
