// The status page in a real browser: what it shows, how it is reached, who is kept out.
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { Browser, keepScreenshot, noChromium } from '../fixtures/chromium.ts'
import { startCli } from '../fixtures/cli.ts'
import { noFuse, Rig, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024

/** Starts `status --web`; resolves with its address. */
async function pageOf(t: Test, rig: Rig, env = {}): Promise<string> {
  const child = startCli(['status', '--web'], { ...rig.bench.env, ...env })
  t.teardown(async () => {
    if (child.exitCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGINT')
    await gone
  })
  const [url] = await once(createInterface({ input: child.stdout }), 'line')
  return String(url)
}

/** One file that is refused and one that is on its way, slowly. */
async function busyRig(t: Test): Promise<Rig> {
  const rig = await Rig.open(t)
  rig.admin.setFaults([{ kind: 'ret:1053', match: WIRE.announce, times: 1 }])
  await writeFile(rig.path('refused <b>微云.txt'), 'hello')
  await until(async () => (await rig.status()).pending[0]?.state === 'error', 'it is refused')
  rig.admin.setKnobs({ bandwidth: MiB })
  await writeFile(rig.path('slow.bin'), Buffer.alloc(64 * MiB, 'x'))
  return rig
}

t.test('a page of what is going on', { skip: noFuse || noChromium }, async (t) => {
  const rig = await busyRig(t)
  const browser = await Browser.open(t, await pageOf(t, rig))
  await browser.until("document.querySelector('progress')?.value > 0.02")
  const text = String(await browser.evaluate('document.body.innerText'))
  for (const part of [
    `${rig.bench.mountpoint}: ready, process ${rig.mount?.child.pid}`,
    'Throughput',
    'Space on the drive',
    '/slow.bin',
    'refused <b>微云.txt',
    'the drive is full → make room on the drive',
  ]) {
    t.ok(text.includes(part), part)
  }
  t.match(text, /\d \w+\/s up, /)
  await browser.until("document.querySelectorAll('polyline')[0].getAttribute('points').length > 60")
  const accessible = await browser.accessible()
  for (const line of [
    /^image: Throughput: .*\/s up/,
    /^progressbar: \/slow\.bin/,
    /^button: Pause/,
  ]) {
    t.ok(
      accessible.some((node) => line.test(node)),
      `${line}`,
    )
  }
  t.ok(accessible.includes('columnheader: Progress'))
  await keepScreenshot(browser, 'status')

  await browser.press('Tab')
  await browser.press(' ', ' ')
  t.equal(
    await browser.evaluate("document.getElementById('pause').ariaPressed"),
    'true',
    'by keyboard',
  )
  t.same(browser.complaints, [])
  rig.mount?.child.kill('SIGKILL')
})

t.test(
  'in Chinese, without colours, on a small screen',
  { skip: noFuse || noChromium },
  async (t) => {
    const rig = await busyRig(t)
    const browser = await Browser.open(t, await pageOf(t, rig, { LANG: 'zh_CN.UTF-8' }))
    await browser.send('Emulation.setEmulatedVisionDeficiency', { type: 'achromatopsia' })
    const phone = { width: 390, height: 800, deviceScaleFactor: 1, mobile: true }
    await browser.send('Emulation.setDeviceMetricsOverride', phone)
    await browser.until("document.querySelector('progress')?.value > 0.02")
    const text = String(await browser.evaluate('document.body.innerText'))
    for (const part of ['等待上传', '传输速度', '网盘已满', '请清理网盘'])
      t.ok(text.includes(part), part)
    t.equal(await browser.evaluate('document.documentElement.lang'), 'zh-Hans')
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
    t.equal(await browser.evaluate(overflow), 0, 'nothing sticks out at the side')
    await keepScreenshot(browser, 'status-zh')
    rig.mount?.child.kill('SIGKILL')
  },
)

t.test('nobody without the token, nobody from elsewhere', { skip: noFuse }, async (t) => {
  const rig = await Rig.open(t)
  const url = await pageOf(t, rig)
  const status = (at: string, headers = {}) =>
    new Promise<number | undefined>((done) => {
      get(at, { headers }, (response) => done(response.resume().statusCode))
    })
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/)
  t.equal(await status(url), 200)
  t.equal(await status(`${url}data`), 200)
  t.equal(await status(new URL('/', url).href), 404)
  t.equal(await status(new URL(`/${'0'.repeat(32)}/`, url).href), 404)
  t.equal(await status(`${url}../../package.json`), 404)
  t.equal(await status(`${url}toString`), 404)
  t.equal(await status(url, { host: 'evil.example:80' }), 404, 'a name that points here')
  const { headers } = await fetch(url)
  t.match(headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(headers.get('cache-control'), 'no-store')
  const table = await readFile('/proc/net/tcp', 'utf8')
  const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0')
  t.match(table, `0100007F:${port} 00000000:0000`)
  t.notMatch(table, `00000000:${port} 00000000:0000`, 'on loopback only')
  t.equal(await rig.stop(), 0)
})
