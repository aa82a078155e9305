// The command that finds a file's bytes: it answers with a redirect to a signed URL (classic.md,
// section 5; newcgi.md, Appendix A, for the form without a redirect). data/download.ts serves that
// URL.
import { dirKey, fileId, oneOf, optional, record, text } from '../fields.ts'
import { type Call, type Reply, type Route, redirect, reply } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import { LINK_COOKIE } from '../store/links.ts'
import type { Store } from '../store/store.ts'
import { params } from './params.ts'
import { checksumOf } from './replies.ts'
import { checkReferer, checkToken, signIn, weiyunUrl } from './session.ts'

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
