// Pages of the site, as a browser visits them: redirects followed, cookies taken along and kept.
import type { Call } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import type { TextReply, Transport } from '../transport.ts'
import type { CookieJar } from './cookies.ts'

const REDIRECTS_MAX = 10

export interface Page extends TextReply {
  /** Where the redirects ended. */
  readonly url: URL
}

export interface Browser {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly jar: CookieJar
}

/** GETs a page. `secret`: its path is one too. */
export async function visit(
  { transport, hosts, jar }: Browser,
  start: URL,
  call: Call,
  { secret = false }: { readonly secret?: boolean } = {},
): Promise<Page> {
  let url = start
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const isOurs = hosts.isOurs(url)
    const headers = isOurs && jar.header !== '' ? { cookie: jar.header } : {}
    const reply = await transport.fetch({ method: 'GET', url, headers, signed: secret }, call)
    if (isOurs) jar.merge(reply.headers['set-cookie'])
    const { location } = reply.headers
    const isRedirect = reply.status >= 300 && reply.status < 400
    if (!isRedirect || typeof location !== 'string') return { ...reply, url }
    url = hosts.named(location, url)
  }
  throw new WeiyunError('BAD_REPLY', `${start.host}: redirects for ever`)
}
