import { hash } from 'node:crypto'
import t from 'tap'
import { startStandin } from '../../../src/standin/index.ts'
import { Random } from '../../fixtures/random.ts'
import {
  announcement,
  formJson,
  formParts,
  type Json,
  MIB,
  WebappClient,
  webappLogin,
  withWebapp,
} from '../../fixtures/webapp-client.ts'
import { bytesOf, pattern, STATE_VECTORS, VECTORS } from '../../fixtures/webapp-vectors.ts'

const KIB512 = MIB / 2

async function file(client: WebappClient, name: string): Promise<Json> {
  const { file_list = [] } = await client.list()
  return file_list.find((item: Json) => item.filename === name)
}

t.test('the vectors are what the service checks', async (t) => {
  const { client } = await withWebapp(t)
  for (const [i, vector] of STATE_VECTORS.entries()) {
    const what = `${vector.file_size} bytes, blocks of ${vector.block_size}`
    const { block_size, block_info_list, check_sha, check_data, file_sha, file_md5 } = vector
    const content = bytesOf(vector)
    const message = announcement(client.main, `f${i}`, content, {
      more: { block_size, block_info_list, check_sha, check_data },
      common: { file_sha, file_md5 },
    })
    const { ret, body } = await client.step('PreUpload', message)
    t.equal(ret, 0, what)
    if (body.upload_state === 1) t.equal(await client.drain(body, content), 2, what)
    t.match(await file(client, `f${i}`), {
      file_size: vector.file_size,
      file_cursize: vector.file_size,
      file_sha,
      file_md5,
    })
  }
})

t.test('the multipart vector arrives whole, byte for byte', async (t) => {
  const { client } = await withWebapp(t)
  const { boundary, content_type, json_text, piece_base64, body_base64 } = VECTORS.multipart
  const send = (body: Buffer) =>
    client.send('/ftnup_v2/weiyun?cmd=247121', {
      method: 'POST',
      headers: { 'Content-Type': content_type, 'Content-Length': String(body.length) },
      body,
    })
  const vector = Buffer.from(body_base64, 'base64')
  t.ok(vector.includes(boundary))
  // The key in the vector is nobody's: an upload without channels, but no malformed request.
  const answer = await send(vector)
  t.equal(JSON.parse(answer.body.toString()).rsp_header.retcode, -89012)
  t.match(answer.headers['x-trace-id'], /^[0-9a-f]{32}$/)

  const content = Buffer.from(piece_base64, 'base64')
  const { body } = await client.step('PreUpload', announcement(client.main, 'v', content))
  const piece = JSON.parse(json_text)
  const key = 'weiyun.UploadPieceMsgReq_body'
  const { upload_key, ex } = body
  Object.assign(piece.req_body.ReqMsg_body[key], { upload_key, ex })
  const mine = vector.toString('latin1').replace(json_text, JSON.stringify(piece))
  const done = JSON.parse((await send(Buffer.from(mine, 'latin1'))).body.toString())
  const reply = done.rsp_body.RspMsg_body['weiyun.UploadPieceMsgRsp_body']
  t.equal(reply.upload_state, 2)
  t.ok((await client.read(body.common_upload_rsp.file_id)).equals(content))
})

t.test('the worked example: three channels, the last of them completes the file', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(2_621_440)
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content))
  t.match(body, {
    file_exist: false,
    upload_state: 1,
    uploaded_data_len: 0,
    common_upload_rsp: { filename: 'a' },
    channel_list: [
      { id: 0, offset: 0, len: MIB },
      { id: 1, offset: MIB, len: MIB },
      { id: 2, offset: 2 * MIB, len: MIB },
    ],
  })
  const listed = await file(client, 'a')
  t.equal(listed.file_id, body.common_upload_rsp.file_id, 'known before the bytes are sent')
  t.ok(listed.file_cursize < listed.file_size)
  const item = await client.locate(listed.file_id)
  t.equal(item.retcode, 1052)

  const [first, second, third] = body.channel_list
  const ended = await client.piece(body, first, content)
  t.match(ended.body, { upload_state: 3, channel: { id: 0, len: 0 } })
  t.not(ended.body.ex, body.ex)
  t.equal((await client.piece({ ...body, ex: ended.body.ex }, third, content)).body.upload_state, 3)
  t.equal((await client.piece(body, second, content)).body.upload_state, 2)
  t.equal((await client.piece(body, second, content)).body.upload_state, 2, 'sent once more')
  t.ok((await client.read(listed.file_id)).equals(content))
})

t.test('random sizes and interleavings end in the same bytes', async (t) => {
  const { client } = await withWebapp(t)
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let i = 0; i < 6; i++) {
    const content = Buffer.alloc(random.below(6 * MIB), random.bytes(997))
    const blockSize = random.pick([MIB, KIB512])
    const name = `r${i}`
    const more = { channel_count: 1 + random.below(6) }
    const message = announcement(client.main, name, content, { blockSize, more })
    const { body } = await client.step('PreUpload', message)
    const open: Json[] = body.channel_list ?? []
    let state = body.upload_state
    while (open.length > 0 && state !== 2) {
      const at = random.below(open.length)
      const replies = await Promise.all([
        client.piece(body, open[at], content),
        // Now and then the same piece twice at once, as after a reply that was lost.
        ...(random.below(4) === 0 ? [client.piece(body, open[at], content)] : []),
      ])
      const reply = random.pick(replies)
      for (const { ret } of replies) t.equal(ret, 0)
      state = reply.body.upload_state
      if (state === 1) open[at] = reply.body.channel
      else open.splice(at, 1)
    }
    t.equal((await file(client, name)).file_sha, hash('sha1', content))
    t.ok((await client.read(body.common_upload_rsp.file_id)).equals(content), name)
  }
})

t.test('a piece must be the right bytes for the right channel', async (t) => {
  const { standin, client } = await withWebapp(t)
  const content = pattern(3 * MIB)
  const message = announcement(client.main, 'a', content, { more: { channel_count: 2 } })
  const { body } = await client.step('PreUpload', message)
  const [first, second] = body.channel_list
  const ret = async (change: object, channel: object, bytes = content.subarray(0, MIB)) => {
    const piece = { upload_key: body.upload_key, ex: body.ex, channel, ...change }
    return (await client.step('UploadPiece', piece, bytes)).ret
  }
  const flipped = Buffer.from(content.subarray(0, MIB))
  flipped[77]! ^= 1
  t.equal(await ret({}, first, flipped), -89001)
  t.equal(await ret({}, first, content.subarray(0, MIB - 1)), -44001)
  t.equal(await ret({}, { ...first, len: 5 }), -44001)
  t.equal(await ret({}, { ...first, offset: 1 }), -44001)
  t.equal(await ret({}, { ...first, offset: second.offset }), -44001, 'of another channel')
  t.equal(await ret({}, { ...first, id: 7 }), -89012)
  t.equal(await ret({ ex: 'x' }, first), -44001)
  t.equal(await ret({ upload_key: 'x' }, first), -89012)
  t.equal(await ret({ surprise: 1 }, first), 190013)
  t.equal((await client.step('UploadPiece', { ...body, channel: first })).ret, 190013)
  const { upload_key, ex } = body
  t.equal((await client.step('UploadPiece', { upload_key, ex, channel: first })).ret, -44001)
  t.equal(standin.admin.tree()[0]?.state, 'broken')

  const other = await webappLogin(standin, (await standin.admin.addAccount()).sessions)
  t.equal((await other.piece(body, first, content)).ret, -44003)
  t.equal(await client.drain(body, content), 2, 'none of it did harm')
})

t.test('what is announced is judged before a byte has come', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(MIB + 300)
  const good = announcement(client.main, 'a', content)
  const [block, last] = good.block_info_list
  const ret = async (more: object, common: object = {}) => {
    const changed = { ...good, ...more }
    changed.common_upload_req = { ...changed.common_upload_req, ...common }
    return (await client.step('PreUpload', changed)).ret
  }
  const bigEndian = Buffer.from(good.check_sha, 'hex').swap32().toString('hex')
  t.equal(await ret({ check_sha: bigEndian }), -20001)
  t.equal(await ret({ check_sha: 0 }), -20001)
  t.equal(await ret({ check_data: Buffer.alloc(44).toString('base64') }), -20001)
  t.equal(await ret({ check_data: pattern(128).toString('base64') }), -44001, 'always 128 bytes')
  t.equal(await ret({ check_data: '?' }), -44001)
  t.equal(await ret({ block_info_list: [block] }), -44001)
  t.equal(await ret({ block_info_list: [last, block] }), -44001)
  t.equal(await ret({ block_info_list: [block, { ...last, size: MIB }] }), -44001)
  t.equal(await ret({ block_info_list: undefined }), -44001)
  t.equal(await ret({ check_sha: undefined }), -44001)
  t.equal(await ret({ block_size: 128 * 1024 }), -44001)
  t.equal(await ret({ channel_count: 0 }), -44001)
  t.equal(await ret({ channel_count: 33 }), -44001)
  t.equal(await ret({ upload_scr: 2 }), 190013)
  t.equal(await ret({ surprise: 1 }), 190013)
  t.equal(await ret({}, { file_sha: '0'.repeat(40) }), -20001)
  t.equal(await ret({}, { file_size: String(content.length) }), 190204)
  t.equal(await ret({}, { file_exist_option: 7 }), 190013)
  t.equal(await ret({}, { pdir_key: `${client.root.slice(0, 8)}${'0'.repeat(24)}` }), 1026)
  t.equal(await ret({}, { pdir_key: client.root, ppdir_key: client.root }), 1027)
  t.equal(await ret({}, { ppdir_key: '' }), 0)
})

t.test('an announced MD5 is checked once all is there', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(MIB + 7)
  const bend = { common: { file_md5: '0'.repeat(32) } }
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content, bend))
  const [first, second] = body.channel_list
  t.equal((await client.piece(body, first, content)).ret, 0)
  t.equal((await client.piece(body, second, content)).ret, -20001)
  const again = await client.step('PreUpload', announcement(client.main, 'a', content, bend))
  t.equal(again.body.uploaded_data_len, 0)
})

t.test('limits: quota, size of a file, length of a name', async (t) => {
  const { standin, client } = await withWebapp(t)
  const content = pattern(1000)
  const announce = async (name: string) =>
    (await client.step('PreUpload', announcement(client.main, name, content))).ret
  standin.admin.setLimits({ fileSizeMax: 999 })
  t.equal(await announce('a'), 1029)
  standin.admin.setLimits({ fileSizeMax: 2 ** 40 })
  standin.admin.setQuota({ totalSpace: 999 })
  t.equal(await announce('a'), 1053)
  standin.admin.setQuota({ totalSpace: 10_000 })
  t.equal(await announce('x'.repeat(256)), 1080)
  t.equal(await announce('a:b'), 1088)
  t.equal(await announce('...'), 1088)
  t.equal(await announce('x'.repeat(255)), 0)
})

t.test('file names lose the dots around them, and the reply says so', async (t) => {
  const { client } = await withWebapp(t)
  const { common_upload_rsp } = await client.upload('..bashrc.', Buffer.from('x'))
  t.equal(common_upload_rsp.filename, 'bashrc')
  t.same(await client.names(), ['bashrc'])
})

t.test('content that is known is in place at once', async (t) => {
  const { standin, client } = await withWebapp(t)
  const content = pattern(70_000)
  await client.upload('a', content)
  const again = await client.upload('b', content)
  t.match(again, { file_exist: true, upload_state: 2 })
  t.notOk('channel_list' in again)
  t.equal((await file(client, 'b')).file_md5, hash('md5', content))
  const other = await webappLogin(standin, (await standin.admin.addAccount()).sessions)
  t.equal((await other.upload('c', content)).file_exist, true, 'whoever brought it')
  const common = { file_md5: '0'.repeat(32) }
  const message = announcement(client.main, 'd', content, { common })
  t.equal((await client.step('PreUpload', message)).ret, 1090)
})

t.test('a taken name: 1 replaces the content, others make another file', async (t) => {
  const { client } = await withWebapp(t)
  const option = (file_exist_option: number) => ({ common: { file_exist_option } })
  const [old, now] = [pattern(MIB + 1), pattern(MIB + 2)]
  const first = await client.upload('a', old, option(1))
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', now, option(1)))
  t.equal(body.common_upload_rsp.file_id, first.common_upload_rsp.file_id)
  t.match(await file(client, 'a'), { file_size: old.length, file_cursize: old.length })
  t.ok((await client.read(first.common_upload_rsp.file_id)).equals(old), 'old until complete')
  await client.drain(body, now)
  t.ok((await client.read(first.common_upload_rsp.file_id)).equals(now))
  t.same(await client.names(), ['a'])

  const { common_upload_rsp: third } = await client.upload('a', old, option(6))
  t.match(third.filename, /^a\d{4}-\d+-\d+ \d+\.\d+\.\d+$/)
  t.same(await client.names(), ['a', third.filename])
})

t.test(
  'small files may come along with their announcement, in the ways the site has',
  async (t) => {
    const { client } = await withWebapp(t)
    const bare = (name: string, size: number, common: Record<string, unknown> = {}) => {
      const whole = announcement(client.main, name, Buffer.alloc(0), { common })
      const { upload_scr, channel_count, common_upload_req } = whole
      const request = { ...common_upload_req, file_size: size }
      return { upload_scr, channel_count, common_upload_req: request }
    }
    const content = pattern(KIB512)
    const inline = await client.step('PreUpload', bare('a', content.length), content)
    t.match(inline.body, { file_exist: false, upload_state: 2 })
    t.ok((await client.read(inline.body.common_upload_rsp.file_id)).equals(content))

    const sha = hash('sha1', '')
    const nothing = Buffer.alloc(0)
    const empty = await client.step('PreUpload', bare('b', 0, { file_sha: sha }), nothing)
    t.match(empty.body, { upload_state: 2 })
    const openid = await client.step('PreUpload', bare('c', 0, { file_sha: sha }))
    t.match(openid.body, { upload_state: 2 })
    t.match(await file(client, 'c'), { file_size: 0, file_sha: sha, file_md5: hash('md5', '') })

    const ret = async (message: object, bytes?: Buffer) =>
      (await client.step('PreUpload', message, bytes)).ret
    t.equal(await ret(bare('d', 5)), -44001, 'neither bytes nor blocks')
    t.equal(await ret(bare('d', 5), Buffer.from('four')), -44001)
    t.equal(await ret(bare('d', KIB512 + 1), pattern(KIB512 + 1)), -44001)
    const wrong = bare('d', 4, { file_sha: sha })
    t.equal(await ret(wrong, Buffer.from('four')), -20001)
  },
)

t.test("the front-end's own check_sha for sizes up to 128", async (t) => {
  const { client } = await withWebapp(t)
  const send = async (size: number, check_sha: (sha: string) => unknown) => {
    const content = pattern(size)
    const more = { check_sha: check_sha(hash('sha1', content)) }
    const message = announcement(client.main, `s${size}`, content, { more })
    return (await client.step('PreUpload', message)).ret
  }
  t.equal(await send(127, (sha) => sha), 0)
  t.equal(await send(128, () => 0), 0)
  t.equal(await send(128, (sha) => sha), -20001)
  t.equal(await send(127, () => 0), -20001)
})

t.test('shapes that the service cannot read answer 190034', async (t) => {
  const { client } = await withWebapp(t)
  const message = announcement(client.main, 'a', Buffer.from('a'))
  const json = formJson(247120, 'weiyun.PreUploadMsgReq_body', message)
  const text = JSON.stringify(json)
  const ret = async (bend: object) => (await client.step('PreUpload', message, undefined, bend)).ret
  const inner = json.req_body.ReqMsg_body
  const nested = { 'weiyun.PreUploadMsgReq_body': { req: message } }
  t.equal(await ret({ json: { ...json, req_body: { ReqMsg_body: { req: inner } } } }), 190034)
  const headed = { ...inner, ext_req_head: { token_info: {} } }
  t.equal(await ret({ json: { ...json, req_body: { ReqMsg_body: headed } } }), 190034)
  const dotted = { '.weiyun.PreUploadMsgReq_body': message }
  t.equal(await ret({ json: { ...json, req_body: { ReqMsg_body: dotted } } }), 190034)
  const strings = { req_header: JSON.stringify(json.req_header), req_body: text }
  t.equal(await ret({ json: strings }), 190034)
  t.equal(await ret({ json: { ...json, req_header: { ...json.req_header, version: 3 } } }), 190034)
  t.equal(await ret({ cmd: '247121' }), 190034, 'cmd of the query is another')
  t.equal(await ret({ cmd: '247163' }), 190012)

  const typed = { head: 'form-data; name="json"\r\nContent-Type: application/json' }
  t.equal(await ret({ parts: [{ ...typed, bytes: Buffer.from(text) }] }), 190034)
  const parts = formParts(text, Buffer.from('a'))
  t.equal(await ret({ parts: parts.toReversed() }), 190034)
  t.equal(await ret({ parts: [...parts, parts[1]] }), 190034)
  t.equal(await ret({ parts: [] }), 190034)
  t.equal(await ret({ parts: formParts('{') }), 190034)
  t.equal(await ret({ json: { ...json, req_body: { ReqMsg_body: nested } } }), 190013)
  t.same(await client.names(), [])
})

t.test('the announcement as JSON, which openid accounts need', async (t) => {
  const { standin } = await withWebapp(t)
  const openid = await standin.admin.addAccount({ kind: 'openid' })
  const client = await webappLogin(standin, openid.sessions)
  const content = pattern(MIB + 5)
  const message = announcement(client.main, 'a', content)
  t.equal((await client.step('PreUpload', message)).ret, 190061)
  const { ret, body, whole } = await client.preUploadJson(message)
  t.equal(ret, 0)
  t.strictSame(Object.keys(whole), ['result'])
  t.equal(await client.drain(body, content), 2)

  const busy = { retcode: 50000, msg: '服务繁忙' }
  const dotted = { ReqMsg_body: { '.weiyun.PreUploadMsgReq_body': message } }
  const header = { cmd: 247120, appid: 30013, major_version: 3, minor_version: 0, fix_version: 0 }
  const malformed = { req_header: { ...header, type: 1, version: 3 }, req_body: dotted }
  t.strictSame((await client.preUploadJson(message, { json: malformed })).whole, busy)
  t.strictSame((await client.preUploadJson(message, { text: '{' })).whole, busy)
  const refused = await client.preUploadJson(announcement(client.main, 'a:b', content))
  t.match(refused.whole, { result: { rsp_header: { retcode: 1088 } } })
  client.jar.delete('uid_key')
  t.equal((await client.preUploadJson(message)).ret, 190051)
})

t.test('a token that is sent must be right; sessions are checked at every step', async (t) => {
  const { standin, client } = await withWebapp(t)
  const content = pattern(2 * MIB)
  const message = announcement(client.main, 'a', content)
  const g_tk = client.jar.get('wyctoken') ?? ''
  const { body } = await client.step('PreUpload', message, undefined, { query: { g_tk } })
  const wrong = await client.step('PreUpload', message, undefined, { query: { g_tk: '5381' } })
  t.equal(wrong.answer.status, 403)
  standin.admin.expireSession()
  t.equal((await client.piece(body, body.channel_list[0], content)).ret, 190051)
  standin.admin.reviveSession()
  t.equal(await client.drain(body, content), 2)
})

t.test('steps after the announcement go by its key where no cookies come', async (t) => {
  const { client } = await withWebapp(t)
  const bare = new WebappClient(client.url, '')
  const content = pattern(3 * MIB)
  const message = announcement(client.main, 'a', content)
  const { body } = await client.step('PreUpload', message)
  t.equal((await bare.step('PreUpload', message)).ret, 190051, 'nobody knows whose it is')
  const { upload_key, ex } = body
  const more = { orig_channel_count: 3, dest_channel_count: 8, speed: 4303 }
  t.equal((await bare.step('AddChannel', { upload_key, ex, ...more })).ret, 0)
  const unknown = { ...body, upload_key: 'b'.repeat(40) }
  t.equal((await bare.piece(unknown, body.channel_list[0], content)).ret, -89012)
  t.equal(await bare.drain(body, content), 2)
  t.match((await client.list()).file_list, [{ filename: 'a', file_cursize: content.length }])
})

t.test('more channels, while there are blocks for them', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(4 * MIB)
  const bend = { blockSize: KIB512, more: { channel_count: 2 } }
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content, bend))
  t.equal(body.channel_list.length, 2)
  const { upload_key, ex } = body
  const add = (orig_channel_count: number, dest_channel_count: number) =>
    client.step('AddChannel', {
      upload_key,
      ex,
      orig_channel_count,
      dest_channel_count,
      speed: 4303,
    })
  const added = await add(2, 4)
  t.match(added.body, {
    orig_channel_count: 2,
    final_channel_count: 4,
    orig_channels: body.channel_list,
    channels: [
      { id: 2, offset: 2 * KIB512, len: KIB512 },
      { id: 3, offset: 3 * KIB512, len: KIB512 },
    ],
  })
  t.equal((await add(2, 8)).ret, -44001, 'it has four')
  const all = await add(4, 32)
  t.equal(all.body.final_channel_count, 8, 'a block for each')
  const channel_list = [...body.channel_list, ...added.body.channels, ...all.body.channels]
  t.equal(await client.drain({ ...body, channel_list }, content), 2)
  t.equal((await add(8, 9)).ret, -102)
  t.ok((await client.read(body.common_upload_rsp.file_id)).equals(content))
})

t.test('at first at most four channels, or one', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(6 * MIB)
  const open = async (bend: object) => {
    const { body } = await client.step('PreUpload', announcement(client.main, 'a', content, bend))
    return body.channel_list.length
  }
  t.equal(await open({ more: { channel_count: 6 } }), 4)
  t.equal(await open({ common: { use_mutil_channel: false } }), 1)
})

t.test('announcing again goes on where it stopped', async (t) => {
  const { client } = await withWebapp(t)
  const content = pattern(4 * MIB)
  const announce = async (bend: object = {}) =>
    (await client.step('PreUpload', announcement(client.main, 'a', content, bend))).body
  const first = await announce()
  await client.piece(first, first.channel_list[1], content)
  const second = await announce()
  t.match(second, { upload_key: first.upload_key, uploaded_data_len: MIB })
  t.same(
    second.channel_list.map(({ offset }: Json) => offset / MIB),
    [0, 2, 3],
  )
  const cutAnew = await announce({ blockSize: KIB512 })
  t.equal(cutAnew.uploaded_data_len, 0, 'in other blocks it starts again')
  t.equal(await client.drain(cutAnew, content), 2)
  t.ok((await client.read(first.common_upload_rsp.file_id)).equals(content))
})

t.test('channels that rest for too long are closed; what came stays', async (t) => {
  const { standin, client } = await withWebapp(t)
  const content = pattern(2 * MIB)
  const message = announcement(client.main, 'a', content)
  const { body } = await client.step('PreUpload', message)
  await client.piece(body, body.channel_list[0], content)
  standin.admin.setKnobs({ uploadIdleMs: 0 })
  t.equal((await client.piece(body, body.channel_list[1], content)).ret, -89012)
  standin.admin.setKnobs({ uploadIdleMs: 60_000 })
  t.equal((await client.piece(body, body.channel_list[1], content)).ret, -89012, 'for good')
  const again = (await client.step('PreUpload', message)).body
  t.equal(again.uploaded_data_len, MIB)
  t.equal(await client.drain(again, content), 2)
})

t.test('an upload survives a restart of the service', async (t) => {
  const dataDir = t.testdir({})
  const content = pattern(3 * MIB)
  const first = await startStandin({ dataDir })
  const before = await webappLogin(first)
  const message = announcement(before.main, 'a', content)
  const { body } = await before.step('PreUpload', message)
  await before.piece(body, body.channel_list[1], content)
  await first.close()

  const second = await startStandin({ dataDir })
  t.teardown(() => second.close())
  const client = await webappLogin(second)
  t.equal((await client.piece(body, body.channel_list[0], content)).ret, -89012)
  const again = (await client.step('PreUpload', message)).body
  t.match(again, { upload_key: body.upload_key, uploaded_data_len: MIB })
  t.equal(await client.drain(again, content), 2)
  t.ok((await client.read(again.common_upload_rsp.file_id)).equals(content))
  t.equal(second.admin.snapshot().openUploads, 0)
})

t.test('a target that goes while bytes are on their way', async (t) => {
  const { standin, client } = await withWebapp(t)
  const dir = await client.mkdir('d')
  const content = pattern(2 * MIB)
  const message = announcement(dir, 'a', content)
  const { body } = await client.step('PreUpload', message)
  await client.piece(body, body.channel_list[0], content)
  standin.admin.remove({ path: 'd' })
  t.equal((await client.piece(body, body.channel_list[1], content)).ret, 1020)
  t.equal((await client.step('PreUpload', message)).ret, 1026)

  const other = await client.step('PreUpload', announcement(client.main, 'b', content.subarray(1)))
  standin.admin.remove({ path: 'b' })
  const [channel] = other.body.channel_list
  t.equal((await client.piece(other.body, channel, content.subarray(1))).ret, -89012)
})
