// `weiyun-mount login`: gets a session, by a phone or out of a browser, proves it, and keeps it
// where mounts look for it. A mount that is running picks it up by itself.
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import {
  type Account,
  accountKindOf,
  isWeiyunError,
  type LoginState,
  loginByQr,
  openDrive,
  saveSession,
  sessionFromPaste,
  type WebappSession,
} from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand, say } from './command.ts'
import { makePrivateDir } from './dirs.ts'
import { CliError, EXIT } from './exit.ts'
import { type PlainMessage, tr } from './language.ts'
import type { Config } from './options.ts'
import { QrDisplay } from './qr-code.ts'
import { accountOf, sessionPath } from './session-file.ts'
import { stopSignal } from './signals.ts'
import { formatSize } from './units.ts'

/** What users and other clients report for QQ. */
const QQ_SESSION_MS = 48 * 3600_000

const STATES: Record<LoginState, PlainMessage> = {
  waiting: 'waiting for you to scan it …',
  scanned: 'scanned; confirm on the phone …',
  confirmed: 'confirmed',
  expired: 'the code has expired; here is a new one',
}

interface Flags {
  readonly wechat?: boolean
  readonly cookies?: boolean
}

export function declare(): Command {
  const command = declareCommand('login')
    .option('--wechat', tr('scan with WeChat instead of QQ'))
    .option('--cookies', tr('read a Cookie header of www.weiyun.com, or a cookies.txt, from stdin'))
    .allowExcessArguments(false)
  return addOptions(command, ['session', 'service', 'timeoutMs'])
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const { wechat = false, cookies = false } = command.opts<Flags>()
  if (wechat && cookies) {
    const pair = { one: '--wechat', other: '--cookies' }
    command.error(tr('{one} and {other} exclude each other', pair))
  }
  const config = await configFor(command)

  const found = cookies ? await readCookies() : await scan(wechat ? 'wechat' : 'qq', config)
  if (found === undefined) return EXIT.INTERRUPTED
  const { session, account } = await prove(found, config)
  const path = sessionPath(config)
  if (config.session === undefined) await makePrivateDir(dirname(path))
  await saveSession(path, session)
  report(session, account, path)
  return EXIT.OK
}

async function readCookies(): Promise<WebappSession> {
  if (process.stdin.isTTY) say(tr('paste the Cookie header, then press Enter and Ctrl-D'))
  try {
    return sessionFromPaste(await text(process.stdin))
  } catch (error) {
    if (!isWeiyunError(error, 'INVALID')) throw error
    throw new CliError(EXIT.FAILURE, tr('not a session: {why}', { why: error.message }))
  }
}

/** `undefined` when the user gave up. */
async function scan(way: 'qq' | 'wechat', { service }: Config): Promise<WebappSession | undefined> {
  const abort = new AbortController()
  void stopSignal().requested.then(() => abort.abort())
  await using display = new QrDisplay()
  const app = way === 'qq' ? 'QQ' : tr('WeChat')
  try {
    return await loginByQr(way, {
      ...(service !== undefined && { service }),
      signal: abort.signal,
      async onCode(code) {
        console.log(tr('Scan this with {app} on your phone:', { app }))
        await display.show(code)
      },
      onState: (state) => console.log(tr(STATES[state])),
    })
  } catch (error) {
    if (abort.signal.aborted) return undefined
    if (!isWeiyunError(error, 'REFUSED', 'TIMEOUT', 'BAD_REPLY')) throw error
    const remedy = error.code === 'BAD_REPLY' ? tr('; --cookies may still work') : ''
    throw new CliError(EXIT.FAILURE, tr('no login: {why}', { why: error.message }) + remedy)
  }
}

/** Asks for the account, which may change the cookies once more. */
async function prove(
  found: WebappSession,
  { service, timeoutMs }: Config,
): Promise<{ session: WebappSession; account: Account }> {
  let session = found
  const drive = openDrive({
    session,
    ...(service !== undefined && { service }),
    timeoutMs,
    onSession(changed) {
      if (changed.dialect === 'webapp') session = changed
    },
  })
  try {
    // Closing hands over the last changes of the session.
    const account = await drive.account().finally(() => drive.close())
    return { session, account }
  } catch (error) {
    if (!isWeiyunError(error, 'SESSION_EXPIRED')) throw error
    throw new CliError(
      EXIT.SESSION,
      tr('Weiyun does not take these cookies: log in with the browser and copy them anew'),
    )
  }
}

function report(session: WebappSession, { nickname, quota }: Account, path: string): void {
  const who = `${nickname} (${accountOf(session)})`
  const space = { used: formatSize(quota.used), total: formatSize(quota.total) }
  console.log(tr('logged in as {who}, {used} of {total} used', { who, ...space }))
  console.log(tr('session in {path}; {lifetime}', { path, lifetime: lifetime(session) }))
}

function lifetime(session: WebappSession): string {
  const kind = accountKindOf(session)
  if (kind === 'wechat') return tr('a mount renews it by itself')
  if (kind === 'openid') return tr('how long it lasts is not known')
  const end = new Date(Date.now() + QQ_SESSION_MS).toLocaleString()
  return tr('by estimate it lasts about 48 hours, until {end}', { end })
}
