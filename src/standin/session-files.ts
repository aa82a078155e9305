// Session files: what a client needs to log in as an account, one file for each dialect, readable
// by their owner only.
import { randomUUID } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './store/accounts.ts'

/** What the session file of a dialect holds besides `dialect`. */
const FORMS: Record<string, (account: Account) => object> = {
  classic: ({ uin, credentials }) => ({
    uin: String(uin),
    skey: credentials.skey,
    ptcz: credentials.ptcz,
    pgv_info: credentials.pgvInfo,
    pgv_pvid: credentials.pgvPvid,
    email: credentials.email,
  }),
}

/** Writes an account's session files; returns their paths by dialect. */
export async function writeSessions(
  dataDir: string,
  account: Account,
): Promise<Record<string, string>> {
  const dir = join(dataDir, 'sessions')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const paths: Record<string, string> = {}
  for (const [dialect, form] of Object.entries(FORMS)) {
    const path = join(dir, `${dialect}-${account.uin}.json`)
    const temp = `${path}.${randomUUID()}`
    const text = JSON.stringify({ dialect, ...form(account) }, null, 2)
    await writeFile(temp, `${text}\n`, { mode: 0o600 })
    await rename(temp, path)
    paths[dialect] = path
  }
  return paths
}
