// Session files: what a client needs to log in as an account, one file for each dialect, readable
// by their owner only.
import { randomUUID } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './store/accounts.ts'
import { cookiesOf, type Login } from './store/logins.ts'
import type { Store } from './store/store.ts'

/** What the session file of a dialect holds besides `dialect`. */
const FORMS: Record<string, (account: Account, login: Login) => object> = {
  classic: ({ uin, credentials }) => ({
    uin: String(uin),
    skey: credentials.skey,
    ptcz: credentials.ptcz,
    pgv_info: credentials.pgvInfo,
    pgv_pvid: credentials.pgvPvid,
    email: credentials.email,
  }),
  webapp: (_account, login) => ({
    cookies: Object.entries(cookiesOf(login))
      .map(([name, value]) => `${name}=${value}`)
      .join('; '),
  }),
}

/**
 * Writes an account's session files; returns their paths by dialect. The one for `webapp` is of the
 * account's oldest login, or of a new one by QQ when it has none.
 */
export async function writeSessions(
  store: Store,
  account: Account,
): Promise<Record<string, string>> {
  const { uin } = account
  const login = store.logins.of(uin)[0] ?? store.logins.start(uin, 'qq', Date.now())
  const dir = join(store.dataDir, 'sessions')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const paths: Record<string, string> = {}
  for (const [dialect, form] of Object.entries(FORMS)) {
    const path = join(dir, `${dialect}-${uin}.json`)
    const temp = `${path}.${randomUUID()}`
    const text = JSON.stringify({ dialect, ...form(account, login) }, null, 2)
    await writeFile(temp, `${text}\n`, { mode: 0o600 })
    await rename(temp, path)
    paths[dialect] = path
  }
  return paths
}
