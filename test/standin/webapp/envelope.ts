import t from 'tap'
import { type Bend, BROWSER, withWebapp } from '../../fixtures/webapp-client.ts'

t.test('a reply is wrapped once, without ret at the top', async (t) => {
  const { client } = await withWebapp(t)
  const { whole, answer } = await client.command('DiskUserInfoGet', {}, { reqHeader: { seq: 42 } })
  t.strictSame(Object.keys(whole), ['data'])
  const { rsp_header } = whole.data
  t.match(rsp_header, { retcode: 0, retmsg: '', cmd: 2201, cmdName: 'DiskUserInfoGet', seq: 42 })
  t.equal(rsp_header.uin, client.uin)
  t.match(answer.headers['content-type'], 'application/json')
})

t.test('what browsers and SDKs differ in is all accepted', async (t) => {
  const { client } = await withWebapp(t)
  const fine = async (bend: Bend) => (await client.command('DiskUserInfoGet', {}, bend)).ret
  t.equal(await fine({ query: { cmd: undefined, refer: 'chrome_windows', r: '0.5' } }), 0)
  t.equal(await fine({ reqHeader: { seq: 1_700_000_000_000_000_000, env_id: undefined } }), 0)
  t.equal(await fine({ head: { language_info: { language_type: 1033 }, buss_type: 0 } }), 0)
  t.equal(await fine({ headers: { Referer: 'https://www.weiyun.com/disk/folder/x?y' } }), 0)
  const skey = { token_type: 0, login_key_type: 1, login_key_value: client.jar.get('skey') }
  t.equal(await fine({ head: { token_info: skey } }), 0)
})

t.test('the gateway refuses without data: what the request is made of', async (t) => {
  const { client } = await withWebapp(t)
  const refused = async (bend: Bend, name = 'DiskUserInfoGet') => {
    const { whole } = await client.command(name, {}, bend)
    t.notOk('data' in whole, JSON.stringify(bend))
    return whole.ret
  }
  t.equal(await refused({ service: 'weiyunQdisk' }), 190012, 'the wrong service')
  t.equal(await refused({ service: 'weiyunQdiskClient' }, 'DiskDirList'), 190012)
  t.equal(await refused({}, 'DiskFileCopy'), 190012, 'no such command')
  const inherited = await client.send('/webapp/json/weiyunQdiskClient/toString', { method: 'POST' })
  t.equal(JSON.parse(inherited.body.toString()).ret, 190012)
  t.equal(await refused({ query: { cmd: '2208' } }), 190012)
  t.equal(await refused({ query: { surprise: '1' } }), 190013)
  const fields = { cmd: 2208, type: 2, version: 2, major_version: 2, minor_version: 0 }
  for (const [name, value] of Object.entries({ ...fields, fix_version: 0 })) {
    t.not(await refused({ reqHeader: { [name]: value } }), 0, name)
    t.equal(await refused({ reqHeader: { [name]: undefined } }), 190203, name)
    t.equal(await refused({ reqHeader: { [name]: String(value) } }), 190204, name)
  }
  t.equal(await refused({ reqHeader: { appid: 30012 } }), 190048)
  t.equal(await refused({ reqHeader: { user_flag: 1 } }), 190013, 'of WeChat accounts')
  t.equal(await refused({ reqHeader: { qq_openid: 'x' } }), 190013)
  t.equal(await refused({ reqHeader: { surprise: 1 } }), 190013)
  t.equal(await refused({ head: { surprise: 1 } }), 190013)
  t.equal(await refused({ head: { language_info: undefined } }), 190203)
  t.equal(await refused({ head: { buss_type: 100 } }), 190013)

  const whole = (value: unknown) => ({ text: JSON.stringify(value) })
  t.equal(await refused({ text: '{' }), 190034)
  t.equal(await refused(whole({ req_header: {}, req_body: {} })), 190034, 'objects, not strings')
  t.equal(await refused(whole({ req_header: '{', req_body: '{}' })), 190034)
  t.equal(await refused(whole({ req_body: '{}' })), 190201)
  t.equal(await refused(whole({ req_header: '{}' })), 190202)
  t.equal(await refused(whole({ req_header: '{}', req_body: '{}', more: 1 })), 190013)
  const dotless = JSON.stringify({ ReqMsg_body: { 'weiyun.DiskUserInfoGetMsgReq_body': {} } })
  t.equal(await refused(whole({ req_header: '{}', req_body: dotless })), 190013)
})

t.test('a command refuses within data', async (t) => {
  const { client } = await withWebapp(t)
  const refused = async (bend: Bend, body: object = {}) => {
    const { whole } = await client.command('DiskUserInfoGet', body, bend)
    t.notOk('ret' in whole)
    return whole.data.rsp_header.retcode
  }
  t.equal(await refused({}, { surprise: true }), 190013)
  t.equal(await refused({}, { is_get_weiyun_flag: 1 }), 190204)
  const info = { token_type: 0, login_key_type: 27, login_key_value: 'x' }
  t.equal(await refused({ head: { token_info: info } }), 190051)
  t.equal(await refused({ head: { token_info: { ...info, login_key_type: 192 } } }), 190061)
  t.equal(await refused({ head: { token_info: { ...info, token_type: 1 } } }), 190061)
  t.equal(await refused({ head: { token_info: { ...info, openid: '' } } }), 190013)
})

t.test('HTTP 403 for what is no page of the site', async (t) => {
  const { client } = await withWebapp(t)
  const refused = async (bend: Bend) => {
    const { answer, whole } = await client.command('DiskUserInfoGet', {}, bend)
    t.match(whole, { ret: 403 })
    t.equal(answer.status, 403, JSON.stringify(bend))
  }
  await refused({ headers: { Origin: 'https://example.org' } })
  await refused({ headers: { Origin: undefined } })
  await refused({ headers: { Referer: 'https://www.weiyun.com/' } })
  await refused({ headers: { Referer: 'https://www.weiyun.com.example.org/disk' } })
  await refused({ headers: { 'User-Agent': 'curl/8' } })
  await refused({ headers: { 'Content-Type': 'text/plain' } })
  const { headers } = await client.send('/webapp/json/weiyunQdisk/DiskDirList', {
    headers: BROWSER,
  })
  t.match(headers['content-type'], 'application/json', 'a GET is answered in the same form')
})
