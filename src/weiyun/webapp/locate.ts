// DiskFileBatchDownload: from a file to the address of its bytes and the cookie that opens it, and
// to the hash of what it holds by now (protocol notes, webapp 6).
import type { Call } from '../call.ts'
import type { DirRef, FileRef } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import { type Fields, itemResult, list, text } from '../fields.ts'
import { errorCodeOf } from '../retcode.ts'
import type { DataAddress } from '../transfer/download.ts'
import { type Command, refusal, type WebappClient } from './client.ts'

const LOCATE: Command = { service: 'weiyunQdiskClient', name: 'DiskFileBatchDownload', cmd: 2402 }

/** A file, with the directory it lies in. */
export interface LocatedFile {
  readonly dir: DirRef
  readonly entry: FileRef
}

/**
 * Asks for the data address of a file. STALE when the service names the hash of another version.
 */
export async function resolveData(
  client: WebappClient,
  dir: DirRef,
  file: FileRef,
  call: Call,
): Promise<DataAddress> {
  const body = await client.command(LOCATE, locateRequest([{ dir, entry: file }]), call)
  const [item] = list(body, 'file_list')
  if (item === undefined) throw new WeiyunError('BAD_REPLY', 'no address for the download')
  const ret = itemResult(item, 'retcode')
  if (ret !== 0) throw refusal(LOCATE.name, ret, { isBatch: false })
  const sha1 = hashIn(item)
  if (sha1 && file.sha1 && sha1 !== file.sha1) {
    throw new WeiyunError('STALE', 'the file has another version by now')
  }
  const url = client.hosts.named(addressIn(item, client))
  const cookie = cookieIn(item)
  // Redirects lead on to other data servers, which want to see it too.
  return { url, headers: () => ({ ...client.pageHeaders, ...(cookie && { cookie }) }) }
}

/**
 * The hash that the service has of each file by now, by id: undefined for a file that is not there,
 * and nothing for one of which it does not tell.
 */
export async function askHashes(
  client: WebappClient,
  files: readonly LocatedFile[],
  call: Call,
): Promise<Map<string, string | undefined>> {
  const hashes = new Map<string, string | undefined>()
  const body = await client.command(LOCATE, locateRequest(files), call)
  for (const item of list(body, 'file_list')) {
    const [id, hash, ret] = [text(item, 'file_id'), hashIn(item), itemResult(item, 'retcode')]
    if (id === undefined) continue
    if (ret === 0 && hash) hashes.set(id, hash)
    else if (errorCodeOf(ret, { isBatch: false }) === 'NOT_FOUND') hashes.set(id, undefined)
  }
  return hashes
}

function locateRequest(files: readonly LocatedFile[]): object {
  const file_list = files.map(({ dir, entry }) => ({ file_id: entry.id, pdir_key: dir.key }))
  return { file_list, download_type: 0 }
}

function hashIn(item: Fields): string | undefined {
  return text(item, 'file_sha')?.toLowerCase()
}

/** By TLS, unless the whole service is reached without. */
function addressIn(item: Fields, { hosts }: WebappClient): string {
  const [plain, tls] = [text(item, 'download_url'), text(item, 'https_download_url')]
  const isTls = hosts.url('site', '/').protocol === 'https:'
  const address = isTls ? tls || plain : plain || tls
  if (!address) throw new WeiyunError('BAD_REPLY', 'the download has no address')
  return address
}

function cookieIn(item: Fields): string | undefined {
  const [name, value] = [text(item, 'cookie_name'), text(item, 'cookie_value')]
  if (!name || !value) return undefined
  const cookie = `${name}=${value}`
  if (/^[\x21-\x7e]+$/.test(cookie) && !cookie.includes(';')) return cookie
  throw new WeiyunError('BAD_REPLY', 'the cookie of the download is no cookie')
}
