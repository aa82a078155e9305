// Ranged reads from servers that behave, and from all those that do not.
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { DriveConfig, FileRef } from '../../../src/weiyun/index.ts'
import {
  accountBody,
  type FakeService,
  hang,
  jsonp,
  MAIN,
  type Reply,
  reset,
  type Script,
  SESSION,
  type Seen,
  TOKEN,
  withFakeDrive,
} from '../../fixtures/fake-service.ts'
import { Random } from '../../fixtures/random.ts'

const CONTENT = randomBytes(300_000)
const FILE: FileRef = { id: 'an-id', version: '7', name: 'a b.bin', size: CONTENT.length }

const redirect: Reply = { status: 302, headers: { location: '/data?sig=secret' } }

/** Answers a range as it should be. */
const honest: Script = (seen) => {
  const [start, end] = rangeOf(seen)
  return {
    status: 206,
    headers: { 'content-range': `bytes ${start}-${end - 1}/${CONTENT.length}` },
    body: CONTENT.subarray(start, end),
  }
}

function rangeOf({ headers }: Seen): [number, number] {
  const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
  return [Number(start), Number(last) + 1]
}

/** Announces the whole range, sends `bytes` of it, and then does what `then` says. */
function partial(bytes: number, then: (response: ServerResponse) => void): Script {
  return (seen, response) => {
    const [start, end] = rangeOf(seen)
    response.writeHead(206, {
      'content-range': `bytes ${start}-${end - 1}/${CONTENT.length}`,
      'content-length': end - start,
    })
    response.write(CONTENT.subarray(start, start + bytes), () => then(response))
    return undefined
  }
}

async function setUp(t: Test, config: Partial<DriveConfig> = {}) {
  const fake = await withFakeDrive(t, config)
  // One repeat keeps those tests short that end in failure.
  fake.service.on('query_user', jsonp(accountBody({ max_retry: 1 })))
  await fake.drive.account()
  fake.service.seen.length = 0
  fake.service.on('wy_down', redirect).on('/data', honest)
  const read = async (offset = 0, length = CONTENT.length - offset, options = {}) => {
    const parts: Buffer[] = []
    for await (const part of fake.drive.read(MAIN, FILE, offset, length, options)) parts.push(part)
    return Buffer.concat(parts)
  }
  return { ...fake, read }
}

function count(service: FakeService, name: string): number {
  return service.names.filter((one) => one === name).length
}

t.test('on the wire', async (t) => {
  const { service, read } = await setUp(t)
  t.ok((await read(10, 20)).equals(CONTENT.subarray(10, 30)))
  const down = service.only('wy_down')
  t.equal(down.method, 'POST')
  t.strictSame(Object.fromEntries(down.query), {
    fid: 'an-id',
    pdir: MAIN.key,
    fn: 'a b.bin',
    uuin: SESSION.uin,
    skey: SESSION.skey,
    appid: '30234',
    token: TOKEN,
    checksum: '1750865379',
    err_callback: 'http://www.weiyun.com/web/callback/iframe_disk_down_fail.html',
    ver: '11',
  })
  t.equal(down.headers.origin, 'http://www.weiyun.com')
  const data = service.only('/data')
  t.equal(data.method, 'GET')
  t.equal(data.headers.range, 'bytes=10-29')
  t.equal(data.headers.cookie, down.headers.cookie)
  t.equal(data.headers.origin, 'http://www.weiyun.com')
})

t.test('one address for all ranges of a version, asked for once', async (t) => {
  const { service, read } = await setUp(t)
  const starts = [0, 50_000, 100_000, 150_000, 200_000, 250_000]
  const parts = await Promise.all(starts.map((start) => read(start, 50_000)))
  t.ok(Buffer.concat(parts).equals(CONTENT))
  t.equal(count(service, 'wy_down'), 1)
  t.equal(count(service, '/data'), 6)
})

t.test('nothing to read, nothing asked', async (t) => {
  const { service, read } = await setUp(t)
  t.equal((await read(CONTENT.length)).length, 0)
  t.equal(service.seen.length, 0)
  await t.rejects(read(0, CONTENT.length + 1), { code: 'INVALID' })
  await t.rejects(read(-1, 1), { code: 'INVALID' })
})

t.test('cookies of the address go with it', async (t) => {
  const { service, read } = await setUp(t)
  service.on('wy_down', {
    ...redirect,
    headers: { ...redirect.headers, 'set-cookie': 'FTN5K=abc; Path=/' },
  })
  await read(0, 1)
  t.match(service.only('/data').headers.cookie, /skey=@Zx9Qw3Er7; .*FTN5K=abc/)
})

for (const status of [401, 403, 404, 410]) {
  t.test(`an address that expires with ${status} is asked for once more`, async (t) => {
    const { service, read } = await setUp(t)
    await read(0, 1)
    service.on('/data', { status }, honest)
    t.ok((await read(1, 9)).equals(CONTENT.subarray(1, 10)))
    t.equal(count(service, 'wy_down'), 2)
    service.on('/data', { status })
    await t.rejects(read(0, 1), { code: 'REFUSED' }, 'and then it counts')
    t.equal(count(service, 'wy_down'), 3)
  })
}

for (const [what, fault] of [
  ['a body that ends early', partial(10_000, (response) => response.destroy())],
  ['a connection that is reset', reset],
  ['HTTP 503', { status: 503 }],
  [
    'another range',
    { status: 206, headers: { 'content-range': 'bytes 0-9/300000' }, body: 'abcdefghij' },
  ],
  [
    'a range of another file',
    { status: 206, headers: { 'content-range': 'bytes 5-9/77' }, body: 'abcde' },
  ],
  ['no word on the range', { status: 206, body: 'abcde' }],
  ['a page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ['416', { status: 416 }],
  ['a compressed body', { status: 206, headers: { 'content-encoding': 'gzip' }, body: 'abc' }],
] as const) {
  t.test(`${what}: read on from there`, async (t) => {
    const { service, read } = await setUp(t)
    service.on('/data', fault as Reply, honest)
    t.ok((await read(5)).equals(CONTENT.subarray(5)))
    service.on('/data', fault as Reply)
    const isProgress = what === 'a body that ends early'
    if (!isProgress) await t.rejects(read(5), 'but not for ever')
  })
}

t.test('a file that has another size by now', async (t) => {
  const { service, read } = await setUp(t)
  const other = { status: 206, headers: { 'content-range': 'bytes 0-9/77' }, body: 'abcdefghij' }
  service.on('/data', other)
  await t.rejects(read(0, 10), { code: 'STALE' })
  t.equal(count(service, 'wy_down'), 2, 'at a fresh address too')

  service.on('/data', { status: 416, headers: { 'content-range': 'bytes */77' } })
  await t.rejects(read(100, 10), { code: 'STALE' }, 'and when it ends before that')
})

t.test('an interrupted body is not read twice', async (t) => {
  const { service, read } = await setUp(t)
  service.on(
    '/data',
    partial(100_000, (response) => response.destroy()),
    honest,
  )
  t.ok((await read()).equals(CONTENT))
  const again = service.seen
    .filter(({ path }) => path === '/data')
    .map(({ headers }) => headers.range)
  t.equal(again.length, 2)
  const [start] = rangeOf(service.seen.at(-1) as Seen)
  t.ok(start > 0 && start <= 100_000, again.join())
})

t.test('a stalled body is noticed', async (t) => {
  const { service, read } = await setUp(t, { timeoutMs: 400 })
  const background = { priority: 'background' }
  service.on(
    '/data',
    partial(100_000, () => {}),
    honest,
  )
  t.ok((await read(0, CONTENT.length, background)).equals(CONTENT))
  t.equal(count(service, '/data'), 2)
  service.on('/data', hang)
  await t.rejects(read(0, 1), { code: 'TIMEOUT' }, 'nobody waits for ever')
})

t.test('a reader that pauses is not a stall', async (t) => {
  const { drive, service } = await setUp(t, { timeoutMs: 2_000 })
  const parts: Buffer[] = []
  for await (const part of drive.read(MAIN, FILE, 0, FILE.size)) {
    if (parts.length === 0) await new Promise((resolve) => setTimeout(resolve, 3_000))
    parts.push(part)
  }
  t.ok(Buffer.concat(parts).equals(CONTENT))
  t.equal(count(service, '/data'), 1)
})

t.test('leaving early frees the connection', async (t) => {
  const { drive, service } = await setUp(t)
  const closed = Promise.withResolvers<void>()
  service.on(
    '/data',
    partial(100_000, (response) => response.on('close', closed.resolve)),
    honest,
  )
  for await (const _ of drive.read(MAIN, FILE, 0, FILE.size)) break
  await closed.promise
  for (let turn = 0; turn < 8; turn++) {
    const again = drive.read(MAIN, FILE, 0, FILE.size)
    for await (const _ of again) break
  }
  t.equal(count(service, '/data'), 9, 'and its place in the lane')
})

t.test('given up by the caller', async (t) => {
  const { service, read } = await setUp(t)
  const controller = new AbortController()
  service.on('/data', () => {
    controller.abort()
    return undefined
  })
  await t.rejects(read(0, 10, { signal: controller.signal }), { code: 'ABORTED' })
  await t.rejects(
    read(0, 10, { signal: controller.signal }),
    { code: 'ABORTED' },
    'before it begins',
  )
  t.equal(count(service, '/data'), 1)
})

t.test('one reader giving up does not take the address from the others', async (t) => {
  const { service, read } = await setUp(t)
  const controller = new AbortController()
  service.on('wy_down', async () => {
    controller.abort()
    await new Promise((resolve) => setTimeout(resolve, 50))
    return redirect
  })
  const first = read(0, 10, { signal: controller.signal })
  const second = read(10, 10)
  await t.rejects(first, { code: 'ABORTED' })
  t.ok((await second).equals(CONTENT.subarray(10, 20)))
  t.equal(count(service, 'wy_down'), 1)
})

t.test('refusals of the download', async (t) => {
  const failPage = 'http://www.weiyun.com/web/callback/iframe_disk_down_fail.html'
  for (const [reply, code] of [
    [{ status: 302, headers: { location: failPage, 'x-errno': '1020' } }, 'NOT_FOUND'],
    [{ status: 302, headers: { location: failPage, 'x-errno': '190051' } }, 'SESSION_EXPIRED'],
    [{ status: 302, headers: { location: failPage } }, 'SERVER'],
    [{ status: 302, headers: { location: 'http://ui.ptlogin2.weiyun.com/' } }, 'SESSION_EXPIRED'],
    [{ status: 302, headers: { location: 'ftp://127.0.0.1/x' } }, 'BAD_REPLY'],
    [{ status: 302, headers: { location: 'http://192.0.2.1/data' } }, 'BAD_REPLY'],
    [{ body: '{"ret":190049}' }, 'BLOCKED_CONTENT'],
    [{ body: '<html>' }, 'BAD_REPLY'],
  ] as const) {
    const { service, read } = await setUp(t)
    service.on('wy_down', reply as Reply)
    await t.rejects(read(0, 1), { code }, JSON.stringify(reply))
    t.equal(count(service, '/data'), 0)
  }
})

t.test('further redirects', async (t) => {
  const { service, read } = await setUp(t)
  service.on('/data', { status: 302, headers: { location: '/there' } }).on('/there', honest)
  t.ok((await read(7, 9)).equals(CONTENT.subarray(7, 16)))
  t.equal(service.only('/there').headers.range, 'bytes=7-15')
  service.on('/there', { status: 302, headers: { location: '/there' } })
  await t.rejects(read(0, 1), { code: 'BAD_REPLY' }, 'but not for ever')
})

t.test('a server without ranges: in order costs one pass', async (t) => {
  const { service, read } = await setUp(t)
  service.on('/data', { body: CONTENT })
  for (let offset = 0; offset < CONTENT.length; offset += 60_000) {
    const part = await read(offset, 60_000)
    if (!part.equals(CONTENT.subarray(offset, offset + 60_000))) t.fail(`wrong bytes at ${offset}`)
  }
  t.equal(count(service, '/data'), 1)
  t.ok((await read(1000, 10)).equals(CONTENT.subarray(1000, 1010)), 'going back starts anew')
  t.equal(count(service, '/data'), 2)
})

t.test('a server without ranges: several readers at once', async (t) => {
  const { service, read } = await setUp(t)
  service.on('/data', { body: CONTENT })
  const starts = [0, 50_000, 100_000, 150_000, 200_000, 250_000]
  const parts = await Promise.all(starts.map((start) => read(start, 50_000)))
  t.ok(Buffer.concat(parts).equals(CONTENT))
  t.ok(count(service, '/data') <= 8, `${count(service, '/data')} requests`)
})

t.test('any ranges from a server of any mood', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const { service, drive } = await setUp(t)
  service.on('query_user', jsonp(accountBody({ max_retry: 5 })))
  await drive.account()
  const whole: Script = () => ({ body: CONTENT })
  const moods = [
    honest,
    honest,
    honest,
    whole,
    { status: 403 },
    { status: 503 },
    reset,
    (seen: Seen, response: ServerResponse) =>
      partial(random.below(40_000), (broken) => broken.destroy())(seen, response),
  ] as const
  // Never in a bad mood more often than patience lasts.
  let bad = 0
  service.on('/data', (seen, response) => {
    const mood = random.pick(moods)
    bad = mood === honest || mood === whole ? 0 : bad + 1
    const script = bad > 1 ? honest : mood
    return typeof script === 'function' ? script(seen, response) : script
  })
  for (let turn = 0; turn < 25; turn++) {
    const readers = Array.from({ length: 1 + random.below(3) }, async () => {
      const offset = random.below(CONTENT.length + 1)
      const length = random.below(CONTENT.length - offset + 1)
      const parts: Buffer[] = []
      const stopAt = random.below(4) === 0 ? random.below(length + 1) : length
      let got = 0
      try {
        for await (const part of drive.read(MAIN, FILE, offset, length)) {
          parts.push(part)
          got += part.length
          if (got >= stopAt && stopAt < length) break
        }
      } catch (error) {
        // Two refusals in a row are final; whatever came before is still right.
        if (!(error instanceof Error && 'code' in error && error.code === 'REFUSED')) throw error
        return
      } finally {
        const right = Buffer.concat(parts).equals(CONTENT.subarray(offset, offset + got))
        if (!right) t.fail(`wrong bytes in ${offset}+${length}`)
      }
      if (stopAt === length && got !== length) t.fail(`${got} bytes of ${length}`)
    })
    await Promise.all(readers)
  }
  t.ok(service.seen.length > 25)
})
