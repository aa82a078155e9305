// Who we are to the service: the session as the user hands it over, its file, and changes that
// arrive as Set-Cookie. Everything in here is a secret.
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { WeiyunError } from './errors.ts'
import { type Fields, isFields } from './fields.ts'

/** Cookies of a classic session, named as in its file (protocol notes, classic 2). */
export interface ClassicSession {
  readonly dialect: 'classic'
  readonly uin: string
  /** The one that dies when the session times out. */
  readonly skey: string
  readonly ptcz: string
  readonly pgv_info: string
  readonly pgv_pvid: string
  readonly email: string
}

/** A whole cookie header, `a=b; c=d`, as a browser sends it to www.weiyun.com. */
export interface WebappSession {
  readonly dialect: 'webapp'
  readonly cookies: string
}

export type Session = ClassicSession | WebappSession

const CLASSIC_FIELDS = ['uin', 'skey', 'ptcz', 'pgv_info', 'pgv_pvid', 'email'] as const

/** Reads a session out of parsed JSON. INVALID, naming the field, when something is missing. */
export function parseSession(value: unknown): Session {
  if (!isFields(value)) throw new WeiyunError('INVALID', 'a session is a JSON object')
  if (value.dialect === 'webapp')
    return { dialect: 'webapp', cookies: cookieText(value, 'cookies') }
  if (value.dialect !== 'classic') {
    throw new WeiyunError('INVALID', 'the session needs "dialect": "classic" or "webapp"')
  }
  const [uin, skey, ptcz, pgv_info, pgv_pvid, email] = CLASSIC_FIELDS.map((field) =>
    cookieValue(value, field),
  ) as [string, string, string, string, string, string]
  if (!/^\d+$/.test(uin)) throw new WeiyunError('INVALID', '"uin" in the session is a QQ number')
  if (skey === '') throw new WeiyunError('INVALID', '"skey" in the session is empty')
  return { dialect: 'classic', uin, skey, ptcz, pgv_info, pgv_pvid, email }
}

function cookieText(fields: Fields, key: string): string {
  const value = fields[key]
  // Header values are bytes: a line break or a control character in one would forge other headers.
  if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value)) {
    throw new WeiyunError('INVALID', `"${key}" in the session is missing or not plain text`)
  }
  return value
}

function cookieValue(fields: Fields, key: string): string {
  const value = cookieText(fields, key)
  if (value.includes(';')) throw new WeiyunError('INVALID', `"${key}" in the session has a ";"`)
  return value
}

/**
 * Reads a session file. FORBIDDEN when others than its owner can read it, NOT_FOUND when there is
 * none, INVALID when it is no session.
 */
export async function loadSession(path: string): Promise<Session> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    const code = isFields(cause) && cause.code === 'ENOENT' ? 'NOT_FOUND' : 'FORBIDDEN'
    throw new WeiyunError(code, `cannot open the session file ${path}`, { cause })
  })
  try {
    const { mode } = await file.stat()
    if ((mode & 0o077) !== 0) {
      throw new WeiyunError('FORBIDDEN', `others can read ${path}: run chmod 600 on it`)
    }
    return parseSession(parseJson(await file.readFile('utf8'), path))
  } finally {
    await file.close()
  }
}

function parseJson(content: string, path: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    // Without its cause: the parser's message quotes the content.
    throw new WeiyunError('INVALID', `${path} is not JSON`)
  }
}

/** Replaces a session file in one step, readable by its owner only. */
export async function saveSession(path: string, session: Session): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(session, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/**
 * Name and value of each cookie that Set-Cookie headers set. Those that are being deleted are left
 * out: a service that clears a dying session's cookies must not wipe the file that the user made.
 */
export function cookiesSet(header: string | string[] | undefined): Map<string, string> {
  const cookies = new Map<string, string>()
  for (const line of [header ?? []].flat()) {
    const [, name, value] = /^\s*([^=;\s]+)=([^;]*)/.exec(line) ?? []
    const expires = Date.parse(/;\s*expires=([^;]*)/i.exec(line)?.[1] ?? '')
    if (name === undefined || value === undefined) continue
    if (value.trim() === '' || !/^[\x20-\x7e]*$/.test(value)) continue
    if (/;\s*max-age=(0|-\d+)\s*(;|$)/i.test(line) || expires <= Date.now()) continue
    cookies.set(name, value.trim())
  }
  return cookies
}
