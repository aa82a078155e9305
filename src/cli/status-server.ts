// `weiyun-mount status --web`: a page for the browser of whoever started it. It listens on
// loopback only, and answers nobody who does not know the token in the address; names of files are
// nobody else's business.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { EXIT } from './exit.ts'
import { LANGUAGE, trAny } from './language.ts'
import { stopSignal } from './signals.ts'
import type { Status } from './status.ts'
import { pageData } from './status-data.ts'
import { History } from './status-history.ts'

const SAMPLE_MS = 1000
const HOST = '127.0.0.1'

const TYPES: Readonly<Record<string, string>> = {
  'status.html': 'text/html; charset=utf-8',
  'status.css': 'text/css; charset=utf-8',
  'status.js': 'text/javascript; charset=utf-8',
}

/** Nothing from elsewhere, nothing kept, nothing told to others: the address is a secret. */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

/** Serves until a signal. `ask` asks the mounts. */
export async function serveStatusPage(ask: () => Promise<Status[]>): Promise<number> {
  const stop = stopSignal()
  const page = await openStatusPage(ask)
  console.log(page.url)
  await stop.requested
  page.close()
  return EXIT.OK
}

async function openStatusPage(
  ask: () => Promise<Status[]>,
): Promise<{ readonly url: string; close(): void }> {
  const token = randomBytes(16).toString('hex')
  const history = new History()
  let statuses: Status[] = []
  const look = async () => {
    // A mount that is silent for a moment is no reason to end the page.
    statuses = await ask().catch(() => statuses)
    history.record(statuses)
  }
  await look()
  const timer = setInterval(() => void look(), SAMPLE_MS)

  const server = createServer((request, response) => {
    void answer(request, response, token, () => pageData(statuses, history)).catch(() => {
      response.writeHead(500, HEADERS).end()
    })
  })
  await new Promise<void>((done) => server.listen(0, HOST, done))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${port}/${token}/`,
    close() {
      clearInterval(timer)
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
  data: () => object,
): Promise<void> {
  const [, given, name = '', ...rest] = (request.url ?? '').split('/')
  // A name that only points at loopback (DNS rebinding) is somebody else's page.
  const isLocal = request.headers.host?.startsWith(`${HOST}:`) ?? false
  const isKnown = isLocal && given === token && rest.length === 0 && request.method === 'GET'
  const file = name === '' ? 'status.html' : name
  const type = Object.hasOwn(TYPES, file) ? TYPES[file] : undefined
  if (isKnown && name === 'data') {
    response.writeHead(200, { ...HEADERS, 'content-type': 'application/json' })
    response.end(JSON.stringify(data()))
  } else if (isKnown && type !== undefined) {
    const text = await readFile(new URL(`page/${file}`, import.meta.url), 'utf8')
    response.writeHead(200, { ...HEADERS, 'content-type': type })
    response.end(file === 'status.html' ? inLanguage(text) : text)
  } else {
    response.writeHead(404, HEADERS).end()
  }
}

/** The page's own words stand in double braces. */
function inLanguage(html: string): string {
  const code = LANGUAGE === 'zh' ? 'zh-Hans' : 'en'
  return html
    .replace('lang="en"', `lang="${code}"`)
    .replaceAll(/\{\{(.+?)\}\}/g, (_, text: string) => trAny(text))
}
