// Checks of the way to the service: name, clock, proxy, session, account.
import { stat } from 'node:fs/promises'
import { type Account, isWeiyunError, openDrive, type Session } from '../../weiyun/index.ts'
import { describeFailure } from '../explain.ts'
import { tr } from '../language.ts'
import { accountOf, readSession, sessionPath } from '../session-file.ts'
import { formatDuration, formatSize } from '../units.ts'
import { type Check, fail, ok, type Subject, type Verdict, warn } from './finding.ts'

/** The host that most requests of either dialect go to, when no --service is named. */
const SERVICE_URL = 'https://www.weiyun.com'
/** Certificates and signed links mind less. */
const CLOCK_OFF_MS_MAX = 5 * 60_000
const QUOTA_SHARE_MAX = 0.98
const PROXIES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY']

const serviceUrl = ({ config }: Subject): URL => new URL(config.service ?? SERVICE_URL)

export const proxy: Check = async ({ env }) => {
  const name = PROXIES.find((variable) => env[variable])
  if (name === undefined) return ok(tr('no proxy is set'))
  return warn(
    tr('{name} is set, but this program connects directly', { name }),
    tr('let this machine out to weiyun.com and myqcloud.com, or route through a transparent proxy'),
  )
}

export const dns: Check = async (subject) => {
  const { hostname } = serviceUrl(subject)
  try {
    const { address } = await subject.machine.lookup(hostname)
    return ok(tr('{host} is {address}', { host: hostname, address }))
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? ''
    return fail(
      tr('the name {host} cannot be resolved ({why})', { host: hostname, why }),
      tr('check the network and /etc/resolv.conf'),
    )
  }
}

/** By the Date header of whatever the service answers. */
export const clock: Check = async (subject) => {
  const sentMs = subject.machine.nowMs()
  const reply = await fetch(serviceUrl(subject), {
    method: 'HEAD',
    redirect: 'manual',
    signal: AbortSignal.timeout(subject.config.timeoutMs),
  }).catch(() => undefined)
  const theirMs = Date.parse(reply?.headers.get('date') ?? '')
  if (Number.isNaN(theirMs)) return ok(tr('not compared: the service told no time'))
  const offMs = Math.abs((sentMs + subject.machine.nowMs()) / 2 - theirMs)
  if (offMs < CLOCK_OFF_MS_MAX) return ok(tr('the clock agrees with the service'))
  return fail(
    tr('the clock is off by {time}', { time: formatDuration(offMs) }),
    tr('set it, or let it be set: `timedatectl set-ntp true`'),
  )
}

export const session: Check = async ({ config, machine }) => {
  const path = sessionPath(config)
  const owner = (await stat(path).catch(() => undefined))?.uid
  if (owner !== undefined && owner !== machine.uid) {
    return fail(
      tr('{path} belongs to another user', { path }),
      tr('log in as yourself: `weiyun-mount login`'),
    )
  }
  const { dialect } = await readSession(path, config.dialect)
  return ok(`${path} (${dialect})`)
}

export const service: Check = async ({ config }) => {
  const session = await readSession(sessionPath(config), config.dialect).catch(() => undefined)
  if (session === undefined) return warn(tr('not asked'), tr('it needs a session'))
  try {
    return aboutAccount(session, await askAccount(session, config))
  } catch (error) {
    const { message, remedy } = describeFailure(error)
    const isPassing = isWeiyunError(error, 'THROTTLED', 'SERVER')
    const level = isPassing ? 'warn' : 'fail'
    return { level, message, ...(remedy !== undefined && { remedy }) }
  }
}

async function askAccount(
  session: Session,
  { service, timeoutMs }: Subject['config'],
): Promise<Account> {
  const drive = openDrive({ session, ...(service !== undefined && { service }), timeoutMs })
  try {
    return await drive.account()
  } finally {
    await drive.close()
  }
}

function aboutAccount(session: Session, { nickname, quota }: Account): Verdict[] {
  const { used, total } = quota
  const sizes = { used: formatSize(used), total: formatSize(total) }
  const who = `${accountOf(session)} ${nickname}`
  const verdicts = [ok(tr('{who}, {used} of {total} used', { who, ...sizes }))]
  if (used > total * QUOTA_SHARE_MAX) {
    verdicts.push(
      warn(
        tr('the drive is nearly full: {used} of {total}', sizes),
        tr('make room on the drive; its recycle bin counts too'),
      ),
    )
  }
  return verdicts
}
