// `/wy_down.fcg`: from a file to the address of its bytes (protocol notes, classic 5; newcgi,
// Appendix A).
import type { Call } from '../call.ts'
import type { DirRef, FileRef } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import { integer, isFields } from '../fields.ts'
import { cookiesSet } from '../session.ts'
import type { DataAddress } from '../transfer/download.ts'
import type { TextReply } from '../transport.ts'
import { APPID, type ClassicClient, MAIN_VERSION, refusal } from './client.ts'

const ERROR_PATH = '/web/callback/iframe_disk_down_fail.html'
const ORIGIN = 'http://www.weiyun.com'

/**
 * Asks for the data address of a file. NOT_FOUND, SESSION_EXPIRED and others as the service says.
 */
export async function resolveData(
  client: ClassicClient,
  dir: DirRef,
  file: FileRef,
  checksum: string,
  call: Call,
): Promise<DataAddress> {
  return client.withSession(async () => {
    const { uuin, skey, token } = client.identity
    const parameters = {
      fid: file.id,
      pdir: dir.key,
      fn: file.name,
      uuin,
      skey,
      appid: String(APPID),
      token,
      checksum,
      err_callback: `http://www.weiyun.com${ERROR_PATH}`,
      ver: String(MAIN_VERSION),
    }
    const reply = await client.locate(parameters, call)
    const url = client.hosts.named(dataLocation(reply), reply.url)
    const cookies = cookiesSet(reply.headers['set-cookie'])
    return { url, headers: (hop) => client.dataHeaders(hop, ORIGIN, cookies) }
  })
}

/**
 * The redirect to the data server; anything else is an error, in one of its several shapes (errors
 * 1).
 */
function dataLocation({ status, headers, bytes }: TextReply): string {
  const { location } = headers
  const isRedirect = status >= 300 && status < 400 && typeof location === 'string'
  if (isRedirect && !location.includes(ERROR_PATH) && !location.includes('ptlogin2.'))
    return location
  const ret = integer({ ret: headers['x-errno'] }, 'ret') ?? resultIn(bytes)
  if (ret !== undefined && ret !== 0) throw refusal('wy_down', ret, { isBatch: false })
  if (isRedirect && location.includes('ptlogin2.')) {
    throw new WeiyunError('SESSION_EXPIRED', 'wy_down: sent to the login page')
  }
  if (isRedirect || status >= 500)
    throw new WeiyunError('SERVER', 'wy_down: the service refused the download')
  throw new WeiyunError('BAD_REPLY', `wy_down: expected a redirect, got HTTP ${status}`)
}

function resultIn(bytes: Buffer): number | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return isFields(value) ? integer(value, 'ret') : undefined
  } catch {
    return undefined
  }
}
