import { PNG } from 'pngjs'
import decodeQR from 'qr/decode.js'
import t, { type Test } from 'tap'
import { hash33 } from '../../../src/standin/login/qq.ts'
import { LoginBrowser } from '../../fixtures/login-pages.ts'
import { withStandin } from '../../fixtures/standin.ts'
import { VECTORS } from '../../fixtures/webapp-vectors.ts'

async function withBrowser(t: Test) {
  const { standin } = await withStandin(t)
  return { standin, browser: new LoginBrowser(standin.url) }
}

t.test('hash33: the vectors', async (t) => {
  for (const { input, ptqrtoken } of VECTORS.hash33) t.equal(hash33(input), ptqrtoken, input)
})

t.test('from the code to a session, by way of every state', async (t) => {
  const { standin, browser } = await withBrowser(t)
  const { uin } = await standin.admin.addAccount({ nickname: "o'hara" })
  await browser.xlogin()
  t.ok(browser.jar.get('pt_login_sig'))
  const shown = await browser.qrshow()
  t.equal(shown.headers['content-type'], 'image/png')
  t.ok(browser.jar.get('qrsig'))

  t.match(await browser.poll(), ['66', '0', '', '0', /./, ''])
  t.same(standin.admin.login({ action: 'scan' }), { kind: 'qq', state: 'scanned' })
  t.match(await browser.poll(), ['67', '0', ''])
  standin.admin.login({ action: 'confirm', uin })
  const [code, , url = '', , , nick] = await browser.poll()
  t.equal(code, '0')
  t.equal(nick, "o\\'hara")
  t.ok(url.startsWith(`${standin.url}/check_sig?`))
  t.notOk(browser.jar.has('p_skey'))

  const done = await browser.send(url)
  t.equal(done.status, 302)
  const page = await browser.send(String(done.headers.location))
  t.equal(page.status, 200)
  const names = ['uin', 'skey', 'p_uin', 'p_skey', 'pt4_token']
  t.ok(names.every((name) => browser.jar.has(name)))
  t.equal(browser.jar.get('uin'), `o${uin}`)
  t.equal((await browser.send(url)).status, 403, 'the ticket is good once')
  t.match(await browser.poll(), ['65'], 'and so is the code')

  await browser.disk()
  const { body } = await browser.command('DiskUserInfoGet', {})
  t.match(body, { uin, nick_name: "o'hara" })
})

t.test('codes that lapse, are refused, or are nobody’s', async (t) => {
  const { standin, browser } = await withBrowser(t)
  t.throws(() => standin.admin.login({ action: 'scan' }), 'no code is shown')
  await browser.xlogin()
  await browser.qrshow()
  standin.admin.login({ action: 'expire' })
  t.match(await browser.poll(), ['65', '0', ''])
  t.throws(() => standin.admin.login({ action: 'confirm' }), 'too late')

  await browser.qrshow()
  standin.admin.login({ action: 'refuse' })
  const [code = '', , url] = await browser.poll()
  t.notOk(['0', '65', '66', '67'].includes(code))
  t.equal(url, '')

  await browser.qrshow()
  browser.jar.set('qrsig', 'x')
  t.match(await browser.poll(), ['65'])
  t.equal((await browser.get('/check_sig', { ptsigx: '', s_url: '' })).status, 403)
})

t.test('every parameter is checked', async (t) => {
  const { browser } = await withBrowser(t)
  await browser.xlogin()
  await browser.qrshow()
  const status = async (answer: Promise<{ status: number }>) => (await answer).status
  t.equal(await status(browser.qrlogin()), 200)
  t.equal(await status(browser.qrlogin({ ptqrtoken: '0' })), 403)
  t.equal(await status(browser.qrlogin({ login_sig: 'x' })), 403)
  t.equal(await status(browser.qrlogin({ action: '0-0-0' })), 403)
  t.equal(await status(browser.qrlogin({ low_login_hour: undefined })), 403)
  t.equal(await status(browser.qrlogin({ surprise: '1' })), 403)
  t.equal(await status(browser.qrshow({ s: '2' })), 403)
  t.equal(await status(browser.qrshow({ u1: 'https://example.org' })), 403)
  t.equal(
    await status(browser.xlogin({ low_login_foreced: undefined, low_login_forced: '1' })),
    403,
  )
})

t.test('the picture is a QR code at every scale', async (t) => {
  const { browser } = await withBrowser(t)
  for (const s of ['3', '8']) {
    const { width, height, data } = PNG.sync.read((await browser.qrshow({ s })).body)
    t.match(decodeQR({ width, height, data }), /^https:\/\/txz\.qq\.com\/p\?k=/, s)
  }
})
