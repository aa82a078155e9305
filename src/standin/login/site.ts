// Pages of the site that keep a login going or end it (webapp.md, section 3).
import { type Call, type Reply, type Route, redirect, reply } from '../http.ts'
import { Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import { cookiesOf } from '../store/logins.ts'
import type { Store } from '../store/store.ts'
import { setCookie, signIn, type Visitor, withRenewal } from '../webapp/session.ts'

/** Where visitors without a login are sent; the real address is in none of the sheets. */
export const LOGIN_PAGE = '/login.html'
/** Where logins by QQ end up (webapp.md, 4.1). */
export const LOGIN_DONE_PAGE = '/web/callback/common_qq_login_ok.html'

export function siteRoutes(store: Store, knobs: Knobs): Route[] {
  return [
    page('disk', '/disk', (call) => disk(store, knobs, call)),
    page('logout', '/cgi-bin/logout', (call) => logout(store, knobs, call)),
    page('login-page', LOGIN_PAGE, () => html('<title>Login</title>')),
    page('login-done', LOGIN_DONE_PAGE, () => html('<title>Login</title>')),
  ]
}

/** A page that is got; refused, it is an HTTP error. */
export function page(
  name: string,
  path: string,
  handle: (call: Call) => Reply | Promise<Reply>,
): Route {
  return {
    matches: (call) => call.method === 'GET' && call.path === path,
    name: () => name,
    handle,
    refuse: (_call, ret) => ({ ...html('<title>Error</title>', ret), status: 403 }),
  }
}

export function html(body: string, ret = 0): Reply {
  return reply(`<!DOCTYPE html>${body}`, { 'Content-Type': 'text/html; charset=utf-8' }, ret)
}

/** Sets cookies besides those that the reply sets already. */
export function withCookies(answer: Reply, cookies: Record<string, string>): Reply {
  const before = answer.headers['Set-Cookie'] ?? []
  const lines = Object.entries(cookies).map(([name, value]) => setCookie(name, value))
  return { ...answer, headers: { ...answer.headers, 'Set-Cookie': [...before, ...lines] } }
}

/** The main page, which gives out `wyctoken`; without a login it leads to the login page. */
function disk(store: Store, knobs: Knobs, call: Call): Reply {
  const visitor = visitorOf(store, knobs, call)
  if (visitor === undefined) return redirect(LOGIN_PAGE)
  const { login } = visitor
  if (login.token === '') store.logins.rotateToken(login, Date.now())
  const secrets = withRenewal(html('<title>Weiyun</title>'), login, call)
  return withCookies(secrets, { wyctoken: login.token })
}

function logout(store: Store, knobs: Knobs, call: Call): Reply {
  const login = visitorOf(store, knobs, call)?.login
  const answer = redirect(LOGIN_PAGE)
  if (login === undefined) return answer
  store.logins.end(login)
  const names = [...Object.keys(cookiesOf(login)), 'wyctoken']
  const gone = names.map((name) => `${setCookie(name, '')}; Max-Age=0`)
  return { ...answer, headers: { ...answer.headers, 'Set-Cookie': gone } }
}

function visitorOf(store: Store, knobs: Knobs, call: Call): Visitor | undefined {
  try {
    return signIn(store, call, knobs)
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}
