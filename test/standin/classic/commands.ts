import { hash, randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { type StandinClient, withStandin } from '../../fixtures/standin.ts'

const bytes = (text: string) => Buffer.from(text)
const EMPTY_ATTR = { file_note: '', file_mtime: '2026-01-01 00:00:00' }

interface Dir {
  key: string
  parentKey: string
}

const place = (dir: Dir) => ({ ppdir_key: dir.parentKey, pdir_key: dir.key })
const moveTo = (from: Dir, to: Dir) => ({
  src_pdir_key: from.key,
  src_ppdir_key: from.parentKey,
  dst_pdir_key: to.key,
  dst_ppdir_key: to.parentKey,
})

async function names(client: StandinClient, dir = client.main) {
  const { dirs, files } = await client.list(dir)
  const of = (items: { [attr: string]: { [name: string]: string } }[] | null, kind: string) =>
    (items ?? []).map((item) => item[`${kind}_attr`]?.[`${kind}_name`])
  return [...of(dirs, 'dir'), ...of(files, 'file')]
}

t.test('query_user tells keys, limits and totals', async (t) => {
  const { standin, client } = await withStandin(t)
  await standin.admin.put({ path: 'a', content: bytes('12345') })
  const { body, answer } = await client.get('query_user', {})
  t.match(body, {
    root_key: client.rootKey,
    main_dir_key: client.mainKey,
    main_dir_name: '微云',
    max_fz: '2147483647',
    MaxBatchDeleteFileCnt: '50',
    max_dl_tasks: 5,
    used_space: '5',
    file_count: 1,
    dir_count: 0,
  })
  t.match(answer.body.toString(), /^try\{get_\w+\(.*\)\}catch\(e\)\{\};$/)
})

t.test('listings: plain from the main directory, nested elsewhere, null when empty', async (t) => {
  const { client } = await withStandin(t)
  t.strictSame((await client.get('root_dir_list', {})).body, { dirs: null, files: null })
  const dir = await client.mkdir('音乐')
  const { file_id } = await client.upload(dir, 'a.txt', bytes('hello'))

  const root = await client.get('root_dir_list', {})
  t.match(root.body.dirs, [{ dir_key: dir.key, dir_name: '音乐', dir_note: '' }])
  t.equal(root.body.files, null)
  const { dirs, files, dir_mtime } = await client.list(dir)
  t.equal(dirs, null)
  t.match(dir_mtime, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d{3}$/)
  t.match(files, [
    {
      file_attr: { file_name: 'a.txt' },
      file_id,
      file_size: '5',
      file_cur_size: '5',
      file_sha: hash('sha1', 'hello'),
      file_md5: hash('md5', 'hello'),
      file_ver: /^\d+$/,
    },
  ])
  const main = await client.list()
  t.match(main.dirs, [{ dir_attr: { dir_name: '音乐' }, dir_attr_bit: '0', dir_key: dir.key }])
})

t.test('a listing whose time is known answers 1018 until something changes', async (t) => {
  const { client } = await withStandin(t)
  const dir = await client.mkdir('d')
  const ask = async (dir_mtime: string) =>
    client.get('get_dir_list', {
      pdir_key: client.mainKey,
      dir_key: dir.key,
      dir_mtime,
      only_dir: 0,
    })
  const seen = new Set<string>()
  const changed = async (what: string) => {
    const { dir_mtime } = await client.list(dir)
    t.notOk(seen.has(dir_mtime), what)
    seen.add(dir_mtime)
    t.equal((await ask(dir_mtime)).ret, 1018, `${what}: then unchanged`)
  }
  await changed('new')
  const { file_id, file_ver } = await client.upload(dir, 'a', bytes('a'))
  await changed('upload')
  const inner = await client.mkdir('inner', dir)
  await changed('mkdir')
  await client.post('file_attr_mod', {
    ...place(dir),
    file_id,
    file_attr: { file_name: 'b', ...EMPTY_ATTR },
  })
  await changed('rename')
  await client.post('batch_file_move', {
    move_files: [
      {
        ...moveTo(dir, inner),
        file_id,
        file_attr: { file_name: 'b' },
        src_file_name: 'b',
      },
    ],
  })
  await changed('move out')
  await client.post('batch_file_delete', {
    del_files: [{ ...place(inner), file_id, file_name: 'b', file_ver }],
  })
  await client.post('batch_folder_delete', {
    del_folders: [{ ...place(dir), dir_key: inner.key, flag: 1, dir_name: 'inner' }],
  })
  await changed('delete')
})

t.test('wrong keys get the code for what is wrong', async (t) => {
  const { client } = await withStandin(t)
  const [a, b] = [await client.mkdir('a'), await client.mkdir('b')]
  const absent = `${a.key.slice(0, 8)}${'0'.repeat(24)}`
  const ret = async (pdir_key: string, dir_key: string) =>
    (
      await client.get('get_dir_list', {
        pdir_key,
        dir_key,
        dir_mtime: '2000-01-01 01:01:01',
        only_dir: 0,
      })
    ).ret
  t.equal(await ret(client.mainKey, absent), 1019)
  t.equal(await ret(b.key, a.key), 1026)
  t.equal(await ret(absent, a.key), 1026)
  t.equal(await ret(client.rootKey, client.rootKey), 1060)
  t.equal(await ret(client.mainKey, 'short'), 199003)
  t.equal(await ret(client.mainKey, `ffffffff${a.key.slice(8)}`), 199014)

  const create = async (parent: Dir, name = 'x') =>
    (
      await client.post('dir_create', {
        ...place(parent),
        dir_attr: { dir_name: name, dir_note: '' },
      })
    ).ret
  t.equal(await create({ key: absent, parentKey: client.mainKey }), 1026)
  t.equal(await create({ key: a.key, parentKey: b.key }), 1026)
  t.equal(await create({ key: client.rootKey, parentKey: client.rootKey }), 1116)
  t.equal(await create(client.main, 'a'), 1051)
  t.equal(await create(client.main, 'a:b'), 1088)
  t.equal(await create(client.main, 'x'.repeat(129)), 1080)
})

t.test('deleting: versions, batches and their limits, the recycle bin', async (t) => {
  const { standin, client } = await withStandin(t)
  const dir = await client.mkdir('d')
  const one = await client.upload(dir, 'one', bytes('one'))
  const two = await client.upload(dir, 'two', bytes('two'))
  const item = (file_id: string, file_ver: string) => ({
    ...place(dir),
    file_id,
    file_name: 'x',
    file_ver,
  })
  const remove = async (...del_files: object[]) => client.post('batch_file_delete', { del_files })

  const { body } = await remove(
    item(one.file_id, '1'),
    item(randomUUID(), ''),
    item(two.file_id, ''),
  )
  t.strictSame(body.results, [{ result: 1058 }, { result: 1020 }, { result: 0 }])
  t.equal((await remove()).ret, 1085)
  t.equal((await remove(...Array(51).fill(item(one.file_id, '')))).ret, 1086)
  t.equal((await client.get('query_user', {})).body.used_space, '6', 'the bin still counts')

  const bin = await client.get('recycle_query_list', {})
  t.match(bin.body, { files: [{ file_id: two.file_id, file_name: 'two' }], folders: null })
  await client.upload(dir, 'two', bytes('another'))
  const back = await client.post('recycle_batch_undel_file', { files: [{ file_id: two.file_id }] })
  t.strictSame(back.body.results, [{ result: 0 }])
  t.match(await names(client, dir), ['one', 'two', /^two\d{4}-\d+-\d+ \d+\.\d+\.\d+$/])

  const gone = await client.post('batch_folder_delete', {
    del_folders: [{ ...place(client.main), dir_key: dir.key, flag: 0, dir_name: 'd' }],
  })
  t.strictSame(gone.body.results, [{ result: 1063 }], 'not empty, and not told to take all')
  await client.post('batch_folder_delete', {
    del_folders: [{ ...place(client.main), dir_key: dir.key, flag: 1, dir_name: 'd' }],
  })
  t.equal(await client.list(dir).then((body) => body.files), undefined, 'its key is dead')
  t.match(standin.admin.snapshot().accounts[0], { fileCount: 0, dirCount: 0, usedSpace: 13 })
  await client.post('recycle_batch_undel_folder', { folders: [{ dir_key: dir.key }] })
  t.match(standin.admin.snapshot().accounts[0], { fileCount: 3, dirCount: 1, usedSpace: 13 })
  standin.admin.remove({ path: 'd' })
  t.match((await client.post('recycle_clear', {})).body, { timestamp: /^\d+$/ })
  t.match(standin.admin.snapshot().accounts[0], { fileCount: 0, dirCount: 0, usedSpace: 0 })
  const again = await client.post('recycle_batch_undel_folder', { folders: [{ dir_key: dir.key }] })
  t.strictSame(again.body.results, [{ result: 1019 }])
})

t.test('system directories stay', async (t) => {
  const { client } = await withStandin(t)
  const main = {
    ...place({ key: client.rootKey, parentKey: client.rootKey }),
    dir_key: client.mainKey,
  }
  const gone = await client.post('batch_folder_delete', {
    del_folders: [{ ...main, flag: 1, dir_name: '微云' }],
  })
  t.strictSame(gone.body.results, [{ result: 1054 }])
  const renamed = await client.post('dir_attr_mod', {
    ...main,
    dir_attr: { dir_name: 'x', dir_note: '' },
  })
  t.equal(renamed.ret, 1065)
})

t.test('renaming', async (t) => {
  const { client } = await withStandin(t)
  const dir = await client.mkdir('d')
  await client.mkdir('e')
  const { file_id } = await client.upload(client.main, 'a', bytes('a'))
  const file = async (file_name: string) =>
    (
      await client.post('file_attr_mod', {
        ...place(client.main),
        file_id,
        file_attr: { file_name, ...EMPTY_ATTR },
      })
    ).ret
  t.equal(await file('a'), 1122)
  t.equal(await file('d'), 1051)
  t.equal(await file('b?'), 1088)
  t.equal(await file('b'), 0)
  const folder = async (dir_name: string) =>
    (
      await client.post('dir_attr_mod', {
        ...place(client.main),
        dir_key: dir.key,
        dir_attr: { dir_name, dir_note: '' },
      })
    ).ret
  t.equal(await folder('e'), 1051)
  t.equal(await folder('d'), 1122)
  t.equal(await folder('f'), 0)
  t.same((await names(client)).sort(), ['b', 'e', 'f'])
})

t.test('moving files', async (t) => {
  const { client } = await withStandin(t)
  const [a, b] = [await client.mkdir('a'), await client.mkdir('b')]
  const { file_id } = await client.upload(a, 'f', bytes('1'))
  const item = (from: Dir, to: Dir, more = {}) => ({
    ...moveTo(from, to),
    file_id,
    file_attr: { file_name: 'f' },
    src_file_name: 'f',
    ...more,
  })
  const absent = { key: `${a.key.slice(0, 8)}${'0'.repeat(24)}`, parentKey: client.mainKey }
  const root = { key: client.rootKey, parentKey: client.rootKey }
  const { body } = await client.post('batch_file_move', {
    move_files: [
      item(a, a),
      item(a, absent),
      item(a, { key: b.key, parentKey: a.key }),
      item(absent, b),
      item(b, a),
      item(a, root, { dst_ppdir_key: client.mainKey }),
      item(a, b),
    ],
  })
  t.strictSame(
    body.results.map(({ result }: { result: number }) => result),
    [1111, 1119, 1120, 1121, 1020, 1112, 0],
  )
  t.same(await names(client, b), ['f'])
  await client.upload(a, 'f', bytes('2'))
  const back = await client.post('batch_file_move', { move_files: [item(b, a)] })
  t.strictSame(back.body.results, [{ result: 1051 }])
})

t.test('moving folders', async (t) => {
  const { client } = await withStandin(t)
  const a = await client.mkdir('a')
  const inner = await client.mkdir('inner', a)
  const b = await client.mkdir('b')
  await client.upload(inner, 'f', bytes('1'))
  const move = async (dir: Dir, from: Dir, to: Dir) =>
    (
      await client.post('batch_folder_move', {
        move_folders: [{ ...moveTo(from, to), dir_key: dir.key, folder_name: 'x' }],
      })
    ).body.results[0].result
  t.equal(await move(a, client.main, inner), 190013, 'below itself')
  t.equal(await move(a, client.main, a), 190013, 'into itself')
  t.equal(await move(inner, b, client.main), 1019, 'not from there')
  t.equal(await move(a, client.main, b), 0)
  t.same(await names(client, { key: inner.key, parentKey: a.key }), ['f'], 'keys stay')
  t.same(await names(client, b), ['a'])
})

t.test('limits', async (t) => {
  const { standin, client } = await withStandin(t)
  standin.admin.setLimits({ depthMax: 2, dirEntriesMax: 2, entriesMax: 5, fileSizeMax: 100 })
  standin.admin.setQuota({ totalSpace: 150 })
  const create = async (parent: Dir, name: string) => {
    const { ret, body } = await client.post('dir_create', {
      ...place(parent),
      dir_attr: { dir_name: name, dir_note: '' },
    })
    return { ret, key: body.dir_key, parentKey: parent.key }
  }
  const one = await create(client.main, '1')
  const two = await create(one, '2')
  t.equal((await create(two, '3')).ret, 199012, 'depth')
  const announce = async (dir: Dir, name: string, size: number) =>
    (await client.announce(dir, { name, content: Buffer.alloc(size, name) })).ret
  t.equal(await announce(two, 'a', 101), 1029)
  t.equal(await announce(two, 'a', 100), 0)
  t.equal(await announce(two, 'b', 51), 1053)
  t.equal(await announce(two, 'b', 50), 0)
  t.equal((await create(two, 'x')).ret, 1083)
  t.equal((await create(client.main, 'x')).ret, 0)
  t.equal((await create(client.main, 'y')).ret, 1028)
})

t.test('strict about what the sheets do not know', async (t: Test) => {
  const { client } = await withStandin(t)
  const list = {
    pdir_key: client.rootKey,
    dir_key: client.mainKey,
    dir_mtime: '2000-01-01 01:01:01',
    only_dir: 0,
  }
  const ret = async (body: unknown, bend = {}) => (await client.get('get_dir_list', body, bend)).ret
  t.equal(await ret(list), 0)
  t.equal(await ret({ ...list, extra: 1 }), 190013)
  t.equal(await ret({ ...list, only_dir: '0' }), 190204)
  t.equal(await ret({ ...list, only_dir: 2 }), 190013)
  t.equal(await ret({ ...list, dir_mtime: 'now' }), 190204)
  t.equal(await ret({ ...list, dir_key: undefined }), 190203)
  t.equal(await ret(undefined), 190202)
  t.equal(await ret(list, { query: { data: '{' } }), 190034)
  t.equal(await ret(list, { query: { extra: '1' } }), 190013)
  t.equal(await ret(list, { query: { cmd: 'query_user' } }), 190013)
  t.equal(await ret(list, { reqHeader: { appid: 1 } }), 190048)
  t.equal(await ret(list, { reqHeader: { extra: 1 } }), 190013)
  t.equal(await ret(list, { method: 'POST', path: '/wy_web_jsonp.fcg' }), 190012)
  t.equal(await ret(list, { path: '/upload.fcg' }), 190012)
  t.equal((await client.get('no_such', {})).ret, 190012)
  const twice = await client.send('/wy_web_jsonp.fcg?cmd=a&cmd=b', {
    headers: { Referer: 'http://www.weiyun.com/' },
  })
  t.match(twice.body.toString(), /"ret":190013/)
})

t.test('names are stored as they are sent', async (t) => {
  const { client } = await withStandin(t)
  const wild = [
    '100%',
    '%41',
    ')}catch(e){};',
    ')} catch(e){};',
    '：？＊',
    'e\u0301',
    '\u00e9',
    '💾',
  ]
  for (const name of wild) await client.mkdir(name)
  t.same((await names(client)).sort(), wild.sort())
})
