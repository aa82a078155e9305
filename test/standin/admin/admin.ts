import { hash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import t from 'tap'
import { startStandin } from '../../../src/standin/index.ts'
import { seededContent } from '../../../src/standin/store/seeded.ts'
import { loginTo, withStandin } from '../../fixtures/standin.ts'

t.test('another device changes files, and the client sees it', async (t) => {
  const { standin, client } = await withStandin(t)
  const { admin } = standin
  admin.mkdir({ path: 'a/b' })
  const first = await admin.put({ path: 'a/f', content: Buffer.from('1') })
  const second = await admin.put({ path: 'a/f', content: Buffer.from('22') })
  t.equal(second.id, first.id)
  t.ok(second.ver > first.ver)
  const third = await admin.replace({ path: 'a/f', content: Buffer.from('333') })
  t.not(third.id, first.id)
  admin.rename({ path: 'a/f', name: 'g' })
  admin.move({ path: 'a/g', to: 'a/b' })
  admin.breakOff({ path: 'half', size: 9 })
  await admin.put({ path: 'big', size: 3_000_000, seed: 7 })
  await admin.fill({ path: 'a/b', count: 3, prefix: 'n' })
  admin.remove({ path: 'a/b/n00001' })
  const tree = admin.tree().map(({ path, kind, size, state }) => `${path} ${kind} ${size} ${state}`)
  t.same(tree.sort(), [
    'a dir 0 complete',
    'a/b dir 0 complete',
    'a/b/g file 3 complete',
    'a/b/n00000 file 0 complete',
    'a/b/n00002 file 0 complete',
    'big file 3000000 complete',
    'half file 9 broken',
  ])
  const big = Buffer.concat([...seededContent(3_000_000, 7)])
  t.ok((await admin.read({ path: 'big' })).equals(big))
  const sha = hash('sha1', big)
  t.match((await client.list()).files, [{ file_sha: sha }, { file_cur_size: '0' }])
})

t.test('names that no client could have made arrive as they are', async (t) => {
  const { standin, client } = await withStandin(t)
  const names = ['..', '.', 'a/b', 'nul\0nul', 'x'.repeat(300)]
  for (const name of names) await standin.admin.insert({ dir: '', name, bytes: { size: 1 } })
  await standin.admin.insert({ dir: '', name: '../d' })
  const { dirs, files } = await client.list()
  t.match(dirs, [{ dir_attr: { dir_name: '../d' } }])
  t.same(
    files.map((file: { file_attr: { file_name: string } }) => file.file_attr.file_name).sort(),
    names.sort(),
  )
})

t.test('commands can be taken away', async (t) => {
  const { standin, client } = await withStandin(t)
  standin.admin.disable(['batch_file_move', 'query_user'])
  t.equal((await client.post('batch_file_move', { move_files: [] })).ret, 190012)
  standin.admin.disable(['query_user'], 1008)
  t.equal((await client.post('batch_file_move', { move_files: [] })).ret, 1085)
  t.equal((await client.get('query_user', {})).ret, 1008)
})

t.test('the journal tells what was asked, and no secret', async (t) => {
  const { standin, client } = await withStandin(t)
  const { id } = await standin.admin.put({ path: 'a', content: Buffer.from('12345') })
  const url = String((await client.locate(id, 'a')).headers.location)
  await client.fetch(url, 'bytes=1-3')
  await client.get('get_dir_list', {})
  const journal = standin.admin.journal()
  t.match(journal, [
    { seq: 1, name: 'query_user', method: 'GET', status: 200, ret: 0, uin: client.uin },
    { seq: 2, name: 'wy_down', method: 'POST', status: 302 },
    { seq: 3, name: 'ftn-get', status: 206, range: 'bytes=1-3', bytesOut: 3 },
    { seq: 4, name: 'get_dir_list', status: 200, ret: 190203, reason: /pdir_key is missing/ },
  ])
  const { skey, ptcz } = client.session as { skey: string; ptcz: string }
  for (const secret of [skey, ptcz, client.token, new URL(url).pathname]) {
    t.notOk(JSON.stringify(journal).includes(secret))
  }
  t.match(standin.admin.counters(), {
    'ftn-get': { requests: 1, refused: 0, bytesOut: 3, inFlight: 0, inFlightMax: 1 },
    get_dir_list: { requests: 1, refused: 1 },
  })
  t.same(standin.admin.journal(4), [])
  standin.admin.clearJournal()
  t.same(standin.admin.journal(), [])
})

t.test('the endpoint does what the methods do', async (t) => {
  const { standin, client } = await withStandin(t)
  const ask = async (method: string, path: string, input?: unknown) => {
    const body = input === undefined ? '' : JSON.stringify(input)
    const headers = { 'Content-Length': String(Buffer.byteLength(body)) }
    const answer = await client.send(`/_admin/${path}`, { method, headers, body })
    const type = answer.headers['content-type']
    return type === 'application/json' ? JSON.parse(answer.body.toString()) : answer
  }
  const content = Buffer.from('hello').toString('base64')
  t.match(await ask('POST', 'files/put', { path: 'a', content }), { size: 5, state: 'complete' })
  await ask('POST', 'files/mkdir', { path: 'd' })
  await ask('POST', 'files/move', { path: 'a', to: 'd' })
  await ask('POST', 'files/rename', { path: 'd/a', name: 'b' })
  await ask('POST', 'files/fill', { path: 'd', count: 1, size: 10 })
  await ask('POST', 'files/insert', { dir: '', name: '..', kind: 'dir' })
  await ask('POST', 'files/break', { path: 'half', size: 1 })
  t.match(await ask('GET', 'files/tree?path=d'), [{ path: 'b', size: 5 }, { size: 10 }])
  t.equal((await ask('GET', 'files/bytes?path=d/b')).body.toString(), 'hello')
  await ask('POST', 'files/replace', { path: 'd/b', size: 2 })
  await ask('POST', 'files/kill', { path: 'd/b' })
  await ask('POST', 'files/remove', { path: 'half' })
  t.match(await ask('GET', 'files/tree'), [
    { path: '..' },
    { path: 'd' },
    { path: 'd/b', state: 'dead' },
    { path: 'd/file-00000' },
  ])

  await ask('PUT', 'knobs', { rttMs: 1 })
  t.match(await ask('GET', 'knobs'), { rttMs: 1, bandwidth: 0 })
  await ask('PUT', 'faults', [{ kind: 'busy', times: 1 }])
  t.equal((await client.get('query_user', {})).ret, 190042)
  t.match(await ask('GET', 'faults'), [{ kind: 'busy', hits: 1 }])
  await ask('PUT', 'disabled', { commands: ['query_user'] })
  t.equal((await client.get('query_user', {})).ret, 190012)
  await ask('PUT', 'disabled', { commands: [] })
  await ask('PUT', 'limits', { downloadTasksMax: 2 })
  await ask('PUT', 'quota', { totalSpace: 1000 })
  t.match((await client.get('query_user', {})).body, { max_dl_tasks: 2, total_space: '1000' })
  t.equal((await ask('GET', 'counters')).query_user.requests, 3)
  t.equal((await ask('GET', 'journal?since=2')).length, 1)
  await ask('DELETE', 'journal')
  t.same(await ask('GET', 'counters'), {
    query_user: { requests: 0, refused: 0, bytesIn: 0, bytesOut: 0, inFlight: 0, inFlightMax: 0 },
  })

  const { uin } = await ask('POST', 'accounts', { nickname: 'second' })
  t.match(await ask('GET', 'snapshot'), { accounts: [{}, { uin, nickname: 'second' }] })
  await ask('POST', 'sessions', { action: 'expire' })
  t.equal((await client.get('query_user', {})).ret, 190051)
  const { sessions } = await ask('POST', 'sessions', { action: 'rotate' })
  const renewed = await loginTo(t, standin, sessions)
  t.equal((await renewed.get('query_user', {})).ret, 0)
  t.equal(await ask('POST', 'urls/expire', {}), null)

  t.match(await ask('PUT', 'faults', [{ kind: 'nonsense' }]), { ret: 190013 })
  t.match(await ask('PUT', 'knobs', { nonsense: 1 }), { ret: 190013 })
  t.match(await ask('GET', 'nonsense'), { ret: 190012 })
  t.match(await ask('POST', 'files/remove', { path: 'absent' }), { ret: 1020 })
})

t.test('no web page and no other name reaches the endpoint', async (t) => {
  const { client } = await withStandin(t)
  const status = async (headers: Record<string, string>) =>
    (await client.send('/_admin/snapshot', { headers })).status
  t.equal(await status({ Origin: 'http://www.weiyun.com' }), 403)
  t.equal(await status({ Host: 'www.weiyun.com' }), 403)
  t.equal(await status({ Host: 'example.org' }), 421)
  t.equal(await status({}), 200)
})

t.test('everything survives a restart, and session files are private', async (t) => {
  const dataDir = t.testdir({})
  const first = await startStandin({ dataDir })
  const second = await first.admin.addAccount()
  await first.admin.put({ path: 'd1', content: Buffer.from('1') })
  first.admin.mkdir({ uin: second.uin, path: 'd2' })
  first.admin.setLimits({ depthMax: 3 })
  first.admin.expireSession({ uin: second.uin })
  const before = [first.admin.snapshot(), first.admin.tree(), first.admin.tree({ uin: second.uin })]
  const session = await readFile(first.sessions.classic as string, 'utf8')
  const client = await loginTo(t, first)
  const { id } = first.admin.tree()[0] as { id: string }
  const url = String((await client.locate(id, 'd1')).headers.location)
  await first.close()

  const again = await startStandin({ dataDir })
  t.teardown(() => again.close())
  t.same(
    [again.admin.snapshot(), again.admin.tree(), again.admin.tree({ uin: second.uin })],
    before,
  )
  t.equal(await readFile(again.sessions.classic as string, 'utf8'), session)
  t.equal((await stat(again.sessions.classic as string)).mode & 0o777, 0o600)
  const returned = await loginTo(t, again)
  t.equal((await returned.fetch(url)).body.toString(), '1', 'a data URL too')
})

t.test('one process at a time', async (t) => {
  const dataDir = t.testdir({})
  const first = await startStandin({ dataDir })
  await t.rejects(startStandin({ dataDir }), /locked/)
  await first.close()
})

t.test('a file larger than any disk, and any part of it', async (t) => {
  const { standin, client } = await withStandin(t)
  const size = 100 * 2 ** 40
  standin.admin.setLimits({ fileSizeMax: size })
  standin.admin.setQuota({ totalSpace: size })
  const { id } = standin.admin.pretend({ path: 'huge', size, seed: 5 })
  t.match((await client.list()).files, [{ file_size: String(size) }])
  const url = String((await client.locate(id, 'huge')).headers.location)
  for (const start of [0, 2 ** 33 + 5, size - 100_000]) {
    const end = start + 100_000
    const { body } = await client.fetch(url, `bytes=${start}-${end - 1}`)
    t.ok(body.equals(Buffer.concat([...seededContent(end, 5, start)])), `from ${start}`)
  }
})
