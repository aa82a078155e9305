// Uploads by hash, in chunks and in one form: the wire, the number of requests, and every way in
// which a reply can go missing or a name can clash.
import { hash, randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { FileEntry, FileRef, UploadOptions } from '../../../src/weiyun/index.ts'
import {
  accountBody,
  announcement,
  type FakeService,
  fileItem,
  frameReply,
  G_TK,
  jsonp,
  listing,
  MAIN_KEY,
  type Reply,
  reset,
  type Seen,
  SUB,
  withFakeDrive,
  withFakeService,
} from '../../fixtures/fake-service.ts'
import { Random } from '../../fixtures/random.ts'
import { sourceOf } from '../../fixtures/upload-source.ts'

/** What the service puts before a reply to a form. */
const DOMAIN = 'document.domain="weiyun.com";'

const CHUNK = 131072
const HELLO = Buffer.from('hello')
const OK = jsonp({ results: [{ result: 0 }] })

/** What 2301 answers for content that has to be sent to `to`. */
function wanted(to: FakeService, changes: object = {}) {
  return {
    file_exist: false,
    file_id: 'new-id',
    file_ver: '1',
    filename: 'a.txt',
    file_ctime: 1420201803000,
    file_key: 'aabb',
    check_key: '00ff10',
    server_name: '127.0.0.1',
    server_port: to.port,
    ...changes,
  }
}

/** The entry of that announcement in a listing. */
function listed(content: Buffer, changes: object = {}) {
  return fileItem({
    file_id: 'new-id',
    file_ver: '1',
    file_size: content.length,
    file_cur_size: content.length,
    file_md5: hash('md5', content),
    file_sha: hash('sha1', content),
    ...changes,
  })
}

function dataOf(seen: Seen | undefined) {
  return JSON.parse(seen?.query.get('data') ?? '')
}

function messageOf(seen: Seen | undefined) {
  return dataOf(seen).req_body.ReqMsg_body['weiyun.DiskFileUploadMsgReq_body']
}

function deleted({ seen }: FakeService): string[] {
  return seen
    .filter(({ name }) => name === 'batch_file_delete')
    .flatMap((one) =>
      dataOf(one).req_body.del_files.map(({ file_id }: { file_id: string }) => file_id),
    )
}

/** The parts of a frame with the keys above. */
function readFrame({ body }: Seen) {
  return {
    head: body.subarray(0, 12).toString('hex'),
    length: body.readUInt32BE(12),
    keys: body.subarray(16, 25).toString('hex'),
    size: body.readUInt32BE(25),
    offset: body.readUInt32BE(29),
    chunkLength: body.readUInt32BE(33),
    chunk: body.subarray(37),
  }
}

/** A data server that takes chunks in order and knows when it has all. */
function takeChunks(service: FakeService, size: number) {
  const got = Buffer.alloc(size)
  let end = 0
  service.on('chunk', (seen) => {
    const { offset, chunk } = readFrame(seen)
    if (offset === end) {
      chunk.copy(got, offset)
      end += chunk.length
    }
    return frameReply(end === size ? undefined : end)
  })
  return got
}

async function setUp(t: Test) {
  const fake = await withFakeDrive(t)
  fake.service
    .on('2301', announcement(wanted(fake.service)))
    .on('chunk', frameReply())
    .on('batch_file_delete', OK)
    .on('get_dir_list', listing())
  const upload = (content: Buffer, options: UploadOptions = {}, name = 'a.txt') =>
    fake.drive.upload(SUB, name, sourceOf(content), options)
  return { ...fake, upload }
}

t.test('a small file: two requests', async (t) => {
  const { service, upload } = await setUp(t)
  const progress: number[] = []
  const entry = await upload(HELLO, { onProgress: (sent) => progress.push(sent) })
  t.strictSame(entry, {
    kind: 'file',
    id: 'new-id',
    version: '1',
    name: 'a.txt',
    size: 5,
    sha1: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
    md5: '5d41402abc4b2a76b9719d911017c592',
    ctimeMs: 1420201803000,
    mtimeMs: 1420201803000,
    complete: true,
  })
  t.strictSame(service.names, ['2301', 'chunk'])
  t.equal(progress.at(-1), 5)

  const [announced, chunk] = service.seen as [Seen, Seen]
  t.equal(announced.method, 'GET')
  t.equal(announced.path, '/newcgi/qdisk_upload.fcg')
  t.equal(announced.headers.referer, 'http://user.weiyun.com/cdr_proxy.html')
  t.match(announced.headers.cookie, /skey=@Zx9Qw3Er7/)
  t.match(Object.fromEntries(announced.query), {
    cmd: '2301',
    g_tk: G_TK,
    callback: 'X_GET',
    _: /^\d+$/,
  })
  t.strictSame(dataOf(announced), {
    req_header: { cmd: 2301, appid: 30013, version: 2, major_version: 2 },
    req_body: {
      ReqMsg_body: {
        'weiyun.DiskFileUploadMsgReq_body': {
          ppdir_key: MAIN_KEY,
          pdir_key: SUB.key,
          upload_type: 0,
          file_md5: '5d41402abc4b2a76b9719d911017c592',
          file_sha: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
          file_size: 5,
          filename: 'a.txt',
          file_exist_option: 4,
        },
      },
    },
  })
  t.equal(chunk.method, 'POST')
  t.equal(chunk.path, '/ftn_handler/5d41402abc4b2a76b9719d911017c592')
  t.strictSame([...chunk.query], [['bmd5', '5d41402abc4b2a76b9719d911017c592']])
  t.equal(chunk.headers['content-type'], 'application/octet-stream')
  t.equal(chunk.headers['content-length'], '42')
  t.notOk(chunk.headers['transfer-encoding'])
  t.equal(chunk.headers.origin, 'http://img.weiyun.com')
  t.strictSame(readFrame(chunk), {
    head: 'abcd9876000003e800000000',
    length: 26,
    keys: '000300ff100002aabb',
    size: 5,
    offset: 0,
    chunkLength: 5,
    chunk: HELLO,
  })
})

t.test('known content: one request', async (t) => {
  const { service, upload, drive } = await setUp(t)
  service.on('2301', announcement(wanted(service, { file_exist: true })))
  t.match(await upload(HELLO), { id: 'new-id', complete: true })
  t.strictSame(service.names, ['2301'])
  t.match(await drive.uploadByHash(SUB, 'a.txt', sourceOf(HELLO)), { id: 'new-id' })
  t.strictSame(service.names, ['2301', '2301'])
})

t.test('by hash only: what a miss leaves behind is removed', async (t) => {
  const { service, drive } = await setUp(t)
  t.equal(await drive.uploadByHash(SUB, 'a.txt', sourceOf(HELLO)), undefined)
  t.strictSame(service.names, ['2301', 'batch_file_delete'])
  t.strictSame(deleted(service), ['new-id'])
})

t.test('long names go by POST', async (t) => {
  const { service, drive } = await setUp(t)
  const name = '长'.repeat(100)
  service.on('2301', (seen) => {
    const data = JSON.parse(new URLSearchParams(seen.body.toString()).get('data') ?? '')
    const { filename } = data.req_body.ReqMsg_body['weiyun.DiskFileUploadMsgReq_body']
    const message = {
      'weiyun.DiskFileUploadMsgRsp_body': wanted(service, { file_exist: 1, filename }),
    }
    const json = JSON.stringify({ rsp_header: { retcode: 0 }, rsp_body: { RspMsg_body: message } })
    const callback = seen.query.get('callback')
    return {
      body: `<script>${DOMAIN}try{parent.${callback}(${json})}catch(e){};</script>`,
    }
  })
  t.match(await drive.upload(SUB, name, sourceOf(HELLO)), { name })
  const seen = service.only('2301')
  t.equal(seen.method, 'POST')
  t.equal(seen.query.get('callback'), 'X_POST')
  t.notOk(seen.query.has('data'))
})

t.test('many chunks, in order, to the server that was named', async (t) => {
  const { service, upload } = await setUp(t)
  const data = await withFakeService(t)
  const content = randomBytes(3 * CHUNK + 17)
  service.on('2301', announcement(wanted(data)))
  const got = takeChunks(data, content.length)
  const progress: number[] = []
  await upload(content, { onProgress: (sent) => progress.push(sent) })
  t.ok(got.equals(content))
  t.strictSame(progress, [CHUNK, 2 * CHUNK, 3 * CHUNK, content.length])
  t.strictSame(service.names, ['2301'])
  for (const seen of data.seen) {
    t.equal(seen.query.get('bmd5'), hash('md5', readFrame(seen).chunk))
    t.equal(readFrame(seen).size, content.length)
  }
})

t.test('an empty file that the service does not know', async (t) => {
  const { service, upload } = await setUp(t)
  t.match(await upload(Buffer.alloc(0)), { size: 0, complete: true })
  t.match(readFrame(service.only('chunk')), { size: 0, offset: 0, chunkLength: 0 })
})

t.test('a server elsewhere is not followed', async (t) => {
  const { service, upload } = await setUp(t)
  service.on('2301', announcement(wanted(service, { server_name: '192.0.2.1' })))
  await t.rejects(upload(HELLO), { code: 'BAD_REPLY', message: /192\.0\.2\.1/ })
})

t.test('the offset is the one that the server asks for', async (t) => {
  const { service, upload } = await setUp(t)
  const content = randomBytes(4 * CHUNK)
  service.on(
    'chunk',
    frameReply(3 * CHUNK),
    frameReply(2 * CHUNK),
    frameReply(3 * CHUNK),
    frameReply(),
  )
  await upload(content)
  const offsets = service.seen.slice(1).map((seen) => readFrame(seen).offset / CHUNK)
  t.strictSame(offsets, [0, 3, 2, 3])
})

t.test('resumed from a token', async (t) => {
  const { service, upload } = await setUp(t)
  const content = randomBytes(4 * CHUNK)
  const tokens: string[] = []
  const onResumable = (token: string) => tokens.push(token)
  service
    .on('chunk', frameReply(CHUNK), reset)
    .on('get_dir_list', listing([listed(content, { file_cur_size: CHUNK })]))
  await t.rejects(upload(content, { onResumable, priority: 'background' }), { code: 'UNREACHABLE' })
  t.equal(tokens.length, 2, 'before the announcement, and after it')
  t.strictSame(deleted(service), [], 'what was sent so far stays')

  const [, resume] = tokens as [string, string]
  service.seen.length = 0
  service.on('chunk', frameReply(3 * CHUNK), frameReply())
  t.match(await upload(content, { resume, onResumable }), { id: 'new-id', name: 'a.txt' })
  t.strictSame(service.names, ['chunk', 'chunk'])
  t.equal(tokens.length, 2)

  for (const [what, again] of [
    ['other content', () => upload(randomBytes(4 * CHUNK), { resume })],
    ['another name', () => upload(content, { resume }, 'b.txt')],
    ['no token', () => upload(content, { resume: 'x' })],
  ] as const) {
    service.seen.length = 0
    service.on(
      'chunk',
      frameReply(CHUNK),
      frameReply(2 * CHUNK),
      frameReply(3 * CHUNK),
      frameReply(),
    )
    await again()
    t.equal(service.names[0], '2301', `${what}: begins anew`)
  }
})

t.test('a ticket whose entry is gone is not tried for ever', async (t) => {
  const { service, upload } = await setUp(t)
  const content = randomBytes(2 * CHUNK)
  const tokens: string[] = []
  const options: UploadOptions = {
    onResumable: (token) => tokens.push(token),
    priority: 'background',
  }
  const begun = listing([listed(content, { file_cur_size: CHUNK })])
  service.on('get_dir_list', begun).on('chunk', { status: 500 })
  await t.rejects(upload(content, options), { code: 'SERVER' })
  const [, resume = ''] = tokens
  t.strictSame(deleted(service), [], 'it may still be good')

  service
    .on('get_dir_list', listing())
    .on('2301', announcement(wanted(service, { file_id: 'second', file_key: 'ccdd' })))
    .on('chunk', (seen) => {
      const { keys, offset } = readFrame(seen)
      if (!keys.endsWith('ccdd')) return { status: 500 }
      return frameReply(offset === 0 ? CHUNK : undefined)
    })
  t.match(await upload(content, { ...options, resume }), { id: 'second' })
})

t.test('after an entry was removed the token does not lead to it', async (t) => {
  const { service, upload } = await setUp(t)
  const tokens: string[] = []
  const onResumable = (token: string) => tokens.push(token)
  service
    .on('chunk', frameReply(0, 38020))
    .on('2301', announcement(wanted(service)), announcement({}, 1053))
  await t.rejects(upload(HELLO, { onResumable }), { code: 'NO_SPACE' })
  t.strictSame(deleted(service), ['new-id'])
  t.strictSame(tokens.length, 3)
  t.equal(tokens[2], tokens[0], 'as before the announcement')
})

for (const [what, fault] of [
  ['a file that is said to have changed', frameReply(0, 38020)],
  ['expired keys', { status: 403 }],
  ['an offset past the end', frameReply(5)],
  ['a negative offset', frameReply(-1)],
] as const) {
  t.test(`${what}: announced again, three times at most`, async (t) => {
    const { service, upload } = await setUp(t)
    service.on('chunk', fault as Reply, frameReply())
    t.match(await upload(HELLO), { id: 'new-id' })
    t.strictSame(
      service.names,
      ['2301', 'chunk', 'get_dir_list', 'batch_file_delete', '2301', 'chunk'],
      'the broken entry goes first, or it would take the name',
    )
    service.seen.length = 0
    service.on('chunk', fault as Reply)
    await t.rejects(upload(HELLO), { code: 'RESTART_TRANSFER' })
    t.equal(service.names.filter((name) => name === '2301').length, 3)
    t.equal(deleted(service).length, 3, 'nothing broken stays behind')
  })
}

t.test('an error of the data server', async (t) => {
  const { service, upload } = await setUp(t)
  service.on('chunk', frameReply(0, -29120), frameReply())
  t.match(await upload(HELLO), { id: 'new-id' })
  t.strictSame(service.names, ['2301', 'chunk', 'chunk'], 'may pass')
  const options: UploadOptions = { priority: 'background' }
  service.on('chunk', frameReply(0, -29120))
  service.seen.length = 0
  await t.rejects(upload(HELLO, options), { code: 'RESTART_TRANSFER', ret: -29120 })
  t.equal(service.names.filter((name) => name === '2301').length, 3, 'or want other keys')
})

t.test('a server that never gets on', async (t) => {
  const { service, upload } = await setUp(t)
  service.on('chunk', frameReply(0))
  await t.rejects(upload(randomBytes(2 * CHUNK)), { code: 'RESTART_TRANSFER' })
  t.ok(service.names.length < 40, service.names.join())
})

t.test('a server that forgets what it had gets it again', async (t) => {
  const { service, upload } = await setUp(t)
  const content = randomBytes(9 * CHUNK)
  const offsets: number[] = []
  let end = 0
  service.on('chunk', (seen) => {
    const { offset } = readFrame(seen)
    offsets.push(offset / CHUNK)
    end = offsets.length === 8 ? 0 : offset + CHUNK
    return frameReply(end === content.length ? undefined : end)
  })
  t.match(await upload(content), { id: 'new-id' })
  t.strictSame(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8])
})

t.test('a directory deleted meanwhile', async (t) => {
  const { service, upload } = await setUp(t)
  service.on('chunk', frameReply(0, -7005))
  await t.rejects(upload(HELLO), { code: 'NOT_FOUND' })
})

t.test('the reply to the announcement is lost', async (t) => {
  t.test('and the content was known: adopted', async (t) => {
    const { service, upload } = await setUp(t)
    service.on('2301', reset).on('get_dir_list', listing([listed(HELLO, { file_id: 'made' })]))
    t.match(await upload(HELLO), { id: 'made' })
    t.strictSame(service.names, ['2301', 'get_dir_list'])
  })
  t.test('and a broken entry was made: removed, then announced again', async (t) => {
    const { service, upload } = await setUp(t)
    const ours = listed(HELLO, { file_id: 'made', file_cur_size: 0 })
    const strangers = [
      listed(HELLO, { file_id: 's1', file_cur_size: 0, file_attr: { file_name: 'b.txt' } }),
      listed(HELLO, { file_id: 's2', file_cur_size: 0, file_sha: 'ff' }),
      listed(HELLO, { file_id: 's3', file_attr: { file_name: 'a copy.txt' } }),
    ]
    service
      .on('2301', reset, announcement(wanted(service)))
      .on('get_dir_list', listing([...strangers, ours]))
    t.match(await upload(HELLO), { id: 'new-id' })
    t.strictSame(service.names, ['2301', 'get_dir_list', 'batch_file_delete', '2301', 'chunk'])
    t.strictSame(deleted(service), ['made'])
  })
  t.test('and "already complete" comes the second time', async (t) => {
    const { service, upload } = await setUp(t)
    service
      .on('2301', reset, announcement({}, 1022))
      .on('get_dir_list', listing(), listing([listed(HELLO)]))
    t.match(await upload(HELLO), { id: 'new-id' })
  })
  t.test('and nothing was made', async (t) => {
    const { service, upload } = await setUp(t)
    service.on('2301', reset, announcement(wanted(service)))
    t.match(await upload(HELLO), { id: 'new-id' })
    t.strictSame(service.names, ['2301', 'get_dir_list', '2301', 'chunk'])
  })
})

t.test('all replies are lost, and the caller comes again', async (t) => {
  const { service, upload } = await setUp(t)
  const replaces: FileRef = { id: 'old-id', version: '3', name: 'a.txt', size: 5 }
  const tokens: string[] = []
  service.on('2301', reset).on('get_dir_list', reset)
  const background: UploadOptions = {
    onResumable: (token) => tokens.push(token),
    priority: 'ahead',
  }
  await t.rejects(upload(HELLO, background), { code: 'UNREACHABLE' })
  const [resume] = tokens as [string]

  const timeOf = (ms: number) =>
    new Date(ms + 8 * 3600_000).toISOString().replace(/[TZ.]/g, ' ').trim()
  const copy = (id: string, ageMs: number, changes = {}) =>
    listed(HELLO, {
      file_id: id,
      file_attr: { file_name: 'a2026-1-2 20.30.3.txt' },
      file_ctime: timeOf(Date.now() - ageMs),
      ...changes,
    })
  service
    .on('2301', announcement(wanted(service)))
    .on('file_attr_mod', jsonp({}))
    .on(
      'get_dir_list',
      listing([
        copy('ancient', 3600_000),
        copy('broken', 0, { file_cur_size: 0 }),
        copy('ours', 0),
      ]),
    )
  service.seen.length = 0
  t.match(await upload(HELLO, { resume, replaces }), { id: 'ours' })
  t.notOk(service.names.includes('2301'), 'it was announced, and had the content')
  t.strictSame(deleted(service), ['broken', 'old-id'])

  service.on('get_dir_list', listing([copy('ancient', 3600_000)]))
  t.match(
    await upload(HELLO, { resume }),
    { id: 'new-id' },
    'an older copy is none of our business',
  )
})

t.test('the reply to the last chunk is lost', async (t) => {
  t.test('and the server takes the same chunk again', async (t) => {
    const { service, upload } = await setUp(t)
    service.on('chunk', reset, frameReply())
    t.match(await upload(HELLO), { id: 'new-id' })
    t.strictSame(service.names, ['2301', 'chunk', 'chunk'])
  })
  t.test('and the server knows nothing of it any more: the listing tells', async (t) => {
    const { service, upload } = await setUp(t)
    service.on('chunk', reset, frameReply(0, -29201)).on('get_dir_list', listing([listed(HELLO)]))
    t.match(await upload(HELLO), { id: 'new-id', complete: true })
    t.strictSame(service.names.slice(-2), ['chunk', 'get_dir_list'])
    t.equal(service.names.filter((name) => name === '2301').length, 1)
  })
})

t.test('done before it can be: the listing decides', async (t) => {
  const { service, upload } = await setUp(t)
  const content = randomBytes(3 * CHUNK)
  service.on('chunk', frameReply()).on('get_dir_list', listing([listed(content)]))
  t.match(await upload(content), { id: 'new-id' })
  t.strictSame(service.names, ['2301', 'chunk', 'get_dir_list'])
  service.on('get_dir_list', listing([listed(content, { file_cur_size: CHUNK })]))
  await t.rejects(upload(content), { code: 'RESTART_TRANSFER' })
})

t.test('a reply that says little: the listing says the rest', async (t) => {
  const { service, upload } = await setUp(t)
  service
    .on('2301', announcement(wanted(service, { filename: undefined })))
    .on('get_dir_list', listing([listed(HELLO, { file_attr: { file_name: 'a (1).txt' } })]))
  t.match(await upload(HELLO), { id: 'new-id', name: 'a (1).txt' })
})

t.test('a name that is taken', async (t) => {
  const { service, upload } = await setUp(t)
  const renamed = 'a2015-1-2 20.30.3.txt'
  const replaces: FileRef = { id: 'old-id', version: '3', name: 'a.txt', size: 9 }
  service
    .on('2301', announcement(wanted(service, { filename: renamed })))
    .on('file_attr_mod', jsonp({}))
  t.match(await upload(HELLO), { name: renamed }, 'is told')

  t.test('by the version to replace: removed when the new one is complete', async (t) => {
    service.seen.length = 0
    service.on('get_dir_list', listing([listed(HELLO, { file_ver: '2' })]))
    const entry = await upload(HELLO, { replaces })
    t.match(entry, { id: 'new-id', name: 'a.txt', version: '2' })
    t.strictSame(service.names, [
      '2301',
      'chunk',
      'batch_file_delete',
      'file_attr_mod',
      'get_dir_list',
    ])
    const [removal] = dataOf(service.only('batch_file_delete')).req_body.del_files
    t.match(removal, { file_id: 'old-id', file_ver: '3', file_name: 'a.txt' })
    t.match(dataOf(service.only('file_attr_mod')).req_body, {
      file_id: 'new-id',
      file_attr: { file_name: 'a.txt' },
    })
  })
  t.test('by a version that is not ours: both stay', async (t) => {
    service.seen.length = 0
    service.on('batch_file_delete', jsonp({ results: [{ result: 1058 }] }))
    t.match(await upload(HELLO, { replaces }), { id: 'new-id', name: renamed })
    t.strictSame(service.names, ['2301', 'chunk', 'batch_file_delete'])
  })
  t.test('and a service without rename: by hash under the right name', async (t) => {
    service.seen.length = 0
    const asked = announcement(wanted(service, { filename: renamed }))
    const again = announcement(wanted(service, { file_exist: true, file_id: 'third' }))
    service
      .on('batch_file_delete', OK)
      .on('file_attr_mod', { status: 404 })
      .on('2301', asked, again)
    t.match(await upload(HELLO, { replaces }), { id: 'third', name: 'a.txt' })
    t.strictSame(deleted(service), ['old-id', 'new-id'])
  })
})

t.test('a name that a leftover of our own has', async (t) => {
  const { service, upload } = await setUp(t)
  service
    .on('2301', announcement(wanted(service, { filename: 'a2015-1-2 20.30.3.txt' })))
    .on('file_attr_mod', jsonp({}))
  t.test('which is broken: it goes', async (t) => {
    service.seen.length = 0
    const leftover = listed(HELLO, { file_id: 'left', file_cur_size: 1 })
    service.on('get_dir_list', listing([leftover]), listing([listed(HELLO)]))
    t.match(await upload(HELLO), { id: 'new-id', name: 'a.txt' })
    t.strictSame(deleted(service), ['left'])
  })
  t.test('which is complete: it stays, and the second goes', async (t) => {
    service.seen.length = 0
    service.on('get_dir_list', listing([listed(HELLO, { file_id: 'left' })]))
    t.match(await upload(HELLO), { id: 'left', name: 'a.txt' })
    t.strictSame(deleted(service), ['new-id'])
  })
  t.test('or a stranger: both stay', async (t) => {
    service.seen.length = 0
    const stranger = listed(HELLO, { file_id: 'other', file_cur_size: 1, file_sha: 'ff' })
    service.on('get_dir_list', listing([stranger]))
    t.match(await upload(HELLO), { id: 'new-id', name: 'a2015-1-2 20.30.3.txt' })
    t.strictSame(deleted(service), [])
  })
})

t.test('nothing is sent that cannot fit', async (t) => {
  const { service, upload, drive } = await setUp(t)
  await t.rejects(upload(HELLO, {}, 'x'.repeat(129)), { code: 'NAME_TOO_LONG' })
  await t.rejects(upload(HELLO, {}, 'x/y'), { code: 'NAME_INVALID' })
  await t.rejects(upload(HELLO, {}, ''), { code: 'NAME_INVALID' })
  service.on('query_user', jsonp(accountBody({ max_fz: 4 })))
  await drive.account()
  await t.rejects(upload(HELLO), { code: 'TOO_LARGE' })
  service.on('query_user', jsonp(accountBody({ used_space: '12094627905532' })))
  await drive.account()
  await t.rejects(upload(HELLO), { code: 'NO_SPACE' })
  service.on('query_user', jsonp(accountBody()))
  t.match(await upload(HELLO), { id: 'new-id' }, 'space was freed meanwhile')
  t.strictSame([...new Set(service.names)], ['query_user', '2301', 'chunk'])
})

t.test('refusals', async (t) => {
  const { service, upload } = await setUp(t)
  for (const [ret, code] of [
    [1053, 'NO_SPACE'],
    [1086, 'QUOTA'],
    [190049, 'BLOCKED_CONTENT'],
    [1029, 'TOO_LARGE'],
    [190051, 'SESSION_EXPIRED'],
  ] as const) {
    service.seen.length = 0
    service.on('2301', announcement({}, ret))
    await t.rejects(upload(HELLO), { code, ret })
    t.strictSame(service.names, ['2301'], 'once')
  }
})

t.test('in one form, where chunks are not known', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const content = randomBytes(600_000)
  const place = { upload_svr_host: '127.0.0.1', upload_svr_port: String(service.port) }
  service
    .on('2301', { status: 404 })
    .on(
      'file_upload',
      jsonp({ file_exist: false, file_id: 'probe', file_ver: '1' }),
      jsonp({ file_exist: false, upload_csum: 'cafe', file_key: 'aabb', ...place }),
    )
    .on('batch_file_delete', OK)
    .on('form', { body: '<script>parent.ftn_post_end(0);</script>' })
    .on('get_dir_list', listing([listed(content)]))
  const entry = await drive.upload(SUB, 'a.txt', sourceOf(content))
  t.match(entry, { id: 'new-id', name: 'a.txt', complete: true })
  t.strictSame(service.names, [
    '2301',
    'file_upload',
    'batch_file_delete',
    'file_upload',
    'form',
    'get_dir_list',
  ])
  t.strictSame(deleted(service), ['probe'])
  const [probe, ask] = service.seen.filter(({ name }) => name === 'file_upload')
  t.equal(probe?.path, '/upload.fcg')
  const common = {
    ppdir_key: MAIN_KEY,
    pdir_key: SUB.key,
    file_size: '600000',
    file_attr: { file_name: 'a.txt' },
  }
  const hashes = { file_md5: hash('md5', content), file_sha: hash('sha1', content) }
  t.strictSame(dataOf(probe).req_body, { ...common, upload_type: 0, ...hashes })
  t.strictSame(dataOf(ask).req_body, { ...common, upload_type: 1, file_md5: '', file_sha: '' })

  const form = service.only('form')
  t.strictSame(
    [...form.query],
    [
      ['ver', '12345'],
      ['ukey', 'cafe'],
      ['filekey', 'aabb'],
    ],
  )
  t.equal(form.headers.origin, 'http://www.weiyun.com')
  t.notOk(form.headers['transfer-encoding'])
  t.equal(Number(form.headers['content-length']), form.body.length)
  const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(
    form.headers['content-type'] ?? '',
  )?.[1]
  const head = [
    `--${boundary}`,
    'Content-Disposition: form-data; name="file"; filename="filename"',
    'Content-Type: application/octet-stream',
    '\r\n',
  ].join('\r\n')
  const tail = `\r\n--${boundary}--\r\n`
  t.ok(form.body.equals(Buffer.concat([Buffer.from(head), content, Buffer.from(tail)])))

  service.seen.length = 0
  service.on('file_upload', jsonp({ file_exist: true, file_id: 'new-id', file_ver: '1' }))
  await drive.upload(SUB, 'a.txt', sourceOf(content))
  t.strictSame(service.names, ['file_upload', 'get_dir_list'], 'and chunks are not tried again')
})

t.test('a form that a crash cut off: its entry has no hashes, and goes', async (t) => {
  const { service, drive } = await withFakeDrive(t, { uploadMethod: 'form' })
  const timeOf = (ms: number) =>
    new Date(ms + 8 * 3600_000).toISOString().replace(/[TZ.]/g, ' ').trim()
  const begun = (file_id: string, changes: object = {}) =>
    listed(HELLO, {
      file_id,
      file_cur_size: 0,
      file_sha: '',
      file_md5: '',
      file_ctime: timeOf(Date.now()),
      ...changes,
    })
  const tokens: string[] = []
  service.on('file_upload', reset)
  const options: UploadOptions = {
    onResumable: (token) => tokens.push(token),
    priority: 'background',
  }
  service.on('get_dir_list', listing())
  await t.rejects(drive.upload(SUB, 'a.txt', sourceOf(HELLO), options), { code: 'UNREACHABLE' })
  const [resume = ''] = tokens

  service
    .on('batch_file_delete', OK)
    .on('file_upload', jsonp({ file_exist: true, file_id: 'new-id', file_ver: '1' }))
    .on(
      'get_dir_list',
      listing([
        begun('ours'),
        begun('older', { file_ctime: timeOf(Date.now() - 3600_000) }),
        begun('other-size', { file_size: 6 }),
        begun('other-name', { file_attr: { file_name: 'b.txt' } }),
        begun('complete', { file_cur_size: 5 }),
      ]),
      listing([listed(HELLO)]),
    )
  t.match(await drive.upload(SUB, 'a.txt', sourceOf(HELLO), { resume }), { id: 'new-id' })
  t.strictSame(deleted(service), ['ours'])
})

t.test('the form as a choice, and its refusals', async (t) => {
  const { service, drive } = await withFakeDrive(t, { uploadMethod: 'form' })
  const place = { upload_svr_host: '127.0.0.1', upload_svr_port: service.port }
  const ticket = {
    file_exist: false,
    file_id: 'x',
    file_ver: '1',
    upload_csum: 'c',
    file_key: 'k',
    ...place,
  }
  service.on('file_upload', jsonp(ticket)).on('batch_file_delete', OK).on('get_dir_list', listing())
  for (const reply of [
    { body: "parent.ftn_post_end('-29201')" },
    { status: 403 },
    { body: 'fine' },
  ]) {
    service.on('form', reply)
    await t.rejects(drive.upload(SUB, 'a.txt', sourceOf(HELLO)), { code: 'RESTART_TRANSFER' })
  }
  t.notOk(service.names.includes('2301'))
})

t.test('any file to a data server of any mood arrives whole', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const { service, drive } = await withFakeDrive(t)
  // A service with a store: entries by id, bytes by what was sent.
  const entries = new Map<
    string,
    { content: Buffer; md5: string; sha1: string; end: number; name: string }
  >()
  let moods = 0
  const mood = () => (++moods % 3 === 0 ? random.below(3) : 2)
  service
    .on('2301', (seen, response) => {
      if (mood() === 0) return reset(seen, response)
      const { file_size, file_md5, file_sha, filename } = messageOf(seen)
      const id = `id${entries.size}`
      entries.set(id, {
        content: Buffer.alloc(file_size),
        md5: file_md5,
        sha1: file_sha,
        end: 0,
        name: filename,
      })
      const file_key = Buffer.from(id.padEnd(2)).toString('hex').slice(0, 4)
      const lost = mood() === 0
      if (lost) return reset(seen, response)
      return announcement(wanted(service, { file_id: id, file_key, filename }))(seen, response)
    })
    .on('chunk', (seen, response) => {
      const { size, offset, chunk } = readFrame(seen)
      const entry = [...entries.values()].find(
        ({ md5, end, content }) => seen.path.endsWith(md5) && end <= content.length,
      )
      if (entry === undefined || entry.content.length !== size) return frameReply(0, -29201)
      if (hash('md5', chunk) !== seen.query.get('bmd5')) return frameReply(0, -29202)
      if (mood() === 0) return reset(seen, response)
      if (offset === entry.end) {
        chunk.copy(entry.content, offset)
        entry.end += chunk.length
      }
      if (mood() === 0) return reset(seen, response)
      if (mood() === 1) return { status: 503 }
      return frameReply(entry.end === size ? undefined : entry.end)
    })
    .on('batch_file_delete', (seen, response) => {
      const { del_files } = dataOf(seen).req_body
      for (const { file_id } of del_files) entries.delete(file_id)
      return jsonp({ results: del_files.map(() => ({ result: 0 })) })(seen, response)
    })
    .on('get_dir_list', (seen, response) => {
      const files = [...entries].map(([id, { content, md5, sha1, end, name }]) =>
        fileItem({
          file_id: id,
          file_attr: { file_name: name },
          file_size: content.length,
          file_cur_size: end,
          file_md5: md5,
          file_sha: sha1,
        }),
      )
      return listing(files)(seen, response)
    })
  for (let turn = 0; turn < 12; turn++) {
    entries.clear()
    const content = random.bytes(random.pick([1, 5000, CHUNK, CHUNK + 1, 3 * CHUNK, 400_000]))
    let resume: string | undefined
    let entry: FileEntry | undefined
    for (let attempt = 0; entry === undefined && attempt < 20; attempt++) {
      const onResumable = (token: string) => {
        resume = token
      }
      const options = { onResumable, ...(resume !== undefined && { resume }) }
      entry = await drive.upload(SUB, `f${turn}`, sourceOf(content), options).catch(() => undefined)
    }
    const stored = entry && entries.get(entry.id)
    if (!stored?.content.equals(content)) t.fail(`turn ${turn}: ${content.length} bytes not stored`)
    if (entries.size !== 1) t.fail(`turn ${turn}: ${entries.size} entries`)
  }
  t.ok(service.seen.length > 24)
})
