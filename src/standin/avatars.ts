// Avatars: a lookup that needs no login, and the pictures it points to (classic.md, section 7).
// Accounts of this service have one, a square in a colour of their own; the rest of the world has
// none.
import { type Reply, type Route, reply } from './http.ts'
import { squarePng } from './png.ts'
import type { Store } from './store/store.ts'

/** Edge in pixels for imgtype 1 to 5 [I]. */
const EDGES = [40, 50, 100, 140, 640]

/** `keytpye` is spelled as the service spells it. */
const CONSTANTS = { appid: '527020901', encrytype: '0', devtype: '0', keytpye: '0' }
const NAMES = new Set([...Object.keys(CONSTANTS), 'imgtype', 'uin'])

const BAD_REQUEST: Reply = { status: 400, headers: {}, body: Buffer.alloc(0), ret: 400 }

export const avatarRoutes = (store: Store): Route[] => [faceRoute(store), PICTURES]

function faceRoute(store: Store): Route {
  return {
    matches: (call) => call.method === 'GET' && call.path === '/getface',
    name: () => 'getface',
    handle({ query, self }) {
      const right = Object.entries(CONSTANTS).every(([name, value]) => query.get(name) === value)
      const uin = query.get('uin') ?? ''
      const imgtype = query.get('imgtype') ?? ''
      const strange = [...query.keys()].some((name) => !NAMES.has(name))
      if (!right || strange || !/^\d{5,10}$/.test(uin) || !/^[1-5]$/.test(imgtype)) {
        return BAD_REQUEST
      }
      const account = store.accounts.find(Number(uin))
      const stamp = account === undefined ? 0 : Math.floor(account.ctimeMs / 1000)
      const edge = EDGES[Number(imgtype) - 1]
      const url = `http://${self.host}:${self.port}/g?b=qq&nk=${uin}&s=${edge}&t=${stamp}`
      const body = `pt.setHeader(${JSON.stringify({ [uin]: url })});`
      return reply(body, { 'Content-Type': 'text/html' })
    },
    refuse: () => BAD_REQUEST,
  }
}

const PICTURES: Route = {
  matches: (call) => call.method === 'GET' && call.path === '/g',
  name: () => 'picture',
  async handle({ query }) {
    const edge = Number(query.get('s'))
    const uin = Number(query.get('nk'))
    if (!EDGES.includes(edge) || !Number.isSafeInteger(uin)) return BAD_REQUEST
    const colour = (uin * 7919) % 2 ** 24
    return reply(await squarePng(edge, () => colour), { 'Content-Type': 'image/png' })
  },
  refuse: () => BAD_REQUEST,
}
