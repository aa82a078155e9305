// Profile pictures: public, no login needed (protocol notes, classic 7).
import { type Logger, silentLogger } from '../base/log.ts'
import { Call, retry } from './call.ts'
import { decodeJsonp } from './classic/jsonp.ts'
import type { CallOptions } from './drive.ts'
import { WeiyunError } from './errors.ts'
import { text } from './fields.ts'
import { type HostsConfig, ServiceHosts } from './hosts.ts'
import { Lane } from './lanes.ts'
import { Transport } from './transport.ts'

export interface AvatarsConfig extends HostsConfig, Omit<CallOptions, 'priority'> {
  /** Requests at once, 4 by default. */
  readonly concurrency?: number
  /** 1 (smallest) to 5 (largest), 5 by default. */
  readonly imageType?: 1 | 2 | 3 | 4 | 5
  readonly timeoutMs?: number
  readonly log?: Logger
}

export interface Avatar {
  readonly uin: string
  /** `undefined` when this user has no picture, or there is no such user. */
  readonly image:
    | { readonly url: string; readonly type: string; readonly bytes: Buffer }
    | undefined
}

/** Fetches the pictures of several users, in their order. Rejects with the first failure. */
export async function fetchAvatars(
  uins: readonly string[],
  config: AvatarsConfig = {},
): Promise<Avatar[]> {
  const { timeoutMs = 10_000, log = silentLogger, concurrency = 4, imageType = 5 } = config
  const transport = new Transport({ log, timeoutMs })
  const hosts = new ServiceHosts(config)
  const lane = new Lane(concurrency)
  const fetchOne = async (uin: string): Promise<Avatar> => {
    const call = new Call({ ...config, priority: 'background' }, { timeoutMs, retriesMax: 2 })
    try {
      return await retry(call, () =>
        lane.run(call, () => fetchAvatar(uin, imageType, { transport, hosts, call })),
      )
    } finally {
      call.end()
    }
  }
  try {
    return await Promise.all(uins.map(fetchOne))
  } finally {
    await transport.close()
  }
}

interface Means {
  readonly transport: Transport
  readonly hosts: ServiceHosts
  readonly call: Call
}

async function fetchAvatar(uin: string, imageType: number, means: Means): Promise<Avatar> {
  const { transport, hosts, call } = means
  const url = hosts.url('avatar', '/getface')
  // `keytpye` is the service's own spelling.
  const parameters = {
    appid: '527020901',
    imgtype: String(imageType),
    encrytype: '0',
    devtype: '0',
  }
  url.search = String(new URLSearchParams({ ...parameters, keytpye: '0', uin }))
  const { status, bytes } = await transport.fetch({ method: 'GET', url }, call)
  if (status !== 200) throw new WeiyunError('SERVER', `getface: HTTP ${status}`)
  const address = text(decodeJsonp(bytes.toString('utf8'), 'pt.setHeader'), uin)
  if (address === undefined || address.includes('&t=0')) return { uin, image: undefined }
  const picture = await transport.fetch({ method: 'GET', url: hosts.named(address) }, call)
  if (picture.status !== 200) throw new WeiyunError('SERVER', `avatar: HTTP ${picture.status}`)
  const type = String(picture.headers['content-type'] ?? 'application/octet-stream')
  return { uin, image: { url: address, type, bytes: picture.bytes } }
}
