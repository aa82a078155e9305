import t from 'tap'
import { fetchAvatars } from '../../src/weiyun/index.ts'
import { withFakeService } from '../fixtures/fake-service.ts'

t.test('several at once, in order', async (t) => {
  const service = await withFakeService(t)
  let now = 0
  let most = 0
  service
    .on('/getface', async ({ query }) => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 20))
      now--
      const uin = query.get('uin') ?? ''
      const none = Number(uin) % 2 === 0 ? '&t=0' : '&t=1420'
      return { body: `pt.setHeader({"${uin}":"${service.url}/face?nk=${uin}${none}"});` }
    })
    .on('/face', ({ query }) => ({
      body: `image of ${query.get('nk')}`,
      headers: { 'content-type': 'image/jpeg' },
    }))
  const uins = ['1', '2', '3', '4', '5', '6', '7']
  const avatars = await fetchAvatars(uins, { service: service.url, concurrency: 3 })
  t.strictSame(
    avatars.map(({ uin, image }) => [uin, image?.bytes.toString(), image?.type]),
    uins.map((uin) =>
      Number(uin) % 2 === 0 ? [uin, undefined, undefined] : [uin, `image of ${uin}`, 'image/jpeg'],
    ),
  )
  t.equal(most, 3)
  const [first] = service.seen
  t.equal(first?.method, 'GET')
  t.notOk(first?.headers.cookie)
  t.strictSame(Object.fromEntries(first?.query ?? []), {
    appid: '527020901',
    imgtype: '5',
    encrytype: '0',
    devtype: '0',
    keytpye: '0',
    uin: '1',
  })
})

t.test('what goes wrong', async (t) => {
  const service = await withFakeService(t)
  const fetchOne = () => fetchAvatars(['7'], { service: service.url })
  service.on('/getface', { body: 'pt.setHeader({});' })
  t.strictSame(await fetchOne(), [{ uin: '7', image: undefined }], 'no such user')
  service.on('/getface', { body: '<html>' })
  await t.rejects(fetchOne(), { code: 'BAD_REPLY' })
  service.on('/getface', { body: 'pt.setHeader({"7":"http://192.0.2.1/face"});' })
  await t.rejects(fetchOne(), { code: 'BAD_REPLY' }, 'a picture elsewhere')
  service.on('/getface', { status: 503 }, { body: 'pt.setHeader({});' })
  t.equal((await fetchOne()).length, 1, 'passes')
  const controller = new AbortController()
  controller.abort()
  const config = { service: service.url, signal: controller.signal }
  await t.rejects(fetchAvatars(['7'], config), { code: 'ABORTED' })
})
