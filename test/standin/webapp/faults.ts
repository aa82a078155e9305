import t, { type Test } from 'tap'
import { announcement, MIB, withWebapp } from '../../fixtures/webapp-client.ts'
import { pattern } from '../../fixtures/webapp-vectors.ts'

async function withFaults(t: Test) {
  const { standin, client } = await withWebapp(t)
  const strike = (kind: string, more = {}) => standin.admin.setFaults([{ kind, ...more }])
  return { standin, client, strike }
}

t.test('every command fails in the ways of its own generation', async (t) => {
  const { client, strike } = await withFaults(t)
  const ask = () => client.command('DiskUserInfoGet', {})
  strike('busy')
  t.strictSame((await ask()).whole, { ret: 190042, msg: 'error 190042' })
  strike('expired-session')
  t.match((await ask()).whole, { ret: 190051 })
  strike('ret:190054')
  t.match((await ask()).whole, { ret: 190054 })
  strike('ret:403')
  t.match(await ask(), { whole: { ret: 403 }, answer: { status: 200 } })
  strike('ret:1013')
  t.match((await ask()).whole, { data: { rsp_header: { retcode: 1013 } } })
  strike('status-403')
  t.equal((await ask()).answer.status, 403)
  strike('html')
  t.match((await ask()).answer.body.toString(), /^<!DOCTYPE html>/)
  strike('malformed')
  t.match(await ask(), { whole: undefined, answer: { status: 200 } })
  for (const kind of ['reset', 'lost-reply', 'truncated']) {
    strike(kind)
    await t.rejects(ask(), kind)
  }
})

t.test('stale-token: 403 until the token is got anew', async (t) => {
  const { client, strike } = await withFaults(t)
  const ask = async () => (await client.command('DiskUserInfoGet', {})).answer.status
  strike('stale-token', { match: '^Disk', times: 1 })
  t.equal(await ask(), 403)
  t.equal(await ask(), 403, 'the old one stays old')
  await client.disk()
  t.equal(await ask(), 200)
})

t.test('uploads: busy on the second piece, then as if nothing had been', async (t) => {
  const { client, strike } = await withFaults(t)
  const content = pattern(2 * MIB)
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content))
  strike('ret:-90106', { match: '^UploadPiece$', after: 1, times: 1 })
  const [first, second] = body.channel_list
  t.equal((await client.piece(body, first, content)).ret, 0)
  t.match((await client.piece(body, second, content)).whole, { rsp_header: { retcode: -90106 } })
  t.equal((await client.piece(body, second, content)).body.upload_state, 2)

  strike('ret:50000', { match: '^PreUpload$' })
  t.match((await client.preUploadJson({})).whole, { retcode: 50000 })
  strike('busy')
  t.match((await client.preUploadJson({})).whole, { result: { rsp_header: { retcode: 190042 } } })
})

t.test('dead-channel: its block is asked for again only after a new announcement', async (t) => {
  const { client, strike } = await withFaults(t)
  const content = pattern(3 * MIB)
  const message = announcement(client.main, 'a', content, { more: { channel_count: 2 } })
  const { body } = await client.step('PreUpload', message)
  const [first, second] = body.channel_list
  strike('dead-channel', { times: 1 })
  t.equal((await client.piece(body, first, content)).ret, -89012)
  t.equal((await client.piece(body, first, content)).ret, -89012, 'for good')
  const next = await client.piece(body, second, content)
  t.match(next.body, { upload_state: 1, channel: { id: 1, offset: 2 * MIB } })
  t.match((await client.piece(body, next.body.channel, content)).body, { upload_state: 3 })
  const again = (await client.step('PreUpload', message)).body
  t.match(again, { uploaded_data_len: 2 * MIB, channel_list: [{ offset: 0 }] })
  t.equal(await client.drain(again, content), 2)
})

t.test('state-<n>: whatever is true', async (t) => {
  const { standin, client, strike } = await withFaults(t)
  const content = pattern(2 * MIB)
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content))
  const [first, second] = body.channel_list
  strike('state-2', { times: 1 })
  t.equal((await client.piece(body, first, content)).body.upload_state, 2, 'too early')
  t.equal(standin.admin.tree()[0]?.state, 'broken')
  strike('state-3', { times: 1 })
  t.equal((await client.piece(body, second, content)).body.upload_state, 3, 'although complete')
  t.equal(standin.admin.tree()[0]?.state, 'complete')
})

t.test('lost replies: a piece that came is not asked for twice', async (t) => {
  const { client, strike } = await withFaults(t)
  const content = pattern(2 * MIB)
  const more = { channel_count: 1 }
  const { body } = await client.step('PreUpload', announcement(client.main, 'a', content, { more }))
  const [channel] = body.channel_list
  strike('lost-reply', { match: 'UploadPiece', times: 1 })
  await t.rejects(client.piece(body, channel, content))
  const next = await client.piece(body, channel, content)
  t.match(next.body, { upload_state: 1, channel: { offset: MIB } })
  strike('duplicate-reply', { match: 'UploadPiece', times: 1 })
  t.equal((await client.piece(body, next.body.channel, content)).body.upload_state, 2)
})

t.test('redirect: the bytes are elsewhere, for the same cookie', async (t) => {
  const { client, strike } = await withFaults(t)
  const content = pattern(100)
  const { common_upload_rsp } = await client.upload('a', content)
  const { download_url, cookie_value } = await client.locate(common_upload_rsp.file_id)
  strike('redirect')
  const headers = { Cookie: `FTN5K=${cookie_value}` }
  const { status, headers: got } = await client.send(download_url, { headers })
  t.equal(status, 302)
  const target = String(got.location)
  t.ok((await client.send(target, { headers })).body.equals(content))
  t.equal((await client.send(target, { headers: { Cookie: '' } })).status, 403)
})

t.test('the journal names commands and steps, and no secrets', async (t) => {
  const { standin, client } = await withFaults(t)
  await client.list()
  const { common_upload_rsp } = await client.upload('a', pattern(100))
  await client.read(common_upload_rsp.file_id)
  const counters = standin.admin.counters()
  for (const name of ['disk', 'DiskDirList', 'PreUpload', 'UploadPiece', 'ftn-get']) {
    t.match(counters[name], { requests: 1, refused: 0 }, name)
  }
  standin.admin.disable(['DiskDirList'])
  t.equal((await client.command('DiskDirList', {})).ret, 190012)
  const text = JSON.stringify(standin.admin.journal())
  for (const [name, value] of client.jar) {
    if (value.length > 12) t.notOk(text.includes(value), name)
  }
})
