// Uploads on the wire: the announcement, the channels, and what services do wrong (protocol notes,
// webapp 7).
import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { UploadOptions, UploadSource } from '../../../src/weiyun/index.ts'
import { type FakeService, type Reply, reset, type Seen } from '../../fixtures/fake-service.ts'
import {
  CMD,
  dirItem,
  fileItem,
  json,
  listing,
  MAIN,
  MAIN_KEY,
  ROOT_KEY,
  SESSION,
  sentForm,
  uploaded,
  withFakeWebapp,
} from '../../fixtures/fake-webapp.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { sourceOf } from '../../fixtures/upload-source.ts'

const MIB = 1024 * 1024
const HELLO = Buffer.from('hello')
const BACKGROUND = { priority: 'background' } as const

interface Place {
  readonly id: number
  readonly offset: number
  readonly len: number
}

function places(size: number, channels = 4): Place[] {
  const count = Math.min(channels, Math.max(1, Math.ceil(size / MIB)))
  return Array.from({ length: count }, (_, id) => ({ id, offset: id * MIB, len: MIB }))
}

/** A reply to an announcement that wants bytes. */
function wanted(channels: Place[], changes: object = {}): Reply {
  return uploaded('PreUpload', {
    file_exist: false,
    common_upload_rsp: {
      file_id: 'new-id',
      filename: 'f',
      file_ctime: '1700000000000',
      file_mtime: 1700000000001,
      file_version: '5',
    },
    upload_key: '00ff',
    ex: 'ex0',
    channel_list: channels,
    upload_state: 1,
    ...changes,
  })
}

const INSTANT = wanted([], { file_exist: true, upload_state: 2, upload_key: '' })

/** A service that takes pieces in turn over all channels, and puts the file together. */
function takePieces(service: FakeService, size: number, channels = 4) {
  const content = Buffer.alloc(size)
  let left = size
  let next = Math.min(channels, Math.ceil(size / MIB))
  service.on(CMD.piece, (seen: Seen) => {
    const { message, piece = Buffer.alloc(0) } = sentForm(seen)
    const { id, offset } = message.channel
    piece.copy(content, offset)
    left -= piece.length
    const ex = `ex${service.seen.length}`
    if (left <= 0) return uploaded('UploadPiece', { upload_state: 2, ex })
    const place = next++ * MIB
    if (place >= size) return uploaded('UploadPiece', { upload_state: 3, ex })
    const channel = { id, offset: place, len: MIB }
    return uploaded('UploadPiece', { upload_state: 1, ex, channel })
  })
  return { content }
}

async function setUp(t: Test) {
  const fake = await withFakeWebapp(t)
  const upload = (source: UploadSource | Buffer, options: UploadOptions = {}, name = 'f') =>
    fake.drive.upload(MAIN, name, Buffer.isBuffer(source) ? sourceOf(source) : source, options)
  return { ...fake, upload }
}

t.test('a small file: two requests', async (t) => {
  const { service, upload } = await setUp(t)
  service.on(CMD.preUpload, wanted(places(5)))
  takePieces(service, 5)
  t.strictSame(await upload(HELLO), {
    kind: 'file',
    id: 'new-id',
    version: '5',
    name: 'f',
    size: 5,
    sha1: 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d',
    md5: '5d41402abc4b2a76b9719d911017c592',
    ctimeMs: 1700000000000,
    mtimeMs: 1700000000001,
    complete: true,
  })
  t.strictSame(service.names, [CMD.preUpload, CMD.piece])

  const seen = service.only(CMD.preUpload)
  t.equal(`${seen.method} ${seen.path}`, 'POST /ftnup_v2/weiyun')
  t.strictSame(Object.fromEntries(seen.query), { g_tk: '1234567890', cmd: '247120' })
  t.equal(seen.headers.cookie, SESSION.cookies)
  t.equal(seen.headers['content-length'], String(seen.body.length))
  const versions = { major_version: 3, minor_version: 0, fix_version: 0, version: 0 }
  const sha = 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'
  t.strictSame(sentForm(seen), {
    header: { cmd: 247120, appid: 30013, ...versions, user_flag: 0 },
    key: 'weiyun.PreUploadMsgReq_body',
    message: {
      common_upload_req: {
        ppdir_key: ROOT_KEY,
        pdir_key: MAIN_KEY,
        file_size: 5,
        filename: 'f',
        file_exist_option: 6,
        use_mutil_channel: true,
        file_sha: sha,
        file_md5: '5d41402abc4b2a76b9719d911017c592',
      },
      upload_scr: 0,
      channel_count: 4,
      block_size: MIB,
      block_info_list: [{ sha, offset: 0, size: 5 }],
      check_sha: '0123456789abcdeffedcba9876543210f0e1d2c3',
      check_data: 'aGVsbG8=',
    },
    piece: undefined,
  })
  t.strictSame(sentForm(service.only(CMD.piece)), {
    header: { cmd: 247121, appid: 30013, ...versions, user_flag: 0 },
    key: 'weiyun.UploadPieceMsgReq_body',
    message: { upload_key: '00ff', ex: 'ex0', channel: { id: 0, offset: 0, len: MIB } },
    piece: HELLO,
  })
})

t.test('content that the service has: one request', async (t) => {
  const { service, drive, upload } = await setUp(t)
  service.on(CMD.preUpload, INSTANT)
  t.match(await upload(HELLO), { id: 'new-id', size: 5 })
  t.strictSame(service.names, [CMD.preUpload])
  const hashes = sourceOf(HELLO)
  t.match(await drive.uploadByHash(MAIN, 'f', hashes), { id: 'new-id' }, 'its states are known')
  const unknown = { ...hashes, sha1: '0'.repeat(40) }
  t.equal(await drive.uploadByHash(MAIN, 'f', unknown), undefined)
  t.strictSame(service.names, [CMD.preUpload, CMD.preUpload], 'nothing to ask with')
})

t.test('a copy of content that the service lost leaves nothing behind', async (t) => {
  const { service, drive, upload } = await setUp(t)
  service.on(CMD.preUpload, INSTANT, wanted(places(5)))
  await upload(HELLO)
  const begun = fileItem({ file_id: 'new-id', filename: 'f', file_cursize: 0, file_version: '5' })
  service.on(CMD.list, listing([begun])).on(CMD.remove, json({}))
  t.equal(await drive.uploadByHash(MAIN, 'f', sourceOf(HELLO)), undefined)
  t.equal(service.names.at(-1), CMD.remove)
})

t.test('empty files', async (t) => {
  const { service, upload } = await setUp(t)
  service.on(CMD.preUpload, INSTANT)
  await upload(Buffer.alloc(0))
  const { message, piece } = sentForm(service.only(CMD.preUpload))
  t.match(message, {
    block_info_list: [{ sha: 'da39a3ee5e6b4b0d3255bfef95601890afd80709', offset: 0, size: 0 }],
    check_sha: '0123456789abcdeffedcba9876543210f0e1d2c3',
    check_data: '',
  })
  t.strictSame(piece, Buffer.alloc(0), 'a part without bytes')
  // A service that wants a piece gets one.
  service.on(CMD.preUpload, wanted([{ id: 0, offset: 0, len: 0 }]))
  service.on(CMD.piece, uploaded('UploadPiece', { upload_state: 2 }))
  await upload(Buffer.alloc(0))
  t.strictSame(sentForm(service.only(CMD.piece)).piece, Buffer.alloc(0))
})

t.test('a large file over all channels', async (t) => {
  const { service, upload } = await setUp(t)
  const bytes = pattern(9 * MIB + 77)
  service.on(CMD.preUpload, wanted(places(bytes.length)))
  const { content } = takePieces(service, bytes.length)
  const progress: number[] = []
  await upload(bytes, { onProgress: (sent) => progress.push(sent) })
  t.ok(content.equals(bytes))
  t.equal(progress.at(-1), bytes.length)
  t.strictSame(
    progress,
    progress.toSorted((a, b) => a - b),
  )
  const pieces = service.seen.filter(({ name }) => name === CMD.piece).map(sentForm)
  t.equal(pieces.length, 10)
  t.equal(new Set(pieces.map(({ message }) => message.channel.id)).size, 4)
  const later = pieces.filter(({ message }) => message.channel.offset >= 4 * MIB)
  t.ok(
    later.every(({ message }) => /^ex[1-9]/.test(message.ex)),
    'newer keys, not the first',
  )
  const { message } = sentForm(service.only(CMD.preUpload))
  t.equal(message.block_info_list.length, 10)
  t.strictSame(message.block_info_list[1].offset, MIB)
  t.strictSame(message.block_info_list[9].size, 77)
})

t.test('more channels for a very large one', async (t) => {
  const bytes = pattern(65 * MIB)
  const source = sourceOf(bytes)

  t.test('when the service has them', async (t) => {
    const { service, upload } = await setUp(t)
    service.on(CMD.preUpload, wanted(places(bytes.length, 4)))
    const { content } = takePieces(service, bytes.length, 8)
    const added = [4, 5, 6, 7].map((id) => ({ id, offset: id * MIB, len: MIB }))
    service.on(CMD.addChannel, uploaded('AddChannel', { final_channel_count: 8, channels: added }))
    await upload(source)
    t.ok(content.equals(bytes))
    t.strictSame(sentForm(service.only(CMD.addChannel)).message, {
      upload_key: '00ff',
      ex: 'ex0',
      orig_channel_count: 4,
      dest_channel_count: 8,
      speed: 4303,
    })
    const ids = service.seen
      .filter(({ name }) => name === CMD.piece)
      .map((seen) => sentForm(seen).message.channel.id)
    t.equal(new Set(ids).size, 8)
  })

  t.test('when it has none', async (t) => {
    const { service, upload } = await setUp(t)
    service.on(CMD.preUpload, wanted(places(bytes.length)))
    service.on(CMD.addChannel, uploaded('AddChannel', {}, 190012))
    const { content } = takePieces(service, bytes.length)
    await upload(source)
    t.ok(content.equals(bytes))
  })
})

t.test('a service that is busy', async (t) => {
  const { service, upload } = await setUp(t)
  service.on(CMD.preUpload, uploaded('PreUpload', {}, 190054), wanted(places(5)))
  service.on(
    CMD.piece,
    uploaded('UploadPiece', {}, -90106),
    uploaded('UploadPiece', { upload_state: 2 }),
  )
  t.match(await upload(HELLO, BACKGROUND), { id: 'new-id' })
  t.equal(service.names.filter((name) => name === CMD.piece).length, 2)
})

t.test('a channel that dies', async (t) => {
  const { service, upload } = await setUp(t)
  const bytes = pattern(2 * MIB)
  const idle = uploaded('UploadPiece', {}, -89012)
  const rest = [{ id: 1, offset: MIB, len: MIB }]
  service
    .on(CMD.preUpload, wanted(places(bytes.length)), wanted(rest, { uploaded_data_len: MIB }))
    .on(CMD.list, listing([fileItem({ file_id: 'new-id', filename: 'f', file_cursize: MIB })]))
    .on(CMD.piece, (seen) => {
      const isFirst = service.names.filter((name) => name === CMD.preUpload).length === 1
      if (!isFirst) return uploaded('UploadPiece', { upload_state: 2 })
      return sentForm(seen).message.channel.id === 1
        ? idle
        : uploaded('UploadPiece', { upload_state: 3 })
    })
  const progress: number[] = []
  t.match(await upload(bytes, { onProgress: (sent) => progress.push(sent) }), { id: 'new-id' })
  t.equal(service.names.filter((name) => name === CMD.preUpload).length, 2)
  t.equal(service.names.filter((name) => name === CMD.remove).length, 0, 'what it has is kept')
  t.equal(progress.at(-1), bytes.length)
})

t.test('channels that all die, for ever', async (t) => {
  const { service, upload } = await setUp(t)
  service
    .on(CMD.preUpload, wanted(places(5)))
    .on(CMD.list, listing())
    .on(CMD.piece, uploaded('UploadPiece', {}, -89012))
  await t.rejects(upload(HELLO, BACKGROUND), { code: 'RESTART_TRANSFER' })
})

t.test('the end of all channels without the end of the file', async (t) => {
  const { service, upload } = await setUp(t)
  const done = fileItem({ file_id: 'new-id', filename: 'f(1)' })
  service
    .on(CMD.preUpload, wanted(places(5)))
    .on(CMD.piece, uploaded('UploadPiece', { upload_state: 3 }))
    .on(CMD.list, listing([done]))
  t.match(await upload(HELLO), { id: 'new-id', name: 'f(1)' }, 'it is there after all')
  const begun = fileItem({ file_id: 'new-id', filename: 'f', file_cursize: 0 })
  service.on(CMD.list, listing([begun])).on(CMD.remove, json({}))
  await t.rejects(upload(HELLO, BACKGROUND), { code: 'RESTART_TRANSFER' })
  t.ok(service.names.includes(CMD.remove), 'and what was begun does not stay')
})

t.test('an end before all can be there', async (t) => {
  const { service, upload } = await setUp(t)
  const bytes = pattern(3 * MIB)
  service
    .on(CMD.preUpload, wanted([{ id: 0, offset: 0, len: MIB }]))
    .on(CMD.piece, uploaded('UploadPiece', { upload_state: 2 }))
    .on(CMD.list, listing())
  await t.rejects(upload(bytes, BACKGROUND), { code: 'RESTART_TRANSFER' })
  const { sha1: file_sha, size: file_size } = sourceOf(bytes)
  const whole = { file_id: 'new-id', file_sha, file_size, file_cursize: file_size }
  service.on(CMD.list, listing([fileItem(whole)]))
  t.match(await upload(bytes), { id: 'new-id' }, 'unless the listing shows it')
})

t.test('answers that make no sense', async (t) => {
  const go = (channel: object | undefined) =>
    uploaded('UploadPiece', { upload_state: 1, ...(channel && { channel }) })
  const answers: Record<string, Reply> = {
    'an unknown state': uploaded('UploadPiece', { upload_state: 7 }),
    'no state': uploaded('UploadPiece', {}),
    'no next piece': go(undefined),
    'a piece past the end': go({ id: 0, offset: 99, len: 5 }),
    'a negative place': go({ id: 0, offset: -1, len: 5 }),
    'the same piece again and again': go({ id: 0, offset: 0, len: 5 }),
  }
  for (const [what, answer] of Object.entries(answers)) {
    const { service, upload } = await setUp(t)
    service
      .on(CMD.preUpload, wanted(places(5)))
      .on(CMD.list, listing())
      .on(CMD.piece, answer)
    await t.rejects(upload(HELLO, BACKGROUND), { code: 'RESTART_TRANSFER' }, what)
  }
  const { service, upload } = await setUp(t)
  service.on(CMD.preUpload, wanted([], { upload_key: undefined })).on(CMD.list, listing())
  await t.rejects(upload(HELLO, BACKGROUND), { code: 'BAD_REPLY' }, 'no key')
  service.on(CMD.preUpload, wanted([])).on(CMD.piece, reset)
  await t.rejects(upload(HELLO, BACKGROUND), { code: 'RESTART_TRANSFER' }, 'no channels')
})

t.test('a length that is missing stays as it was', async (t) => {
  const { service, upload } = await setUp(t)
  const bytes = pattern(MIB + 5)
  service
    .on(CMD.preUpload, wanted([{ id: 0, offset: 0, len: MIB }]))
    .on(
      CMD.piece,
      uploaded('UploadPiece', { upload_state: '1', channel: { id: 0, offset: String(MIB) } }),
      uploaded('UploadPiece', { upload_state: '2' }),
    )
  await upload(bytes)
  const last = sentForm(service.seen.at(-1) as Seen)
  t.strictSame(last.message.channel, { id: 0, offset: MIB, len: MIB })
  t.equal(last.piece?.length, 5)

  t.test('unless the service meant something else by it: announced again', async (t) => {
    const { service, upload } = await setUp(t)
    const rest = [{ id: 0, offset: MIB, len: MIB }]
    service
      .on(CMD.list, listing([fileItem({ file_id: 'new-id', filename: 'f', file_cursize: MIB })]))
      .on(CMD.preUpload, wanted(places(MIB)), wanted(rest, { uploaded_data_len: MIB }))
      .on(
        CMD.piece,
        uploaded('UploadPiece', { upload_state: 1, channel: { id: 0, offset: MIB, len: 0 } }),
        uploaded('UploadPiece', {}, -44001),
        uploaded('UploadPiece', { upload_state: 2 }),
      )
    t.match(await upload(bytes), { id: 'new-id' })
    const { preUpload, piece, list } = CMD
    t.strictSame(service.names, [preUpload, piece, piece, list, preUpload, piece])
  })
})

t.test('refusals', async (t) => {
  for (const [ret, code] of [
    [1053, 'NO_SPACE'],
    [190049, 'BLOCKED_CONTENT'],
    [-44010, 'NAME_TOO_LONG'],
    [1127, 'QUOTA'],
    [1086, 'QUOTA'],
  ] as const) {
    const { service, upload } = await setUp(t)
    service.on(CMD.preUpload, uploaded('PreUpload', {}, ret))
    await t.rejects(upload(HELLO), { code, ret })
  }
})

t.test('replies that get lost', async (t) => {
  const done = fileItem({ file_id: 'new-id', filename: 'f', file_version: '5' })

  t.test('to the announcement of known content', async (t) => {
    const { service, upload } = await setUp(t)
    service.on(CMD.preUpload, reset).on(CMD.list, listing([done]))
    t.match(await upload(HELLO), { id: 'new-id' })
    t.strictSame(service.names, [CMD.preUpload, CMD.list])
  })

  t.test('to an announcement that began something', async (t) => {
    const { service, upload } = await setUp(t)
    const begun = fileItem({ file_id: 'new-id', filename: 'f', file_cursize: 0 })
    service.on(CMD.preUpload, reset, wanted(places(5))).on(CMD.list, listing([begun]))
    takePieces(service, 5)
    await upload(HELLO)
    const [, second] = service.seen.filter(({ name }) => name === CMD.preUpload)
    t.equal(
      second && sentForm(second).message.common_upload_req.file_exist_option,
      1,
      'over our own beginning',
    )
  })

  t.test('to the last piece', async (t) => {
    const { service, upload } = await setUp(t)
    service
      .on(CMD.preUpload, wanted(places(5)))
      .on(CMD.piece, reset, uploaded('UploadPiece', {}, -89001))
      .on(CMD.list, listing([done]))
    t.match(await upload(HELLO, BACKGROUND), { id: 'new-id' })
    t.equal(service.names.filter((name) => name === CMD.preUpload).length, 1)
  })
})

t.test('going on after a restart', async (t) => {
  const { service, upload } = await setUp(t)
  const tokens: string[] = []
  service.on(CMD.preUpload, wanted(places(5))).on(CMD.piece, uploaded('UploadPiece', {}, 190041))
  service.on(CMD.list, listing())
  await t.rejects(upload(HELLO, { ...BACKGROUND, onResumable: (one) => tokens.push(one) }))
  const [first = '', resume = ''] = tokens
  for (const secret of ['00ff', 'ex0']) t.notOk(resume.includes(secret), 'no key in the token')

  t.test('when it was finished', async (t) => {
    const { service, upload } = await setUp(t)
    service.on(CMD.list, listing([fileItem({ file_id: 'new-id', filename: 'f(1)' })]))
    t.match(await upload(HELLO, { resume }), { id: 'new-id', name: 'f(1)' })
    t.strictSame(service.names, [CMD.list])
  })

  t.test('when nobody heard under which name', async (t) => {
    const { service, upload } = await setUp(t)
    const renamed = (ms: number) =>
      fileItem({ file_id: 'new-id', filename: 'f2026-1-2 20.30.3', file_ctime: String(ms) })
    const older = { ...renamed(Date.now() - 3600_000), file_id: 'older' }
    service.on(CMD.list, listing([older, renamed(Date.now())]))
    t.match(await upload(HELLO, { resume: first }), { id: 'new-id' })
    t.strictSame(service.names, [CMD.list])
  })

  t.test('when some is missing', async (t) => {
    const { service, upload } = await setUp(t)
    const begun = fileItem({ file_id: 'new-id', filename: 'f', file_cursize: 0 })
    service.on(CMD.list, listing([begun])).on(CMD.preUpload, wanted(places(5)))
    takePieces(service, 5)
    t.match(await upload(HELLO, { resume }), { id: 'new-id' })
  })

  t.test('with a token of something else', async (t) => {
    const { service, upload } = await setUp(t)
    const other = fileItem({ file_id: 'new-id', filename: 'other' })
    service.on(CMD.list, listing([other])).on(CMD.preUpload, INSTANT)
    await upload(HELLO, { resume }, 'g')
    await upload(HELLO, { resume: 'nonsense' })
    t.equal(service.names.filter((name) => name === CMD.preUpload).length, 2)
  })
})

t.test('replacing', async (t) => {
  const old = { id: 'old-id', version: '17', name: 'f', size: 5 }
  const oldItem = { file_id: 'old-id', filename: 'f', file_sha: '0'.repeat(40) }
  const optionOf = (service: FakeService) =>
    sentForm(service.only(CMD.preUpload)).message.common_upload_req.file_exist_option

  t.test('the version that is there', async (t) => {
    const { service, upload } = await setUp(t)
    const fresh = fileItem({ file_id: 'old-id', filename: 'f', file_version: '18' })
    service
      .on(CMD.list, listing([fileItem(oldItem)]), listing([fresh]))
      .on(CMD.preUpload, wanted(places(5), { common_upload_rsp: { ...oldItem, file_version: 17 } }))
    takePieces(service, 5)
    t.match(await upload(HELLO, { replaces: old }), { id: 'old-id', version: '18' })
    t.equal(optionOf(service), 1)
  })

  t.test('the version that is there no more when it is announced again', async (t) => {
    const { service, upload } = await setUp(t)
    const theirs = fileItem({ ...oldItem, file_sha: '1'.repeat(40), file_version: '18' })
    service
      .on(CMD.list, listing([fileItem(oldItem)]), listing([theirs]))
      .on(CMD.preUpload, uploaded('PreUpload', {}, 190054), INSTANT)
    await upload(HELLO, { replaces: old, ...BACKGROUND })
    const options = service.seen
      .filter(({ name }) => name === CMD.preUpload)
      .map((seen) => sentForm(seen).message.common_upload_req.file_exist_option)
    t.same(options, [1, 6])
    service
      .on(CMD.list, listing([fileItem(oldItem)]), listing([fileItem(oldItem)]))
      .on(CMD.preUpload, uploaded('PreUpload', {}, 987_654), INSTANT)
    const before = service.names.length
    await upload(HELLO, { replaces: old, ...BACKGROUND })
    const looks = service.names.slice(before).filter((name) => name === CMD.list)
    t.equal(looks.length, 2, 'a lost reply, after which one looks anyway, costs one look')
  })

  t.test('what is not the version that was meant', async (t) => {
    const cases: Record<string, object[]> = {
      'another version': [fileItem({ ...oldItem, file_version: '18' })],
      'another size': [fileItem({ ...oldItem, file_size: 6 })],
      'another file': [fileItem({ ...oldItem, file_id: 'theirs' })],
      nothing: [],
      'the old one elsewhere': [fileItem({ ...oldItem, filename: 'moved' })],
      'somebody else half way': [fileItem({ ...oldItem, file_id: 'theirs', file_cursize: 1 })],
    }
    for (const [what, items] of Object.entries(cases)) {
      const { service, upload } = await setUp(t)
      service.on(CMD.list, listing(items)).on(CMD.preUpload, INSTANT)
      await upload(HELLO, { replaces: old })
      t.equal(optionOf(service), 6, what)
    }
    const { service, upload } = await setUp(t)
    service.on(CMD.list, listing([], [dirItem({ dir_name: 'f' })])).on(CMD.preUpload, INSTANT)
    await upload(HELLO, { replaces: old })
    t.equal(optionOf(service), 6, 'a directory')
  })

  t.test('a failure leaves the old version alone', async (t) => {
    const { service, upload } = await setUp(t)
    const incomplete = fileItem({ ...oldItem, file_cursize: 0 })
    service
      .on(CMD.list, listing([fileItem(oldItem)]), listing([incomplete]))
      .on(CMD.preUpload, wanted(places(5), { common_upload_rsp: oldItem }))
      .on(CMD.piece, uploaded('UploadPiece', {}, 190049))
    await t.rejects(upload(HELLO, { replaces: old }), { code: 'BLOCKED_CONTENT' })
    t.notOk(service.names.includes(CMD.remove))
  })
})

t.test('a clash of names', async (t) => {
  const { service, upload } = await setUp(t)
  const renamed = { file_id: 'new-id', filename: 'f(1)', file_version: 1 }
  service.on(CMD.preUpload, wanted([], { file_exist: true, common_upload_rsp: renamed }))
  t.match(await upload(HELLO), { name: 'f(1)' }, 'the reply tells the name')
  service.on(CMD.preUpload, wanted([], { file_exist: true, common_upload_rsp: null }))
  service.on(CMD.list, listing([fileItem({ file_id: 'x', filename: 'f' })]))
  t.match(await upload(HELLO), { id: 'x', version: '17' }, 'or the listing')
})

t.test('a file that changes while it is uploaded', async (t) => {
  const { service, upload } = await setUp(t)
  const path = `${t.testdir({})}/file`
  await writeFile(path, 'other')
  const source = { ...sourceOf(HELLO), file: { path, start: 0 } }
  await t.rejects(upload(source), { code: 'CORRUPT' })
  await writeFile(path, 'hel')
  await t.rejects(upload(source), { code: 'CORRUPT' })
  const replaces = { id: 'old-id', version: '17', name: 'f', size: 5 }
  await t.rejects(upload(source, { replaces }), { code: 'CORRUPT' })
  t.strictSame(service.names, [], 'nothing was sent, and nothing looked at before it was hashed')

  // It changes later: what the service refuses is hashed anew, and then it shows.
  await writeFile(path, HELLO)
  service
    .on(CMD.preUpload, wanted(places(5)))
    .on(CMD.list, listing())
    .on(CMD.piece, async () => {
      await writeFile(path, 'other')
      return uploaded('UploadPiece', {}, -89001)
    })
  await t.rejects(upload(source, BACKGROUND), { code: 'CORRUPT' })
})

t.test('announcing by JSON', async (t) => {
  const answer = (key: string, wrap: boolean): Reply => {
    const body = { file_exist: true, common_upload_rsp: { file_id: 'new-id', filename: 'f' } }
    const reply = { rsp_header: { retcode: 0 }, rsp_body: { RspMsg_body: { [key]: body } } }
    return { body: JSON.stringify(wrap ? { result: reply } : reply) }
  }
  const OPENID = 'wy_uf=2; uid=7; uid_key=K; weiyun_wx_openid=WO; wyctoken=5'

  t.test('openid accounts', async (t) => {
    const session = { dialect: 'webapp', cookies: OPENID } as const
    const { service, drive } = await withFakeWebapp(t, { session })
    for (const [key, wrap] of [
      ['weiyunPreUploadMsgRsp_body', true],
      ['weiyun.PreUploadMsgRsp_body', false],
    ] as const) {
      service.on(CMD.preUpload, answer(key, wrap))
      t.match(await drive.upload(MAIN, 'f', sourceOf(HELLO)), { id: 'new-id' })
    }
    const [seen] = service.seen
    t.equal(seen?.path, '/api/v3/ftn_pre_upload')
    t.equal(seen?.headers['content-type'], 'application/json')
    const { req_header, req_body } = JSON.parse(String(seen?.body))
    t.strictSame(req_header, {
      cmd: 247120,
      appid: 30013,
      major_version: 3,
      minor_version: 0,
      fix_version: 0,
      type: 1,
      version: 3,
      user_flag: 1,
      env_id: '',
    })
    t.match(req_body.ReqMsg_body['weiyun.PreUploadMsgReq_body'], {
      common_upload_req: { filename: 'f' },
      block_info_list: [{ size: 5 }],
    })
    await drive.upload(MAIN, 'f', sourceOf(Buffer.alloc(0)))
    const empty = JSON.parse(String(service.seen.at(-1)?.body)).req_body.ReqMsg_body
    t.notOk('block_info_list' in empty['weiyun.PreUploadMsgReq_body'])
  })

  t.test('where the form is refused', async (t) => {
    const { service, upload } = await setUp(t)
    service.on(CMD.preUpload, ({ path }) =>
      path === '/ftnup_v2/weiyun'
        ? uploaded('PreUpload', {}, 190034)
        : answer('weiyunPreUploadMsgRsp_body', true),
    )
    await upload(HELLO)
    await upload(HELLO)
    t.strictSame(
      service.seen.map(({ path }) => path),
      ['/ftnup_v2/weiyun', '/api/v3/ftn_pre_upload', '/api/v3/ftn_pre_upload'],
      'and not tried again',
    )
    service.on(CMD.preUpload, uploaded('PreUpload', {}, 190034))
    await t.rejects(upload(HELLO), { code: 'REFUSED' }, 'both')
  })

  t.test('a service that is busy says so without a header', async (t) => {
    const session = { dialect: 'webapp', cookies: OPENID } as const
    const { service, drive } = await withFakeWebapp(t, { session })
    service.on(
      CMD.preUpload,
      { body: '{"retcode":50000,"msg":"busy"}' },
      answer('weiyunPreUploadMsgRsp_body', true),
    )
    t.match(await drive.upload(MAIN, 'f', sourceOf(HELLO)), { id: 'new-id' })
  })
})

t.test('what cannot fit is not sent', async (t) => {
  const { service, drive, upload } = await setUp(t)
  await drive.account()
  const huge = { ...sourceOf(HELLO), size: 2 ** 45 }
  await t.rejects(upload(huge), { code: 'TOO_LARGE' })
  await t.rejects(upload(HELLO, {}, 'x'.repeat(300)), { code: 'NAME_TOO_LONG' })
  t.strictSame(service.names, [CMD.account])
})
