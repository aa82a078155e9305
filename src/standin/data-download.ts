// Downloads: `wy_down.fcg` answers with a redirect to a signed URL, and the URL serves bytes and ranges of them
// (classic.md, section 5; newcgi.md, Appendix A, for the form without a redirect).
import { checksumOf } from './classic-replies.ts'
import { dirKey, fileId, oneOf, optional, record, text } from './fields.ts'
import { type Call, type Reply, type Route, redirect, reply } from './http.ts'
import { LINK_COOKIE } from './links.ts'
import { params } from './params.ts'
import { RET, Refusal } from './refusal.ts'
import { checkReferer, checkToken, signIn, weiyunUrl } from './session.ts'
import type { Store } from './store.ts'

const DOWN_QUERY = record({
  fid: fileId,
  pdir: dirKey,
  fn: text,
  uuin: text,
  skey: text,
  appid: oneOf(['30234'], RET.BAD_APPID),
  token: text,
  checksum: text,
  err_callback: optional(text),
  redirect: optional(oneOf(['0'])),
  ver: oneOf(['11']),
})

/** @param urlTtlMs asked at every request: it is a knob */
export function downRoute(store: Store, urlTtlMs: () => number): Route {
  return {
    matches: (call) => call.method === 'POST' && call.path === '/wy_down.fcg',
    name: () => 'wy_down',
    handle: (call) => locate(store, call, urlTtlMs()),
    refuse: refuseDown,
  }
}

async function locate(store: Store, call: Call, urlTtlMs: number): Promise<Reply> {
  checkReferer(call)
  const query = DOWN_QUERY(await params(call), 'query')
  const account = signIn(store.accounts, call)
  if (query.uuin !== String(account.uin)) throw new Refusal(RET.OTHER_ACCOUNT, 'uuin')
  if (query.skey !== account.credentials.skey) throw new Refusal(RET.NOT_LOGGED_IN, 'skey')
  checkToken(account, query.token)
  if (query.checksum !== checksumOf(account)) throw new Refusal(RET.DOWNLOAD_CHECK, 'checksum')
  const file = store.tree.file(account, store.tree.dir(account, query.pdir), query.fid)
  if (file.complete === 0) throw new Refusal(RET.INCOMPLETE, 'the upload is not complete')
  if (file.dead === 1) throw new Refusal(RET.NO_FILE, 'dead file')
  const segment = store.links.sign({
    uin: account.uin,
    file: file.id,
    sha: file.sha,
    expiresMs: Date.now() + urlTtlMs,
    needs: 'session',
  })
  const base = `http://${call.self.host}:${call.self.port}/ftn_handler/${segment}/`
  const url = `${base}?fname=${encodeURIComponent(query.fn)}&cv=30234&cn=0`
  if (query.redirect === undefined) return redirect(url)
  const cookie = { cookie_name: LINK_COOKIE, cookie_value: store.links.cookie(segment) }
  return json({ ret: RET.OK, url, ...cookie }, RET.OK)
}

/** Failures go to the page the client named, provided that it is one of the site's own. */
async function refuseDown(call: Call, ret: number): Promise<Reply> {
  const page = weiyunUrl(call.query.get('err_callback') ?? undefined)
  if (page !== undefined && !call.query.has('redirect')) {
    page.searchParams.set('ret', String(ret))
    return redirect(page.href, ret)
  }
  const refused = json({ ret }, ret)
  return { ...refused, headers: { ...refused.headers, 'X-ERRNO': String(ret) } }
}

function json(value: object, ret: number): Reply {
  return reply(JSON.stringify(value), { 'Content-Type': 'application/json' }, ret)
}

export function dataRoute(store: Store): Route {
  return {
    matches: (call) => /^(GET|HEAD)$/.test(call.method) && call.path.startsWith('/ftn_handler/'),
    name: () => 'ftn-get',
    handle: (call) => serve(store, call),
    refuse: refuseData,
  }
}

function serve(store: Store, call: Call): Reply {
  const segment = call.path.split('/')[2] ?? ''
  const link = store.links.verify(segment, Date.now())
  if (link === undefined) throw new Refusal(403, 'expired or forged link')
  call.uin = link.uin
  const cookie = call.cookies.get(LINK_COOKIE)
  if (cookie === undefined || !store.links.matchesCookie(segment, cookie)) {
    const holder = link.needs === 'session' ? signIn(store.accounts, call) : undefined
    if (holder?.uin !== link.uin) throw new Refusal(403, 'cookie of the link')
  }
  if (store.tree.isDead(link.file)) throw new Refusal(404, 'dead file')
  const size = store.blobs.sizeOf(link.sha)
  const range = parseRange(call.range, size)
  const headers: Record<string, string> = {
    'Accept-Ranges': 'bytes',
    'Content-Type': 'application/octet-stream',
    'Content-Disposition': 'attachment',
  }
  if (range === 'outside') {
    headers['Content-Range'] = `bytes */${size}`
    return { status: 416, headers, body: Buffer.alloc(0), ret: 0 }
  }
  const { start, end } = range ?? { start: 0, end: size - 1 }
  if (range !== undefined) headers['Content-Range'] = `bytes ${start}-${end}/${size}`
  const body = { path: store.blobs.path(link.sha), start, size: end - start + 1 }
  return { status: range === undefined ? 200 : 206, headers, body, ret: 0 }
}

/** One range of bytes, both ends included; a header of another form, or with several ranges, asks for the whole. */
function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'outside' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'outside' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'outside' : { start, end }
}

/** A data server has no envelope: a code that is an HTTP status is sent as such, any other as 403. */
function refuseData(_call: Call, ret: number): Reply {
  const status = ret >= 400 && ret < 600 ? ret : 403
  const headers = { 'Content-Type': 'text/html', 'X-ERRNO': String(ret) }
  return { status, headers, body: Buffer.alloc(0), ret }
}
