// Every command as it goes over the wire, and what is made of its replies. The expected bytes are
// those of the protocol notes (classic 2 to 4; newcgi, Appendix A).
import t from 'tap'
import type { ItemError, RemoveItem } from '../../../src/weiyun/index.ts'
import {
  accountBody,
  fileItem,
  G_TK,
  jsonp,
  listing,
  MAIN,
  MAIN_KEY,
  ROOT_KEY,
  type Seen,
  SUB,
  TOKEN,
  withFakeDrive,
} from '../../fixtures/fake-service.ts'

const COOKIES = [
  'pgv_info=ssid=s9869263628',
  'pgv_pvid=4842874884',
  'ptui_loginuin=someone@example.com',
  'pt2gguin=o2956912470',
  'uin=o2956912470',
  'skey=@Zx9Qw3Er7',
  'ptisp=os',
  'ptcz=ptcz-value',
].join('; ')

const FILE: RemoveItem = {
  dir: SUB,
  entry: { kind: 'file', id: 'an-id', version: '7', name: 'a b+c&d.txt', size: 5 },
}
const DIR: RemoveItem = { dir: MAIN, entry: { kind: 'dir', key: SUB.key, name: 'Music' } }

function sentData(seen: Seen) {
  return JSON.parse(seen.query.get('data') ?? '')
}

t.test('the envelope', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  await drive.account()
  const seen = service.only('query_user')
  t.equal(seen.method, 'GET')
  t.equal(seen.path, '/wy_web_jsonp.fcg')
  t.strictSame([...seen.query.keys()], ['cmd', 'g_tk', 'callback', 'data', '_'])
  t.equal(seen.query.get('g_tk'), G_TK)
  t.match(seen.query.get('_'), /^\d{13}$/)
  t.strictSame(sentData(seen), {
    req_header: {
      cmd: 'query_user',
      main_v: 11,
      proto_ver: 10006,
      sub_v: 1,
      encrypt: 0,
      msg_seq: 1,
      source: 30234,
      appid: 30234,
      client_ip: '127.0.0.1',
      token: TOKEN,
    },
    req_body: {},
  })
  t.equal(seen.headers.cookie, COOKIES)
  t.equal(seen.headers.referer, 'http://www.weiyun.com/disk/index-en.html')
  t.match(seen.headers['user-agent'], /^Mozilla/)
  t.notOk(seen.headers.expect)
})

t.test('a POST carries its fields twice', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('dir_create', jsonp({ dir_key: 'k' }))
  await drive.makeDir(MAIN, '微云 & co')
  const seen = service.only('dir_create')
  t.equal(seen.method, 'POST')
  t.equal(seen.headers['content-type'], 'application/x-www-form-urlencoded')
  t.strictSame([...new URLSearchParams(seen.body.toString())], [...seen.query])
  t.match(seen.query.get('callback'), /^post_callback_/)
})

t.test('request bodies', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const now = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/
  const src = { ppdir_key: MAIN_KEY, pdir_key: SUB.key }
  const move = {
    src_pdir_key: SUB.key,
    src_ppdir_key: MAIN_KEY,
    dst_pdir_key: MAIN_KEY,
    dst_ppdir_key: ROOT_KEY,
  }
  const results = { results: [{ result: 0 }] }
  service.on('get_dir_list', listing())
  for (const [cmd, act, expected, reply] of [
    [
      'get_dir_list',
      () => drive.list(SUB),
      { pdir_key: MAIN_KEY, dir_key: SUB.key, dir_mtime: '2000-01-01 01:01:01', only_dir: 0 },
      { dir_mtime: 'x' },
    ],
    [
      'dir_create',
      () => drive.makeDir(SUB, 'new'),
      { ...src, dir_attr: { dir_name: 'new', dir_note: '' } },
      { dir_key: 'k' },
    ],
    [
      'batch_file_delete',
      () => drive.remove([FILE]),
      { del_files: [{ ...src, file_id: 'an-id', file_name: 'a b+c&d.txt', file_ver: '7' }] },
      results,
    ],
    [
      'batch_folder_delete',
      () => drive.remove([DIR]),
      {
        del_folders: [
          { ppdir_key: ROOT_KEY, pdir_key: MAIN_KEY, dir_key: SUB.key, flag: 1, dir_name: 'Music' },
        ],
      },
      results,
    ],
    [
      'file_attr_mod',
      () => drive.move(FILE, SUB, 'b'),
      { ...src, file_id: 'an-id', file_attr: { file_name: 'b', file_note: '', file_mtime: now } },
      {},
    ],
    [
      'dir_attr_mod',
      () => drive.move(DIR, MAIN, 'Songs'),
      {
        ppdir_key: ROOT_KEY,
        pdir_key: MAIN_KEY,
        dir_key: SUB.key,
        dir_attr: { dir_name: 'Songs', dir_note: '' },
      },
      {},
    ],
    [
      'batch_file_move',
      () => drive.move(FILE, MAIN, FILE.entry.name),
      {
        move_files: [
          {
            file_id: 'an-id',
            ...move,
            file_attr: { file_name: 'a b+c&d.txt' },
            src_file_name: 'a b+c&d.txt',
          },
        ],
      },
      results,
    ],
    [
      'batch_folder_move',
      () => drive.move({ dir: SUB, entry: { kind: 'dir', key: 'k', name: 'd' } }, MAIN, 'd'),
      { move_folders: [{ dir_key: 'k', ...move, folder_name: 'd' }] },
      results,
    ],
  ] as const) {
    service.on(cmd, jsonp(reply))
    await act()
    const { req_body } = sentData(service.only(cmd))
    t.match(req_body, expected, cmd)
    t.strictSame(Object.keys(req_body), Object.keys(expected), `nothing else in ${cmd}`)
  }
  t.equal(service.seen.length, 8, 'one request each')
})

t.test('account: limits and quota out of text and numbers', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  t.strictSame(await drive.account(), {
    uin: '2956912470',
    nickname: 'Seppe',
    mainDir: MAIN,
    quota: { total: 12094627905536, used: 3443007169 },
    limits: {
      batchDeleteFilesMax: 50,
      batchDeleteDirsMax: 10,
      batchMoveFilesMax: 50,
      batchMoveDirsMax: 10,
      nameLengthMax: 128,
      depthMax: 25,
      dirEntriesMax: 65535,
      fileSizeMax: 2 ** 30,
      downloadsMax: 5,
      uploadsMax: 10,
      listingsMax: 3,
      retriesMax: 3,
    },
  })
  for (const [changes, fileSizeMax] of [
    [{ max_single_file_size: '4194304' }, 2 ** 31 - 1],
    [{ max_single_file_size: '0', max_fz: '1000' }, 1000],
    [{ max_fz: '999999999999', max_single_file_size: '999999999' }, 2 ** 31 - 1],
  ] as const) {
    service.on('query_user', jsonp(accountBody(changes)))
    t.equal((await drive.account()).limits.fileSizeMax, fileSizeMax, JSON.stringify(changes))
  }
})

t.test('listings in both shapes', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const times = { dir_ctime: '2014-12-29 21:54:49 374', dir_mtime: '2014-12-29 22:00:55 231' }
  const plain = fileItem({ file_attr: undefined, file_name: 'å.pdf', file_size: 4294967296 })
  service.on(
    'get_dir_list',
    jsonp({
      dir_mtime: '2015-01-02 20:30:03 000',
      dirs: [
        { dir_key: 'k1', dir_name: 'Music', dir_note: '', ...times },
        { dir_key: 'k2', dir_attr: { dir_name: '微云' }, dir_attr_bit: '0', ...times },
      ],
      files: [plain, fileItem({ file_sha: 'AAF4C61D' })],
    }),
  )
  const listed = await drive.list(SUB)
  const common = { kind: 'file', id: '0c72132f-4718-4da9-b735-bf17ce524a30', version: '1420201803' }
  const at = Date.UTC(2015, 0, 2, 12, 30, 3)
  const dirAt = {
    ctimeMs: Date.UTC(2014, 11, 29, 13, 54, 49, 374),
    mtimeMs: Date.UTC(2014, 11, 29, 14, 0, 55, 231),
  }
  t.strictSame(listed, {
    stamp: '2015-01-02 20:30:03 000',
    entries: [
      { kind: 'dir', key: 'k1', name: 'Music', ...dirAt },
      { kind: 'dir', key: 'k2', name: '微云', ...dirAt },
      {
        ...common,
        name: 'å.pdf',
        size: 4294967296,
        sha1: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
        md5: '5d41402abc4b2a76b9719d911017c592',
        ctimeMs: at,
        mtimeMs: at,
        complete: false,
      },
      {
        ...common,
        name: 'a.txt',
        size: 5,
        sha1: 'aaf4c61d',
        md5: '5d41402abc4b2a76b9719d911017c592',
        ctimeMs: at,
        mtimeMs: at,
        complete: true,
      },
    ],
  })
  service.on('get_dir_list', listing(null, null))
  t.strictSame(
    await drive.list(SUB),
    { entries: [], stamp: '2015-01-02 20:30:03 000' },
    'null lists',
  )
})

t.test('a listing that is none', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  for (const [body, why] of [
    [{}, 'no list at all'],
    [{ dirs: 'none' }, 'text for a list'],
    [{ dirs: [{ dir_name: 'no key' }] }, 'a directory without a key'],
    [{ files: [fileItem({ file_size: '-1' })] }, 'a negative size'],
    [{ files: [fileItem({ file_attr: {} })] }, 'no name'],
  ] as const) {
    service.on('get_dir_list', jsonp(body))
    await t.rejects(drive.list(SUB), { code: 'BAD_REPLY' }, why)
  }
  t.equal(service.seen.length, 10, 'each was asked for once more')
})

t.test('a broken entry does not hide its directory', async (t) => {
  const { service, drive, logged } = await withFakeDrive(t)
  const nameless = fileItem({ file_attr: { file_name: '' } })
  const dirs = [
    { dir_key: 'k', dir_name: '' },
    { dir_name: 'my-diary' },
    { dir_key: 'm', dir_name: 'm' },
  ]
  service.on('get_dir_list', listing([nameless], dirs))
  t.match(await drive.list(SUB), { entries: [{ name: 'm' }] })
  t.match(
    logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 40),
    [{ count: 3, failed: /dir_name/ }],
  )
  t.notMatch(logged.join('\n'), /diary/)
})

t.test('numbers that a double does not hold are not rounded', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const answer = (size: string) => (seen: Seen) => {
    const numbers = `"file_ver":12345678901234567891,"file_size":${size}`
    const file = `{"file_id":"i","file_name":"n",${numbers}}`
    const reply = `{"rsp_header":{"ret":0},"rsp_body":{"dirs":null,"files":[${file}]}}`
    return { body: `try{${seen.query.get('callback')}(${reply})}catch(e){};` }
  }
  service.on('get_dir_list', answer('5'))
  t.match(await drive.list(SUB), { entries: [{ version: '12345678901234567891', size: 5 }] })
  service.on('get_dir_list', answer('9007199254740993'))
  await t.rejects(drive.list(SUB), { code: 'BAD_REPLY', message: /file_size/ })
})

t.test('conditional listings', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const stamp = '2015-01-02 20:30:03 000'
  for (const ret of [1018, 1010]) {
    service.on('get_dir_list', jsonp({}, ret))
    t.equal(await drive.list(SUB, { stamp }), 'unchanged')
  }
  t.equal(sentData(service.seen[0] as Seen).req_body.dir_mtime, stamp)
})

t.test('the main directory, where its parent may not be used', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('get_dir_list', jsonp({}, 1060))
  const plain = fileItem({ file_attr: undefined, file_name: 'Amazon.pdf' })
  service.on('root_dir_list', jsonp({ dirs: [], files: [plain] }))
  const { mainDir } = await drive.account()
  const listed = await drive.list(mainDir)
  t.match(listed, { entries: [{ name: 'Amazon.pdf' }], stamp: undefined })
  t.equal(service.only('root_dir_list').path, '/weiyun_web_root_dir_list_cgi.fcg')
  await t.rejects(drive.list(SUB), { code: 'FORBIDDEN' }, 'but no other one')
})

t.test('cookies that the service changes', async (t) => {
  const changed: unknown[] = []
  const { service, drive } = await withFakeDrive(t, {
    onSession: (session) => changed.push(session),
  })
  const reply = jsonp(accountBody())
  service.on('query_user', async (seen, response) => ({
    ...(await reply(seen, response)),
    headers: {
      'set-cookie': ['skey=@changeme; Path=/; Domain=weiyun.com', 'other=1', 'ptcz=; Max-Age=0'],
    },
  }))
  await drive.account()
  await drive.account()
  t.match(changed, [{ skey: '@changeme', ptcz: 'ptcz-value' }], 'told once')
  const [first, second] = service.seen as [Seen, Seen]
  t.match(second.headers.cookie, /skey=@changeme; /)
  t.notMatch(second.headers.cookie, /other/)
  t.not(second.query.get('g_tk'), first.query.get('g_tk'))
  t.equal(second.query.get('g_tk'), '513535965')
  t.equal(sentData(second).req_header.token, '987f0e31f6306d78d97ed292868bc059')
})

t.test('results of a batch belong to items by position', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const items = ['a', 'b', 'c', 'd', 'e'].map((id) => ({
    dir: SUB,
    entry: { kind: 'file' as const, id, version: '1', name: id, size: 1 },
  }))
  const results = [0, 1058, 1020, 1054, 0].map((result) => ({ result }))
  const removeAll = (): Promise<ItemError[]> => {
    service.on('batch_file_delete', jsonp({ results }))
    return drive.remove(items)
  }
  const told = [undefined, { code: 'STALE', ret: 1058 }]
  const others = [{ code: 'FORBIDDEN' }, undefined]
  service.on('get_dir_list', listing([fileItem({ file_id: 'a' }), fileItem({ file_id: 'b' })]))
  t.match(await removeAll(), [...told, undefined, ...others], 'what is not listed is gone')
  service.on('get_dir_list', listing([fileItem({ file_id: 'c' })]))
  t.match(await removeAll(), [...told, { code: 'NOT_FOUND' }, ...others], 'or it is there')
  service.on('get_dir_list', jsonp({}, 1019))
  t.match(await removeAll(), [...told, { code: 'NOT_FOUND' }, ...others], 'its directory is not')
  service.on('get_dir_list', jsonp({}, 1054))
  t.match(await removeAll(), [...told, { code: 'FORBIDDEN' }, ...others], 'nobody can look')

  service.on('batch_file_delete', jsonp({ results: results.slice(1) }))
  const short = await drive.remove(items)
  t.ok(
    short.every((error) => error && 'code' in error && error.code === 'BAD_REPLY'),
    'too few',
  )
  for (const all of [{ results: null }, { results: [] }, {}]) {
    service.on('batch_file_delete', jsonp(all))
    const none = Array(items.length).fill(undefined)
    t.strictSame(await drive.remove(items), none, 'no results, nothing is said against it')
  }
})
