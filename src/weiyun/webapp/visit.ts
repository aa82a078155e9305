// Pages of the site, as a browser visits them: redirects followed, cookies taken along and kept.
import type { Call } from '../call.ts'
import { WeiyunError } from '../errors.ts'
import type { ServiceHosts } from '../hosts.ts'
import type { TextReply, Transport } from '../transport.ts'

const REDIRECTS_MAX = 10

/** Decides which cookies go where. */
export interface Cookies {
  /** The header for a request, '' for none. */
  headerFor(url: URL): string
  take(setCookie: string | string[] | undefined, from: URL): void
}

export interface Browser {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly cookies: Cookies
}

export interface Page extends TextReply {
  /** Where the redirects ended. */
  readonly url: URL
}

/** GETs a page. `isSecret`: its path must not be logged either. */
export async function visit(
  { transport, hosts, cookies }: Browser,
  start: URL,
  call: Call,
  { isSecret = false }: { readonly isSecret?: boolean } = {},
): Promise<Page> {
  let url = start
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const cookie = cookies.headerFor(url)
    const headers = cookie === '' ? {} : { cookie }
    const reply = await transport.fetch({ method: 'GET', url, headers, signed: isSecret }, call)
    cookies.take(reply.headers['set-cookie'], url)
    const { location } = reply.headers
    const isRedirect = reply.status >= 300 && reply.status < 400
    if (!isRedirect || typeof location !== 'string') return { ...reply, url }
    url = hosts.named(location, url)
  }
  throw new WeiyunError('BAD_REPLY', `${start.host}: redirects for ever`)
}
