import { hash } from 'node:crypto'
import t from 'tap'
import { type Dir, type Json, type WebappClient, withWebapp } from '../../fixtures/webapp-client.ts'
import { VECTORS } from '../../fixtures/webapp-vectors.ts'

const bytes = (text: string) => Buffer.from(text)
const place = (dir: Dir) => ({ ppdir_key: dir.parentKey, pdir_key: dir.key })
const absentKey = (client: WebappClient) => `${client.root.slice(0, 8)}${'0'.repeat(24)}`
const ABSENT_FILE = '00000000-0000-0000-0000-000000000000'

const fileItem = (file_id: string, filename: string, dir: Dir) => ({
  ...place(dir),
  file_id,
  filename,
})
const dirItem = (dir: Dir, dir_name: string, grandParentKey = '') => ({
  ppdir_key: grandParentKey,
  pdir_key: dir.parentKey,
  dir_key: dir.key,
  dir_name,
})
const move = (from: Dir, to: Dir, lists: object) => ({
  src_ppdir_key: from.parentKey,
  src_pdir_key: from.key,
  dst_ppdir_key: to.parentKey,
  dst_pdir_key: to.key,
  ...lists,
})

t.test('keys have the shape of the vectors', async (t) => {
  const { client } = await withWebapp(t)
  const [vector] = VECTORS.dir_key
  const body = await client.run('DiskUserInfoGet', {})
  t.equal(body.root_dir_key.slice(8), vector?.root_dir_key.slice(8))
  t.equal(body.main_dir_key.slice(8), vector?.main_dir_key.slice(8))
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32LE(client.uin)
  t.equal(body.root_dir_key.slice(0, 8), prefix.toString('hex'))
})

t.test('the account: limits, totals, and what is asked for besides', async (t) => {
  const { standin, client } = await withWebapp(t)
  await standin.admin.put({ path: 'd', content: bytes('12345') })
  standin.admin.setLimits({ batchDeleteFilesMax: 7, depthMax: 9, fileSizeMax: 2 ** 40 })
  const plain = await client.run('DiskUserInfoGet', {})
  t.match(plain, {
    uin: client.uin,
    used_space: '5',
    file_total: 1,
    dir_total: 0,
    max_batch_file_delete_number: 7,
    max_dir_layer_number: 9,
    max_single_file_size: String(2 ** 40),
    max_filename_length: 255,
    user_mtime: /^\d{13}$/,
  })
  t.notOk('weiyun_vip_info' in plain)
  const more = await client.run('DiskUserInfoGet', {
    is_get_weiyun_flag: true,
    is_get_upload_flow_flag: true,
    is_get_high_speed_flow_info: true,
    is_get_space_clean_info: true,
  })
  t.match(more.weiyun_vip_info, { weiyun_vip: false })
  t.ok(more.qdisk_flow_info && more.high_speed_flow_info && more.space_clean_info)
})

t.test('a listing: fields, kinds, absent lists', async (t) => {
  const { client } = await withWebapp(t)
  const empty = await client.list()
  t.notOk('dir_list' in empty || 'file_list' in empty, 'empty lists are absent')
  t.match(empty, { pdir_key: client.main.key, finish_flag: true, total_file_count: 0 })

  const dir = await client.mkdir('照片')
  await client.upload('a.txt', bytes('hello'))
  const both = await client.list()
  t.match(both.dir_list, [{ dir_key: dir.key, dir_name: '照片' }])
  t.type(both.dir_list[0].dir_mtime, 'number')
  t.match(both.file_list, [
    {
      file_id: /^[0-9a-f-]{36}$/,
      filename: 'a.txt',
      file_size: 5,
      file_cursize: 5,
      file_sha: hash('sha1', 'hello'),
      file_md5: hash('md5', 'hello'),
      file_ctime: /^\d{13}$/,
      file_mtime: /^\d{13}$/,
      file_version: /^\d+$/,
    },
  ])
  t.match(both, { total_dir_count: 1, total_file_count: 1, total_space: 5 })
  t.notOk('file_list' in (await client.list(client.main, { get_type: 1 })))
  t.notOk('dir_list' in (await client.list(client.main, { get_type: 2 })))
})

t.test('pages: order, end, and room taken by what is hidden', async (t) => {
  const { standin, client } = await withWebapp(t)
  for (const name of ['x', 'y']) standin.admin.mkdir({ path: name })
  for (const [i, name] of ['c', 'a', 'b', 'd'].entries()) {
    await standin.admin.put({ path: name, size: 10 - i, seed: i })
  }
  const page = async (start: number, count: number, more: object = {}) => {
    const {
      dir_list = [],
      file_list = [],
      ...rest
    } = await client.list(client.main, {
      start,
      count,
      ...more,
    })
    const names = [
      ...dir_list.map((d: Json) => d.dir_name),
      ...file_list.map((f: Json) => f.filename),
    ]
    return { names: names.join(''), finished: rest.finish_flag, rest }
  }
  t.match(await page(0, 500), { names: 'xyabcd', finished: true })
  t.match(await page(0, 500, { reverse_order: true }), { names: 'yxdcba' })
  t.match(await page(0, 500, { sort_field: 3 }), { names: /dbac$/ })
  t.match(await page(0, 3), { names: 'xya', finished: false })
  t.match(await page(3, 3), { names: 'bcd', finished: true })
  t.match(await page(6, 3), { names: '', finished: true })

  standin.admin.mark({ path: 'a', mark: 'hidden' })
  standin.admin.mark({ path: 'x', mark: 'hidden' })
  const { names, rest } = await page(0, 3)
  t.equal(names, 'y')
  t.match(rest, { hide_dir_count: 1, hide_file_count: 1, total_dir_count: 1, total_file_count: 3 })
  t.match(await page(3, 3), { names: 'bcd', finished: true, rest: { hide_file_count: 0 } })
  standin.admin.mark({ path: 'a', mark: '' })
  t.match(await page(0, 3), { names: 'ya' })

  standin.admin.mark({ path: 'b', mark: 'document' })
  const { file_list } = await client.list()
  const marked = file_list.filter((file: Json) => file.ext_info.is_tencent_docs === true)
  t.same(
    marked.map((file: Json) => file.filename),
    ['b'],
  )
})

t.test('listings that are refused, each with its own code', async (t) => {
  const { client } = await withWebapp(t)
  const dir = await client.mkdir('d')
  const ret = async (more: Record<string, unknown>) =>
    (
      await client.command('DiskDirList', {
        dir_key: dir.key,
        get_type: 0,
        start: 0,
        count: 100,
        sort_field: 2,
        reverse_order: false,
        ...more,
      })
    ).ret
  t.equal(await ret({}), 0)
  t.equal(await ret({ pdir_key: client.main.key }), 0)
  t.equal(await ret({ pdir_key: '' }), 0)
  t.equal(await ret({ dir_key: absentKey(client) }), 1019)
  t.equal(await ret({ pdir_key: dir.key }), 1026)
  t.equal(await ret({ dir_key: client.root }), 1060)
  t.equal(await ret({ dir_key: 'short' }), 199003)
  t.equal(await ret({ dir_key: `ffffffff${dir.key.slice(8)}` }), 199014)
  t.equal(await ret({ count: 501 }), 199012)
  t.equal(await ret({ count: 0 }), 190013)
  t.equal(await ret({ sort_field: 0 }), 190013)
  t.equal(await ret({ get_type: 3 }), 190013)
  t.equal(await ret({ start: '0' }), 190204)
  t.equal(await ret({ reverse_order: undefined }), 190203)
  t.equal(await ret({ surprise: 1 }), 190013)
})

t.test('several directories at once, each with its own code', async (t) => {
  const { client } = await withWebapp(t)
  const dirs = [await client.mkdir('a'), await client.mkdir('b')]
  await client.upload('f', bytes('f'), { dir: dirs[1] as Dir })
  const asked = (dir_key: string) => ({
    dir_key,
    get_type: 0,
    start: 0,
    count: 100,
    sort_field: 2,
    reverse_order: false,
    get_abstract_url: false,
    get_dir_detail_info: false,
  })
  const keys = [...dirs.map(({ key }) => key), absentKey(client)]
  const { dir_list } = await client.run('DiskDirBatchList', { dir_list: keys.map(asked) })
  t.match(dir_list, [
    { dir_key: keys[0], retcode: 0, finish_flag: true },
    { dir_key: keys[1], retcode: 0, file_list: [{ filename: 'f' }] },
    { dir_key: keys[2], retcode: 1019 },
  ])
  const within = await client.run('DiskDirBatchList', {
    pdir_key: dirs[0]?.key,
    dir_list: [asked(keys[1] as string)],
  })
  t.match(within.dir_list, [{ retcode: 1026 }], 'the common pdir_key is judged too')
  const ret = async (list: object[]) =>
    (await client.command('DiskDirBatchList', { dir_list: list })).ret
  const { get_abstract_url: _, get_dir_detail_info: __, ...least } = asked(client.main.key)
  t.equal(await ret([least]), 0, 'what may be left out for one may be here too')
  t.equal(await ret([{ ...least, reverse_order: undefined }]), 190203)
  t.equal(await ret([]), 1085)
  t.equal(await ret(Array(11).fill(asked(client.main.key))), 190064)
})

t.test('the path of a directory, from the main directory down', async (t) => {
  const { client } = await withWebapp(t)
  const a = await client.mkdir('a')
  const b = await client.mkdir('b', a)
  const { items } = await client.run('LibDirPathGet', { dir_key: b.key })
  t.match(items, [
    { dir_key: client.main.key, pdir_key: client.root, dir_name: '微云' },
    { dir_key: a.key, pdir_key: client.main.key, dir_name: 'a' },
    { dir_key: b.key, pdir_key: a.key, dir_name: 'b' },
  ])
  t.notOk((await client.run('LibDirPathGet', { dir_key: client.root })).items)
  t.equal((await client.command('LibDirPathGet', { dir_key: absentKey(client) })).ret, 1019)
})

t.test('making directories', async (t) => {
  const { client } = await withWebapp(t)
  const create = (name: string, more: object = {}, dir: Dir = client.main) =>
    client.command('DiskDirCreate', {
      ...place(dir),
      dir_name: name,
      file_exist_option: 2,
      create_type: 1,
      ...more,
    })
  const made = await create('.git.')
  t.match(made.body, { dir_name: '.git.', pdir_key: client.main.key }, 'dots stay')
  t.equal((await create('.git.')).ret, 1051)
  const again = await create('.git.', { file_exist_option: 1 })
  t.match(again, { ret: 0, body: { dir_key: made.body.dir_key } })
  t.equal((await create('x', { ext_info: { batch_id: '' }, ppdir_key: '' })).ret, 0)
  for (const name of ['', '.', '..', 'a/b', ...'\\:*?"<>|']) {
    t.equal((await create(name)).ret, 1088, JSON.stringify(name))
  }
  t.equal((await create('字'.repeat(255))).ret, 0)
  t.equal((await create('字'.repeat(256))).ret, 1080)
  t.equal((await create('y', {}, { key: client.root, parentKey: client.root })).ret, 1116)
  t.equal((await create('y', { ppdir_key: made.body.dir_key })).ret, 1026)
  t.equal((await create('y', { dir_name: 1 })).ret, 190204)
})

t.test('renaming files and directories', async (t) => {
  const { client } = await withWebapp(t)
  const dir = await client.mkdir('d')
  const { common_upload_rsp: file } = await client.upload('a', bytes('a'), { dir })
  await client.upload('taken', bytes('b'), { dir })
  const renameFile = async (filename: string) =>
    (
      await client.command('DiskFileRename', {
        ...place(dir),
        file_id: file.file_id,
        filename,
        src_filename: 'a',
      })
    ).ret
  t.equal(await renameFile('.b.'), 0)
  t.same(await client.names(dir), ['.b.', 'taken'])
  t.equal(await renameFile('taken'), 1051)
  t.equal(await renameFile('.b.'), 1122)
  t.equal(await renameFile('a:b'), 1088)

  const renameDir = async (key: string, dst_dir_name: string) =>
    (
      await client.command('DiskDirAttrModify', {
        ppdir_key: client.main.parentKey,
        pdir_key: client.main.key,
        dir_key: key,
        dst_dir_name,
        src_dir_name: 'd',
      })
    ).ret
  t.equal(await renameDir(dir.key, 'e'), 0)
  t.same(await client.names(), ['e'])
  t.equal(await renameDir(absentKey(client), 'f'), 1019)
  t.equal(await renameDir(client.root, 'f'), 1061)
})

t.test('moving: many at once, each with its own code, and a clash that is not told', async (t) => {
  const { client } = await withWebapp(t)
  const [from, to] = [await client.mkdir('from'), await client.mkdir('to')]
  const inner = await client.mkdir('inner', from)
  const { common_upload_rsp: a } = await client.upload('a.txt', bytes('1'), { dir: from })
  await client.upload('a.txt', bytes('2'), { dir: to })
  const lists = {
    dir_list: [dirItem(inner, 'inner', from.parentKey)],
    file_list: [fileItem(a.file_id, 'a.txt', from), fileItem(ABSENT_FILE, 'gone', from)],
  }
  const { body, ret } = await client.command('DiskDirFileBatchMove', move(from, to, lists))
  t.equal(ret, 0)
  t.match(body.dir_list, [{ dir_key: inner.key, retcode: 0, retmsg: '' }])
  t.match(body.file_list, [
    { file_id: a.file_id, retcode: 0 },
    { file_id: ABSENT_FILE, retcode: 1020 },
  ])
  t.notMatch(JSON.stringify(body), 'filename', 'the new name is not told')
  t.notOk((await client.names(from)).length)
  const [, first, second, ...rest] = await client.names(to)
  t.equal(first, 'a.txt')
  t.match(second, /^a\d{4}-\d+-\d+ \d+\.\d+\.\d+\.txt$/)
  t.same(rest, [])

  const single = async (source: Dir, target: Dir, item: object) => {
    const outcome = await client.command(
      'DiskDirFileBatchMove',
      move(source, target, { dir_list: [item], file_list: [] }),
    )
    return outcome.ret || outcome.body.dir_list[0].retcode
  }
  const moved = { key: inner.key, parentKey: to.key }
  t.equal(await single(to, to, dirItem(moved, 'inner')), 1111)
  t.equal(await single(client.main, moved, dirItem(to, 'to')), 190013, 'below itself')
  t.equal(await single(to, { key: client.root, parentKey: '' }, dirItem(moved, 'inner')), 1112)
  const nowhere = { key: absentKey(client), parentKey: '' }
  t.equal(await single(to, nowhere, dirItem(moved, 'inner')), 1119)
  t.equal(await single(nowhere, to, { ...dirItem(moved, 'inner'), pdir_key: nowhere.key }), 1121)
  t.equal(await single(from, to, dirItem(moved, 'inner')), 190013, 'not of the source')
  t.equal((await client.command('DiskDirFileBatchMove', move(from, to, {}))).ret, 1085)
})

t.test('deleting, restoring, purging', async (t) => {
  const { standin, client } = await withWebapp(t)
  const dir = await client.mkdir('d')
  const { common_upload_rsp: inside } = await client.upload('in', bytes('1'), { dir })
  const { common_upload_rsp: a } = await client.upload('a', bytes('22'))
  const remove = (lists: object) => client.command('DiskDirFileBatchDeleteEx', lists)

  const mixed = await remove({
    dir_list: [dirItem(dir, 'd', client.root)],
    file_list: [fileItem(a.file_id, 'a', client.main), fileItem(ABSENT_FILE, 'x', client.main)],
  })
  t.match(mixed.body, {
    dir_list: [{ dir_key: dir.key, retcode: 0 }],
    file_list: [
      { file_id: a.file_id, retcode: 0 },
      { file_id: ABSENT_FILE, retcode: 1020 },
    ],
    freed_space: '0',
  })
  t.same(await client.names(), [])
  const again = await remove({ dir_list: [dirItem(dir, 'd')] })
  t.match(again.body.dir_list, [{ retcode: 1019 }])
  const orphan = await remove({ file_list: [fileItem(inside.file_id, 'in', dir)] })
  t.match(orphan.body.file_list, [{ retcode: 1026 }])

  const page = { start: 0, count: 100, sort_field: 2, reverse_order: false }
  const bin = await client.run('DiskRecycleList', page)
  t.match(bin, {
    dir_list: [{ recycle_dir_key: dir.key, recycle_dir_name: 'd' }],
    file_list: [{ recycle_file_id: a.file_id, recycle_filename: 'a', file_size: 2 }],
    finish_flag: true,
  })
  const nowhere = { dst_ppdir_key: '', dst_pdir_key: '' }
  const dirBack = { recycle_dir_key: dir.key, recycle_dir_name: 'd' }
  const back = { ...nowhere, dir_list: [dirBack] }
  t.match(await client.run('DiskRecycleDirFileBatchRestore', back), { dir_list: [{ retcode: 0 }] })
  t.same(await client.names(dir), ['in'])
  t.match(await client.run('DiskRecycleDirFileBatchRestore', back), {
    dir_list: [{ retcode: 1019 }],
  })
  const elsewhere = {
    dst_ppdir_key: client.main.key,
    dst_pdir_key: dir.key,
    file_list: [{ recycle_file_id: a.file_id, recycle_filename: 'a' }],
  }
  await client.run('DiskRecycleDirFileBatchRestore', elsewhere)
  t.same(await client.names(dir), ['a', 'in'])

  await remove({ file_list: [fileItem(a.file_id, 'a', dir)] })
  const purge = { file_list: [{ file_id: a.file_id, filename: 'a' }] }
  t.match(await client.run('DiskRecycleDirFileClear', purge), { file_list: [{ retcode: 0 }] })
  t.match(await client.run('DiskRecycleDirFileClear', purge), { file_list: [{ retcode: 1020 }] })
  const completely = { dir_list: [dirItem(dir, 'd')], delete_completely: true }
  t.match((await remove(completely)).body, { dir_list: [{ retcode: 0 }], freed_space: '1' })
  t.match(await client.run('DiskRecycleList', page), { total_dir_count: 0, total_file_count: 0 })
  t.equal(standin.admin.snapshot().accounts[0]?.usedSpace, 0)
})

t.test('a batch goes up to the limits of the account', async (t) => {
  const { standin, client } = await withWebapp(t)
  standin.admin.setLimits({ batchDeleteFilesMax: 2, batchMoveDirsMax: 1 })
  const item = fileItem(ABSENT_FILE, 'x', client.main)
  const remove = async (file_list: object[]) =>
    (await client.command('DiskDirFileBatchDeleteEx', { file_list })).ret
  t.equal(await remove([item, item]), 0)
  t.equal(await remove([item, item, item]), 190064)
  const dir = dirItem(await client.mkdir('d'), 'd')
  const both = move(client.main, client.main, { dir_list: [dir, dir] })
  t.equal((await client.command('DiskDirFileBatchMove', both)).ret, 190064)
})
