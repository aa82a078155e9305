// Time limits, repeats, priorities and what must never be seen in a log, through the drive as a
// whole.
import { inspect } from 'node:util'
import t from 'tap'
import { isWeiyunError } from '../../src/weiyun/index.ts'
import {
  accountBody,
  announcement,
  frameReply,
  hang,
  jsonp,
  listing,
  MAIN,
  reset,
  type Script,
  SESSION,
  SUB,
  TOKEN,
  withFakeDrive,
} from '../fixtures/fake-service.ts'
import { sourceOf } from '../fixtures/upload-source.ts'

t.test('nothing secret in a log or an error', async (t) => {
  const { service, drive, logged } = await withFakeDrive(t)
  const caught: unknown[] = []
  const attempt = (work: Promise<unknown>) => work.catch((error) => caught.push(error))
  const file = { id: 'an-id', version: '7', name: 'secret-name', size: 5 }
  const readAll = async () => {
    for await (const _ of drive.read(SUB, file, 0, 5));
  }
  const place = { server_name: '127.0.0.1', server_port: service.port }
  const keys = { file_key: 'f11ef11e', check_key: 'c4ec4ec4' }
  service.on(
    '2301',
    announcement({ file_exist: false, file_id: 'n', filename: 'x', ...keys, ...place }),
  )
  service.on('wy_down', {
    status: 302,
    headers: { location: '/data/signed-path?sig=signed-value' },
  })
  for (const reply of [
    jsonp({}, 190051),
    { status: 503, body: SESSION.skey },
    { body: `<html>${SESSION.skey}` },
    { body: `{"skey":"${SESSION.skey}"` },
    { status: 302, headers: { location: `http://127.0.0.1/?skey=${SESSION.skey}` } },
    reset,
    hang,
  ]) {
    for (const name of ['query_user', 'get_dir_list', 'dir_create', 'batch_file_delete', 'chunk']) {
      service.on(name, reply)
    }
    service.on('/data/signed-path', reply)
    const options = { priority: 'ahead', signal: AbortSignal.timeout(400) } as const
    await Promise.all([
      attempt(drive.account(options)),
      attempt(drive.list(SUB, options)),
      attempt(drive.makeDir(SUB, 'x', options)),
      attempt(drive.upload(SUB, 'x', sourceOf(Buffer.from('hello')), options)),
    ])
  }
  service.on('query_user', jsonp(accountBody()))
  service.on('/data/signed-path', { status: 403 })
  await attempt(readAll())
  service.on('wy_down', { status: 302, headers: { location: 'gopher://x/?sig=signed-value' } })
  await attempt(readAll())

  t.ok(logged.length > 20 && caught.length > 20, `${logged.length} lines, ${caught.length} errors`)
  t.ok(caught.every((error) => isWeiyunError(error)))
  const all = logged.join('') + inspect(caught, { depth: 20, showHidden: true })
  const secrets = { ...SESSION, dialect: 'no secret', uin: 'o2956912470', TOKEN, ...keys }
  for (const [what, secret] of Object.entries({
    ...secrets,
    sig: 'signed-value',
    path: 'signed-path',
  })) {
    t.notOk(all.includes(secret), `no ${what}`)
    t.notOk(all.includes(encodeURIComponent(secret)), `no encoded ${what}`)
  }
  t.match(all, /\?cmd&g_tk&callback&data&_/, 'names of parameters only')
})

t.test('repeats', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const tries = async (script: Script | { status: number }, options = {}) => {
    service.seen.length = 0
    service.on('get_dir_list', script)
    await t.rejects(drive.list(SUB, options))
    return service.seen.length
  }
  t.equal(await tries({ status: 503 }), 4, 'a user: max_retry')
  t.equal(await tries(reset, { priority: 'background' }), 3, 'background: a couple')
  t.equal(await tries(reset, { priority: 'ahead' }), 3, 'read-ahead: a couple')
  t.equal(await tries({ status: 503 }, { once: true }), 1, 'once')
  t.equal(await tries(jsonp({}, 190042)), 4, 'transient')
  t.equal(await tries(jsonp({}, 190051)), 1, 'a dead session: at once')
  t.equal(await tries({ status: 302 }), 1, 'sent to a login page: at once')
  t.equal(await tries(jsonp({}, 1019)), 1, 'not found')
  t.equal(await tries(() => ({ body: '<html>' })), 2, 'not understood: once')
  service.on('get_dir_list', { status: 502 }, reset, listing())
  t.match(await drive.list(SUB), { entries: [] }, 'and it passes')
})

t.test('a user never waits longer than one and a half time limits', async (t) => {
  const { service, drive } = await withFakeDrive(t, { timeoutMs: 400 })
  service.on('get_dir_list', hang)
  // The lane has three places; the fourth waits for one, and its time runs all the same.
  const calls = Array.from({ length: 6 }, () => drive.list(SUB))
  // Together: one that is looked at late would count as unhandled.
  await Promise.all(calls.map((call) => t.rejects(call, { code: 'TIMEOUT' })))
  service.on('get_dir_list', listing())
  t.match(await drive.list(SUB), { entries: [] }, 'and the places are free again')
})

t.test('a long reply may take its time', async (t) => {
  const { service, drive } = await withFakeDrive(t, { timeoutMs: 2_000 })
  service.on('get_dir_list', async (seen, response) => {
    const text = String((await listing()(seen, response))?.body)
    response.writeHead(200, { 'content-length': text.length })
    for (const part of text.match(/.{1,20}/gs) ?? []) {
      response.write(part)
      await new Promise((resolve) => setTimeout(resolve, 400))
    }
    response.end()
    return undefined
  })
  t.match(await drive.list(SUB), { entries: [] })
})

t.test('truncated replies', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on(
    'get_dir_list',
    (_seen, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('try{', () => response.destroy())
      return undefined
    },
    listing(),
  )
  t.match(await drive.list(SUB), { entries: [] })
})

t.test('an unreachable service', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  await service.close()
  await t.rejects(drive.list(SUB, { priority: 'ahead' }), {
    code: 'UNREACHABLE',
    message: /ECONNREFUSED/,
  })
})

t.test('given up', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const controller = new AbortController()
  const arrived = Promise.withResolvers<void>()
  service.on('get_dir_list', () => {
    arrived.resolve()
    return undefined
  })
  const calls = Array.from({ length: 5 }, () => drive.list(SUB, { signal: controller.signal }))
  await arrived.promise
  controller.abort()
  for (const call of calls) await t.rejects(call, { code: 'ABORTED' })
  service.on('get_dir_list', listing())
  t.match(await drive.list(SUB), { entries: [] }, 'the lane is free')
})

t.test('closing', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('get_dir_list', hang).on('dir_create', { status: 503 })
  const lists = Array.from({ length: 5 }, () => drive.list(SUB))
  const calls: Promise<unknown>[] = [...lists, drive.makeDir(SUB, 'x')]
  const failures = calls.map((call) => t.rejects(call, { code: 'ABORTED' }))
  await drive.close()
  await Promise.all(failures)
  await t.rejects(drive.list(SUB), { code: 'ABORTED' }, 'and nothing begins any more')
})

t.test('a new session for a running drive', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('get_dir_list', jsonp({}, 190051))
  await t.rejects(drive.list(SUB), { code: 'SESSION_EXPIRED' })
  drive.useSession({ ...SESSION, skey: '@changeme' })
  service.on('get_dir_list', listing())
  await drive.list(SUB)
  const seen = service.seen.at(-1)
  t.match(seen?.headers.cookie, /skey=@changeme/)
  t.equal(seen?.query.get('g_tk'), '513535965')
  t.throws(
    () => drive.useSession({ ...SESSION, uin: '1' }),
    { code: 'INVALID' },
    'of another account',
  )
  t.throws(() => drive.useSession({ dialect: 'webapp', cookies: '' }), { code: 'INVALID' })
})

t.test('who goes first', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  service.on('get_dir_list', async (seen, response) => {
    order.push(JSON.parse(seen.query.get('data') ?? '').req_body.dir_key)
    await gate.promise
    return listing()(seen, response)
  })
  const list = (key: string, priority: 'user' | 'ahead' | 'background') =>
    drive.list({ key, parentKey: MAIN.key }, { priority })
  const calls = ['x', 'y', 'z'].map((key) => list(key, 'background'))
  calls.push(list('b', 'background'), list('a', 'ahead'), list('u', 'user'))
  while (order.length < 3) await new Promise((resolve) => setTimeout(resolve, 10))
  gate.resolve()
  await Promise.all(calls)
  t.strictSame(order.slice(3), ['u', 'a', 'b'])
})

t.test('a place in a lane for as long as the account says', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('query_user', jsonp(accountBody({ max_ul_tasks: 2, max_thread_getlist: '7' })))
  await drive.account()
  let now = 0
  let most = 0
  const counted =
    (script: Script): Script =>
    async (seen, response) => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 30))
      now--
      return script(seen, response)
    }
  service.on('get_dir_list', counted(listing()))
  await Promise.all(Array.from({ length: 20 }, () => drive.list(SUB)))
  t.equal(most, 7)
  most = 0
  service.on('2301', counted(announcement({ file_exist: true, file_id: 'n', filename: 'x' })))
  service.on(
    'chunk',
    counted(() => frameReply()),
  )
  const content = sourceOf(Buffer.from('hello'))
  await Promise.all(Array.from({ length: 8 }, () => drive.upload(SUB, 'x', content)))
  t.equal(most, 2)
})

t.test('the ceiling on requests', async (t) => {
  const { service, drive } = await withFakeDrive(t, { requestsPerSecond: 20 })
  service.on('get_dir_list', listing())
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: 110 }, () => drive.list(SUB)))
  t.ok(performance.now() - startedMs >= 450, 'a burst of 100, then 20 a second')
})
