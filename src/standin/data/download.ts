// The data plane of downloads: signed URLs, served whole or in ranges.
import { signIn } from '../classic/session.ts'
import type { Call, Reply, Route } from '../http.ts'
import { Refusal } from '../refusal.ts'
import { LINK_COOKIE } from '../store/links.ts'
import type { Store } from '../store/store.ts'

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
  const body = store.blobs.body(link.sha, start, end + 1)
  return { status: range === undefined ? 200 : 206, headers, body, ret: 0 }
}

/**
 * One range of bytes, both ends included; a header of another form, or with several ranges, asks
 * for the whole.
 */
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

/**
 * A data server has no envelope: a code that is an HTTP status is sent as such, any other as 403.
 */
function refuseData(_call: Call, ret: number): Reply {
  const status = ret >= 400 && ret < 600 ? ret : 403
  const headers = { 'Content-Type': 'text/html', 'X-ERRNO': String(ret) }
  return { status, headers, body: Buffer.alloc(0), ret }
}
