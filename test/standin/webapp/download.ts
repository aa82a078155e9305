import t from 'tap'
import { type WebappClient, webappLogin, withWebapp } from '../../fixtures/webapp-client.ts'

const CONTENT = Buffer.from('0123456789')

async function located(client: WebappClient) {
  const { common_upload_rsp } = await client.upload('a b.txt', CONTENT)
  return { id: common_upload_rsp.file_id, ...(await client.locate(common_upload_rsp.file_id)) }
}

t.test('a URL works with the cookie that came with it, and only with that', async (t) => {
  const { standin, client } = await withWebapp(t)
  const { https_download_url: url, ...item } = await located(client)
  t.match(item, { retcode: 0, retmsg: '', cookie_name: 'FTN5K', download_url: url })
  const get = (cookie: string | undefined, more = {}) =>
    client.send(url, { headers: { Cookie: cookie, ...more } })
  const cookie = `FTN5K=${item.cookie_value}`
  t.ok((await get(cookie)).body.equals(CONTENT), 'no other cookies are needed')
  t.equal((await get(undefined)).status, 403)
  t.equal((await get(client.cookieHeader())).status, 403, 'those of the login are not enough')
  t.equal((await get('FTN5K=x')).status, 403)
  const range = await get(cookie, { Range: 'bytes=2-4' })
  t.match(range, { status: 206, headers: { 'content-range': 'bytes 2-4/10' } })
  t.equal(range.body.toString(), '234')

  standin.admin.expireUrls()
  t.equal((await get(cookie)).status, 403)
  standin.admin.setKnobs({ urlTtlMs: 0 })
  const { https_download_url, cookie_value } = await client.locate(item.id)
  const late = await client.send(https_download_url, {
    headers: { Cookie: `FTN5K=${cookie_value}` },
  })
  t.equal(late.status, 403, 'past its time')
})

t.test('items that cannot be read, each with its own code', async (t) => {
  const { standin, client } = await withWebapp(t)
  const { id } = await located(client)
  const code = async (file_id: string, pdir_key = client.main.key) => {
    const body = { file_list: [{ file_id, pdir_key }], download_type: 0 }
    const { file_list } = await client.run('DiskFileBatchDownload', body)
    t.equal(file_list[0].file_id, file_id)
    return file_list[0].retcode
  }
  const dir = await client.mkdir('d')
  t.equal(await code('00000000-0000-0000-0000-000000000000'), 1020)
  t.equal(await code(id, dir.key), 1020, 'in another directory')
  t.equal(await code(id, `${dir.key.slice(0, 8)}${'0'.repeat(24)}`), 1026)
  const broken = standin.admin.breakOff({ path: 'broken', size: 5 })
  t.equal(await code(broken.id), 1052)
  standin.admin.mark({ path: 'a b.txt', mark: 'blocked' })
  t.equal(await code(id), 190049)
  standin.admin.mark({ path: 'a b.txt', mark: 'document' })
  t.equal(await code(id), 3008)
  standin.admin.kill({ path: 'a b.txt' })
  t.equal(await code(id), 1020)

  const ret = async (body: object) => (await client.command('DiskFileBatchDownload', body)).ret
  t.equal(await ret({ file_list: [], download_type: 0 }), 1085)
  t.equal(await ret({ file_list: [], download_type: 1 }), 190013)
  const item = { file_id: id, pdir_key: client.main.key }
  t.equal(await ret({ file_list: Array(11).fill(item), download_type: 0 }), 190064)
})

t.test("nobody reads another's files", async (t) => {
  const { standin, client } = await withWebapp(t)
  const { id } = await located(client)
  const other = await webappLogin(standin, (await standin.admin.addAccount()).sessions)
  const ask = async (pdir_key: string) => {
    const body = { file_list: [{ file_id: id, pdir_key }], download_type: 0 }
    return (await other.run('DiskFileBatchDownload', body)).file_list[0].retcode
  }
  t.equal(await ask(client.main.key), 199014)
  t.equal(await ask(other.main.key), 1020)
})
