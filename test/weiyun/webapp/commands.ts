// Every webapp command as it goes over the wire, and what is made of its replies. The expected
// bytes are those of the protocol notes (webapp 2, 5, 6 and Appendix).
import t from 'tap'
import type { FileRef, RemoveItem } from '../../../src/weiyun/index.ts'
import { reset, type Seen } from '../../fixtures/fake-service.ts'
import {
  accountBody,
  CMD,
  dirItem,
  fileItem,
  gateway,
  json,
  listing,
  MAIN,
  MAIN_KEY,
  ROOT_KEY,
  SESSION,
  SUB,
  sent,
  withFakeWebapp,
} from '../../fixtures/fake-webapp.ts'

const FILE = { kind: 'file', id: 'an-id', version: '17', name: 'a.txt', size: 5 } as const
const FILE_ITEM: RemoveItem = { dir: SUB, entry: FILE }
const DIR_ITEM: RemoveItem = { dir: MAIN, entry: { kind: 'dir', key: SUB.key, name: 'photos' } }
const IN_SUB = { ppdir_key: MAIN_KEY, pdir_key: SUB.key }
const IN_MAIN = { ppdir_key: ROOT_KEY, pdir_key: MAIN_KEY }

t.test('the envelope', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  await drive.account()
  await drive.account()
  const [seen, second] = service.seen
  if (seen === undefined || second === undefined) throw new Error('two requests')
  t.equal(seen.method, 'POST')
  t.equal(seen.path, '/webapp/json/weiyunQdiskClient/DiskUserInfoGet')
  t.strictSame(Object.fromEntries(seen.query), { g_tk: '1234567890', cmd: '2201' })
  t.match(seen.headers, {
    'content-type': 'application/json',
    origin: 'https://www.weiyun.com',
    referer: 'https://www.weiyun.com/disk',
    'user-agent': /^Mozilla/,
    cookie: SESSION.cookies,
  })
  const { header, head, key, body } = sent(seen)
  const { seq, ...rest } = header
  t.strictSame(rest, {
    type: 1,
    cmd: 2201,
    appid: 30013,
    version: 3,
    major_version: 3,
    minor_version: 3,
    fix_version: 3,
    wx_openid: '',
    qq_openid: '',
    user_flag: 0,
    env_id: '',
  })
  t.ok(Number.isSafeInteger(seq) && seq < sent(second).header.seq, 'it grows')
  t.strictSame(head, {
    token_info: { token_type: 0, login_key_type: 27, login_key_value: 'PSKEY' },
    language_info: { language_type: 2052 },
  })
  t.equal(key, '.weiyun.DiskUserInfoGetMsgReq_body', 'with a dot in front')
  t.strictSame(body, {})
})

t.test('the account', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  t.match(await drive.account(), {
    uin: '10001',
    nickname: 'Seppe',
    mainDir: MAIN,
    quota: { total: 12094627905536, used: 3443007169 },
    limits: {
      batchDeleteDirsMax: 20,
      batchDeleteFilesMax: 100,
      nameLengthMax: 200,
      depthMax: 30,
      dirEntriesMax: 50000,
      fileSizeMax: 34359738368,
    },
  })
  service.on(CMD.account, json(accountBody({ main_dir_key: '' })))
  await t.rejects(drive.account(), { code: 'FORBIDDEN', message: /no Weiyun drive/ })
  service.on(CMD.account, json({}, 1016))
  await t.rejects(drive.account(), { code: 'FORBIDDEN', message: /no Weiyun drive/ })
  service.on(CMD.account, json(accountBody({ used_space: undefined })))
  await t.rejects(drive.account(), { code: 'BAD_REPLY', message: /used_space/ })
})

t.test('a listing', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const unfinished = fileItem({ file_id: 'half', file_cursize: 3 })
  const online = {
    file_id: 'doc',
    filename: 'd',
    file_size: -1,
    ext_info: { is_tencent_docs: true },
  }
  service.on(CMD.list, listing([fileItem(), unfinished, online], [dirItem()]))
  const got = await drive.list(SUB)
  const seen = service.only(CMD.list)
  t.equal(seen.path, '/webapp/json/weiyunQdisk/DiskDirList')
  t.strictSame(sent(seen).body, {
    pdir_key: MAIN_KEY,
    dir_key: SUB.key,
    get_type: 0,
    start: 0,
    count: 500,
    sort_field: 1,
    reverse_order: false,
    get_abstract_url: false,
    get_dir_detail_info: false,
  })
  const file = {
    kind: 'file',
    id: 'an-id',
    version: '17',
    name: 'a.txt',
    size: 5,
    sha1: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
    md5: '5d41402abc4b2a76b9719d911017c592',
    ctimeMs: 1700000000000,
    mtimeMs: 1700000000001,
    complete: true,
  }
  const times = { ctimeMs: 1700000000000, mtimeMs: 1700000000001 }
  t.strictSame(got !== 'unchanged' && got.entries, [
    { kind: 'dir', key: SUB.key, name: 'photos', ...times },
    file,
    { ...file, id: 'half', complete: false },
  ])
})

t.test('a listing in pages', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const item = (n: number) => fileItem({ file_id: `id${n}`, filename: `${n}` })
  const rest = { total_file_count: 4, total_dir_count: 0, finish_flag: false }
  service.on(
    CMD.list,
    listing([item(1), item(2)], [], { ...rest, hide_file_count: 1, hide_dir_count: '2' }),
    listing([item(2), item(3)], [], rest),
    listing([item(4)], [], { ...rest, finish_flag: true }),
  )
  const got = await drive.list(MAIN)
  t.strictSame(
    got === 'unchanged' ? got : got.entries.map(({ name }) => name),
    ['1', '2', '3', '4'],
    'each once',
  )
  t.strictSame(
    service.seen.map((seen) => sent(seen).body.start),
    [0, 5, 7],
    'hidden ones count for where a page starts',
  )
})

t.test('a listing that ends with an empty page', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const open = { finish_flag: undefined, total_file_count: undefined, total_dir_count: undefined }
  service.on(CMD.list, listing([fileItem()], [], open), json({ file_list: null, dir_list: null }))
  t.match(await drive.list(MAIN), { entries: [{ name: 'a.txt' }] })
})

t.test('a directory that changes while it is listed', async (t) => {
  const item = (n: number) => fileItem({ file_id: `id${n}`, filename: `${n}` })
  const page = (numbers: number[], total: number, isLast: boolean) =>
    listing(numbers.map(item), [], { total_file_count: total, finish_flag: isLast })

  t.test('something slipped away: asked anew', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    // 1 went after the first page, so that 3 moved up into it, unseen.
    service.on(
      CMD.list,
      page([1, 2], 4, false),
      page([4], 3, true),
      page([2, 3], 3, false),
      page([4], 3, true),
    )
    t.match(await drive.list(MAIN), { entries: [{ name: '2' }, { name: '3' }, { name: '4' }] })
    t.equal(service.seen.length, 4)
  })

  t.test('something was added, and all was seen', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service.on(CMD.list, page([1, 2], 3, false), page([2, 3, 4], 4, true))
    t.match(await drive.list(MAIN), { entries: { length: 4 } })
    t.equal(service.seen.length, 2)
  })

  t.test('a service that gives the same page for ever', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service.on(CMD.list, page([1, 2], 9, false))
    await t.rejects(drive.list(MAIN, { priority: 'background' }), { code: 'SERVER' })
  })
})

t.test('a broken entry does not hide its directory', async (t) => {
  const { service, drive, logged } = await withFakeWebapp(t)
  const names = async () => {
    const got = await drive.list(MAIN)
    return got === 'unchanged' ? got : got.entries.map(({ name }) => name)
  }
  const rest = { total_file_count: 4, total_dir_count: 1, finish_flag: false }
  const secret = { file_id: undefined, filename: 'my-diary' }
  service.on(
    CMD.list,
    listing([fileItem(secret), fileItem()], [dirItem({ dir_name: '' })], rest),
    listing([fileItem({ file_id: 'b', filename: '' })], [], rest),
    listing([fileItem({ file_id: 'c', filename: 'c' })], [], { ...rest, finish_flag: true }),
  )
  t.strictSame(await names(), ['a.txt', 'c'])
  t.strictSame(
    service.seen.map((seen) => sent(seen).body.start),
    [0, 3, 4],
    'it counts for where a page starts',
  )
  t.match(
    logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 40),
    [
      { count: 2, failed: /dir_name/ },
      { count: 1, failed: /filename/ },
    ],
  )
  t.notMatch(logged.join('\n'), /diary/)

  service.on(CMD.list, listing([fileItem({ filename: '' })]))
  t.strictSame(await names(), [], 'all that is there has no name')
  service.on(CMD.list, listing([fileItem(secret)], [dirItem()]))
  await t.rejects(drive.list(MAIN), { code: 'BAD_REPLY' }, 'no file can be read: another protocol')
})

t.test('numbers that a double does not hold are not rounded', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const numbers = '"file_id":12345678901234567891,"file_version":-9007199254740993'
  const rest = '"filename":"n\\": 9007199254740993","file_mtime":1700000000000'
  const page = (size: string) => {
    const body = `{"RspMsg_body":{"file_list":[{${numbers},${rest},"file_size":${size}}]}}`
    return { body: `{"data":{"rsp_header":{"retcode":0},"rsp_body":${body}}}` }
  }
  service.on(CMD.list, page('9007199254740991'), json({ finish_flag: true }))
  t.match(await drive.list(MAIN), {
    entries: [
      {
        id: '12345678901234567891',
        version: '-9007199254740993',
        name: 'n": 9007199254740993',
        size: Number.MAX_SAFE_INTEGER,
        mtimeMs: 1700000000000,
      },
    ],
  })
  for (const size of ['9007199254740993', '"9007199254740993"', '5.5']) {
    service.on(CMD.list, page(size))
    await t.rejects(drive.list(MAIN), { code: 'BAD_REPLY', message: /file_size/ }, size)
  }
})

t.test('replies that are no listing', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  for (const reply of [json({}), json({ file_list: 'none' }), json({ file_list: [{}] })]) {
    service.on(CMD.list, reply)
    await t.rejects(drive.list(MAIN), { code: 'BAD_REPLY' })
  }
  for (const body of ['[]', '{}', '{"data":{}}', '{"ret":"no"}', 'null', '<html>busy</html>']) {
    service.on(CMD.list, { body })
    await t.rejects(drive.list(MAIN), { code: 'BAD_REPLY' }, body)
  }
  service.on(CMD.list, gateway(1019))
  await t.rejects(drive.list(MAIN), { code: 'NOT_FOUND', ret: 1019 }, 'no data at all')
  service.on(CMD.list, { body: JSON.stringify({ ret: 0, msg: '', data: null }) })
  await t.rejects(drive.list(MAIN), { code: 'BAD_REPLY' }, 'success without data')
})

t.test('making a directory', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const made = { ...dirItem({ dir_name: 'new' }), pdir_key: MAIN_KEY }
  service.on(CMD.makeDir, json(made))
  t.match(await drive.makeDir(MAIN, 'new'), { kind: 'dir', key: SUB.key, name: 'new' })
  const seen = service.only(CMD.makeDir)
  t.equal(seen.path, '/webapp/json/weiyunQdiskClient/DiskDirCreate')
  t.strictSame(sent(seen).body, {
    ...IN_MAIN,
    dir_name: 'new',
    file_exist_option: 2,
    create_type: 1,
  })
  service.on(CMD.makeDir, json({}, 1051))
  await t.rejects(drive.makeDir(MAIN, 'new'), { code: 'EXISTS' })

  t.test('that the service renamed', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service
      .on(CMD.makeDir, json(dirItem({ dir_key: 'made', dir_name: 'new(1)' })))
      .on(CMD.list, listing([], [dirItem({ dir_key: 'made', dir_name: 'new(1)' })]))
      .on(CMD.remove, json({ dir_list: [{ dir_key: 'made', retcode: 0 }] }))
    t.match(await drive.makeDir(MAIN, 'new'), { name: 'new(1)' }, 'nobody has the name asked for')
    service.on(CMD.list, listing([], [dirItem({ dir_name: 'new' })]))
    await t.rejects(drive.makeDir(MAIN, 'new'), { code: 'EXISTS' })
    t.strictSame(sent(service.only(CMD.remove)).body, {
      dir_list: [{ ...IN_MAIN, dir_key: 'made', dir_name: 'new(1)' }],
    })
  })

  t.test('with a lost reply', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service.on(CMD.makeDir, reset).on(CMD.list, listing([], [dirItem({ dir_name: 'new' })]))
    t.match(await drive.makeDir(MAIN, 'new'), { key: SUB.key })
    t.strictSame(service.names, [CMD.makeDir, CMD.list])
  })

  t.test('without a key in the reply', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service.on(CMD.makeDir, json({})).on(CMD.list, listing([], [dirItem({ dir_name: 'new' })]))
    t.match(await drive.makeDir(MAIN, 'new'), { key: SUB.key })
    service.on(CMD.list, listing())
    await t.rejects(drive.makeDir(MAIN, 'new'), { code: 'BAD_REPLY' })
  })
})

t.test('removing', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  service
    .on(CMD.list, listing([fileItem()]), listing([]))
    .on(
      CMD.remove,
      json({ dir_list: [{ dir_key: SUB.key, retcode: 0 }] }),
      json({ file_list: [{ file_id: 'an-id', retcode: '1020', retmsg: '' }] }),
    )
  t.strictSame(await drive.remove([FILE_ITEM, DIR_ITEM]), [undefined, undefined])
  const [dirs, files] = service.seen.filter(({ name }) => name === CMD.remove)
  t.equal(dirs?.path, '/webapp/json/weiyunQdiskClient/DiskDirFileBatchDeleteEx')
  t.strictSame(dirs && sent(dirs).body, {
    dir_list: [{ ...IN_MAIN, dir_key: SUB.key, dir_name: 'photos' }],
  })
  t.strictSame(files && sent(files).body, {
    file_list: [{ ...IN_SUB, file_id: 'an-id', filename: 'a.txt' }],
  })

  service.on(CMD.remove, json({ dir_list: [{ dir_key: SUB.key }] }))
  t.strictSame(await drive.remove([DIR_ITEM]), [undefined], 'nothing is said against it')
  service.on(CMD.remove, json({ dir_list: [{ dir_key: SUB.key, retcode: 'busy' }] }))
  t.match(await drive.remove([DIR_ITEM]), [{ code: 'BAD_REPLY' }], 'that is no success')
})

t.test('removing another version', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  service.on(CMD.list, listing([fileItem({ file_version: '18' })]))
  t.match(await drive.remove([FILE_ITEM]), [{ code: 'STALE' }])
  service.on(CMD.list, listing([fileItem()])).on(CMD.remove, json({}))
  t.strictSame(await drive.remove([FILE_ITEM]), [undefined], 'what was seen before is not believed')
})

t.test('removing another content', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const sha1 = 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'
  const item = { dir: SUB, entry: { ...FILE, sha1 } }
  const told = (file: object) => json({ file_list: [{ file_id: FILE.id, ...file }] })
  service.on(CMD.download, told({ retcode: 0, file_sha: '0'.repeat(40) }))
  t.match(await drive.remove([item]), [{ code: 'STALE' }])
  t.strictSame(service.names, [CMD.download])
  const [asked] = service.seen
  t.strictSame(asked && sent(asked).body, {
    file_list: [{ file_id: FILE.id, pdir_key: SUB.key }],
    download_type: 0,
  })

  service.on(CMD.download, told({ retcode: '0', file_sha: sha1.toUpperCase() }))
  service.on(CMD.remove, json({}))
  t.strictSame(await drive.remove([item]), [undefined], 'the version may be another')
  service.on(CMD.download, told({ retcode: 1020 })).on(CMD.remove, json({}))
  t.strictSame(await drive.remove([item]), [undefined], 'that it is gone, the command may say')

  const changed = listing([fileItem({ file_sha: '0'.repeat(40) })])
  for (const answer of [
    told({ retcode: 1052 }),
    told({ retcode: 0 }),
    json({}),
    json({}, 190049),
  ]) {
    service.on(CMD.download, answer).on(CMD.list, changed)
    t.match(await drive.remove([item]), [{ code: 'STALE' }], 'the listing tells')
  }
  t.equal(service.names.filter((name) => name === CMD.list).length, 4, 'and nothing else')
})

t.test('removing where nobody can look, or nothing is left', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  service.on(CMD.list, json({}, 190049))
  t.match(await drive.remove([FILE_ITEM]), [{ code: 'BLOCKED_CONTENT' }])
  service.on(CMD.list, json({}, 1019)).on(CMD.remove, json({}, 1019))
  t.match(await drive.remove([FILE_ITEM]), [{ code: 'NOT_FOUND' }], 'its directory is not there')
  service.on(CMD.list, listing([]))
  t.strictSame(await drive.remove([FILE_ITEM]), [undefined])
  service.on(CMD.list, listing([fileItem()]))
  t.match(await drive.remove([FILE_ITEM]), [{ code: 'NOT_FOUND' }], 'there all the same')
  t.strictSame(await drive.remove([]), [])
})

t.test('removing very many: each soon after it was looked at', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const sha1 = 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'
  const files = Array.from({ length: 100 }, (_, n) => ({ ...FILE, id: `id${n}`, sha1 }))
  const answer = (seen: Seen) => {
    const items: { file_id: string }[] = sent(seen).body.file_list
    return json({ file_list: items.map((item) => ({ ...item, retcode: 0, file_sha: sha1 })) })
  }
  service.on(CMD.download, answer).on(CMD.remove, answer)
  const errors = await drive.remove(files.map((entry) => ({ dir: SUB, entry })))
  t.ok(errors.every((error) => error === undefined))
  t.equal(service.names.length, 20)
  let looks = 0
  for (const name of service.names) {
    looks += name === CMD.download ? 1 : -1
    t.ok(looks <= 4)
  }
})

t.test('removing many', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const files = Array.from({ length: 25 }, (_, n) => ({ ...FILE, id: `id${n}` }))
  service
    .on(CMD.list, listing(files.map(({ id }) => fileItem({ file_id: id }))))
    .on(CMD.remove, (seen) => {
      const items: { file_id: string }[] = sent(seen).body.file_list
      const retcode = (id: string) => (id === 'id13' ? 1054 : 0)
      return json({
        file_list: items
          .toReversed()
          .map(({ file_id }) => ({ file_id, retcode: retcode(file_id) })),
      })
    })
  const errors = await drive.remove(files.map((entry) => ({ dir: SUB, entry })))
  t.strictSame(
    errors.flatMap((error, n) => (error === undefined ? [] : [n])),
    [13],
    'results go by id, not by place',
  )
  t.match(errors[13], { code: 'FORBIDDEN', ret: 1054 })
  const batches = service.seen.filter(({ name }) => name === CMD.remove)
  t.strictSame(batches.map((seen) => sent(seen).body.file_list.length).toSorted(), [10, 10, 5])
  service.on(CMD.remove, json({ file_list: [{ file_id: 'id0', retcode: 0 }] }))
  t.match(await drive.remove(files.slice(0, 2).map((entry) => ({ dir: SUB, entry }))), [
    { code: 'BAD_REPLY' },
    { code: 'BAD_REPLY' },
  ])
})

t.test('renaming', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  service.on(CMD.renameFile, json({})).on(CMD.renameDir, json({}))
  await drive.move(FILE_ITEM, SUB, 'b.txt')
  await drive.move(DIR_ITEM, MAIN, 'pictures')
  await drive.move(FILE_ITEM, SUB, 'a.txt')
  const [file, dir, ...more] = service.seen
  t.strictSame(more, [], 'nothing to do for the same name')
  t.equal(file?.path, '/webapp/json/weiyunQdiskClient/DiskFileRename')
  t.strictSame(file && sent(file).body, {
    ...IN_SUB,
    file_id: 'an-id',
    filename: 'b.txt',
    src_filename: 'a.txt',
  })
  t.equal(dir?.path, '/webapp/json/weiyunQdiskClient/DiskDirAttrModify')
  t.strictSame(dir && sent(dir).body, {
    ...IN_MAIN,
    dir_key: SUB.key,
    dst_dir_name: 'pictures',
    src_dir_name: 'photos',
  })
  service.on(CMD.renameFile, json({}, 1122))
  await drive.move(FILE_ITEM, SUB, 'b.txt')
})

t.test('renaming onto a taken name', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const other = fileItem({ file_id: 'other', filename: 'b.txt' })
  service.on(CMD.renameFile, json({}, 1051)).on(CMD.list, listing([fileItem(), other]))
  await t.rejects(drive.move(FILE_ITEM, SUB, 'b.txt'), { code: 'EXISTS' })
  // The reply to the first attempt was lost, and its work is in the way of the second.
  service
    .on(CMD.renameFile, reset, json({}, 1051))
    .on(CMD.list, listing([fileItem()]), listing([fileItem({ filename: 'b.txt' })]))
  await drive.move(FILE_ITEM, SUB, 'b.txt')
})

t.test('moving', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const moved = json({ file_list: [{ file_id: 'an-id', retcode: 0 }] })
  service.on(CMD.move, moved).on(CMD.list, listing(), listing([fileItem()]))
  await drive.move(FILE_ITEM, MAIN, 'a.txt')
  t.strictSame(service.names, [CMD.list, CMD.move, CMD.list])
  const seen = service.only(CMD.move)
  t.equal(seen.path, '/webapp/json/weiyunQdiskClient/DiskDirFileBatchMove')
  t.strictSame(sent(seen).body, {
    src_ppdir_key: MAIN_KEY,
    src_pdir_key: SUB.key,
    dst_ppdir_key: ROOT_KEY,
    dst_pdir_key: MAIN_KEY,
    file_list: [{ ...IN_SUB, file_id: 'an-id', filename: 'a.txt' }],
  })
})

t.test('moving under another name', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const here = fileItem({ file_id: 'here' })
  // The old name is taken there, so that the service makes up one for the time between.
  service
    .on(CMD.move, json({ file_list: [{ file_id: 'an-id', retcode: 0 }] }))
    .on(CMD.list, listing([here]), listing([here, fileItem({ filename: 'a(1).txt' })]))
    .on(CMD.renameFile, json({}))
  await drive.move(FILE_ITEM, MAIN, 'b.txt')
  t.match(sent(service.only(CMD.renameFile)).body, {
    ...IN_MAIN,
    file_id: 'an-id',
    filename: 'b.txt',
    src_filename: 'a(1).txt',
  })
})

t.test('moving onto a taken name', async (t) => {
  const there = listing([fileItem({ file_id: 'other', filename: 'a.txt' })])

  t.test('seen before: nothing is sent', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service.on(CMD.list, there)
    await t.rejects(drive.move(FILE_ITEM, MAIN, 'a.txt'), { code: 'EXISTS' })
    t.notOk(service.names.includes(CMD.move))
  })

  t.test('seen afterwards', async (t) => {
    const { service, drive } = await withFakeWebapp(t)
    service
      .on(CMD.list, listing(), listing([fileItem({ filename: 'a(1).txt' })]), there)
      .on(CMD.move, json({}))
      .on(CMD.renameFile, json({}, 1051))
    await t.rejects(drive.move(FILE_ITEM, MAIN, 'a.txt'), { code: 'EXISTS' })
  })
})

t.test('moving what is not there', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  service
    .on(CMD.list, listing())
    .on(CMD.move, json({ file_list: [{ file_id: 'an-id', retcode: 1020 }] }))
  await t.rejects(drive.move(FILE_ITEM, MAIN, 'a.txt'), { code: 'NOT_FOUND', ret: 1020 })
  service.on(CMD.move, json({}))
  await t.rejects(drive.move(FILE_ITEM, MAIN, 'a.txt'), { code: 'NOT_FOUND' })
  // Moved by an attempt whose reply was lost.
  service
    .on(CMD.move, json({ file_list: [{ file_id: 'an-id', retcode: 1020 }] }))
    .on(CMD.list, listing([fileItem()]))
  await drive.move(FILE_ITEM, MAIN, 'a.txt')
})

t.test('names', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  await drive.account()
  await t.rejects(drive.makeDir(MAIN, 'x'.repeat(201)), { code: 'NAME_TOO_LONG' })
  await t.rejects(drive.move(FILE_ITEM, SUB, 'a/b'), { code: 'NAME_INVALID' })
  t.strictSame(service.names, [CMD.account])
})

t.test('reading', async (t) => {
  const { service, drive } = await withFakeWebapp(t)
  const address = (changes: object = {}) =>
    json({
      file_list: [
        {
          retcode: 0,
          file_id: 'an-id',
          file_sha: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
          cookie_name: 'FTN5K',
          cookie_value: 'abcd',
          download_url: `${service.url}/ftn/secret-path?k=1`,
          https_download_url: 'https://127.0.0.1:1/ftn/secret-path?k=1',
          ...changes,
        },
      ],
    })
  const read = async (file: FileRef = FILE, offset = 1, length = 3) => {
    const parts: Buffer[] = []
    for await (const part of drive.read(SUB, file, offset, length)) parts.push(part)
    return Buffer.concat(parts).toString()
  }
  const bytes = {
    status: 206,
    body: 'ell',
    headers: { 'content-range': 'bytes 1-3/5' },
  }
  service.on(CMD.download, address()).on('/ftn/secret-path', bytes)
  t.equal(await read(), 'ell')
  t.equal(await read(), 'ell')
  t.strictSame(service.names, [CMD.download, '/ftn/secret-path', '/ftn/secret-path'])
  t.strictSame(sent(service.only(CMD.download)).body, {
    file_list: [{ file_id: 'an-id', pdir_key: SUB.key }],
    download_type: 0,
  })
  const headers = service.seen[1]?.headers
  t.equal(headers?.cookie, 'FTN5K=abcd', 'that cookie and no other')
  t.equal(headers?.range, 'bytes=1-3')

  t.test('a refused address is renewed once', async (t) => {
    service.on('/ftn/secret-path', { status: 403 }, bytes)
    t.equal(await read(), 'ell')
    service.on('/ftn/secret-path', { status: 403 })
    await t.rejects(read(), { code: 'REFUSED' })
  })

  t.test('refusals', async (t) => {
    const fresh = (n: number): FileRef => ({ ...FILE, id: `fresh${n}` })
    service.on(CMD.download, address({ retcode: 190049 }))
    await t.rejects(read(fresh(1)), { code: 'BLOCKED_CONTENT' })
    service.on(CMD.download, address({ retcode: '1020' }))
    await t.rejects(read(fresh(2)), { code: 'NOT_FOUND' })
    for (const reply of [json({}), address({ retcode: 'busy' })]) {
      service.on(CMD.download, reply)
      await t.rejects(read(fresh(3)), { code: 'BAD_REPLY' })
    }
    service.on(CMD.download, address({ download_url: '', https_download_url: '' }))
    await t.rejects(read(fresh(4)), { code: 'BAD_REPLY' })
    service.on(CMD.download, address({ cookie_value: 'a\r\nb: c' }))
    await t.rejects(read(fresh(5)), { code: 'BAD_REPLY' })
    service.on(CMD.download, address({ download_url: 'https://example.com/x' }))
    await t.rejects(read(fresh(6)), { code: 'BAD_REPLY' }, 'off this machine')
    service.on(CMD.download, address())
    await t.rejects(read({ ...fresh(7), sha1: '0'.repeat(40) }), { code: 'STALE' })
    await t.rejects(read(FILE, 3, 3), { code: 'INVALID' }, 'past the end')
  })
})

t.test('nothing secret in the log or in errors', async (t) => {
  const { service, drive, logged } = await withFakeWebapp(t)
  service.on(CMD.list, gateway(190041)).on(CMD.renameFile, reset)
  const errors = await Promise.allSettled([
    drive.list(MAIN, { priority: 'background' }),
    drive.move(FILE_ITEM, SUB, 'b', { priority: 'background' }),
  ])
  const text = JSON.stringify(logged) + errors.map((one) => JSON.stringify(one)).join()
  t.match(text, /DiskDirList/)
  for (const secret of ['PSKEY', '@sk', '1234567890']) t.notOk(text.includes(secret), secret)
})
