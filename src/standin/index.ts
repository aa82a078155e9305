// The front door of the local service: a stand-in for Weiyun with real HTTP on loopback and real
// storage on disk.
import { resolve } from 'node:path'
import { Admin } from './admin/admin.ts'
import { serveAdmin } from './admin/endpoint.ts'
import { avatarRoutes } from './avatars.ts'
import { classicRoute } from './classic/classic.ts'
import { downRoute } from './classic/download.ts'
import { newcgiRoute } from './classic/newcgi.ts'
import { dataRoute } from './data/download.ts'
import { chunkRoute, formRoute } from './data/upload.ts'
import { type Fault, Faults } from './faults.ts'
import { Journal } from './journal.ts'
import { qqLoginRoutes } from './login/qq.ts'
import { QrCodes } from './login/qr-codes.ts'
import { siteRoutes } from './login/site.ts'
import { weixinLoginRoutes } from './login/weixin.ts'
import { type Controls, StandinServer } from './server.ts'
import { writeSessions } from './session-files.ts'
import { Store } from './store/store.ts'
import { Channels } from './webapp/channels.ts'
import { uploadRoutes } from './webapp/upload.ts'
import { webappRoute } from './webapp/webapp.ts'

export interface StandinOptions {
  dataDir: string
  /** 0, the default, takes a free one. */
  port?: number
  /** 127.0.0.1 by default. */
  host?: string
  rttMs?: number
  /** Bytes a second of one connection, each way; 0, the default, is no limit. */
  bandwidth?: number
  faults?: readonly Fault[]
  /** How long a data URL is good for; 10 minutes by default. */
  urlTtlMs?: number
}

export interface Standin {
  url: string
  port: number
  /** Session files of the first account, by dialect. */
  sessions: Record<string, string>
  admin: Admin
  close(): Promise<void>
}

const URL_TTL_MS = 10 * 60 * 1000
/** webapp.md, 7.5. */
const UPLOAD_IDLE_MS = 5 * 60 * 1000
const LONG_POLL_MS = 25 * 1000

export async function startStandin(options: StandinOptions): Promise<Standin> {
  const dataDir = resolve(options.dataDir)
  const store = await Store.open(dataDir)
  try {
    const account = store.accounts.first() ?? store.addAccount({})
    const sessions = await writeSessions(store, account)
    const controls: Controls = {
      knobs: {
        rttMs: options.rttMs ?? 0,
        bandwidth: options.bandwidth ?? 0,
        urlTtlMs: options.urlTtlMs ?? URL_TTL_MS,
        tokenTtlMs: 0,
        loginIdleMs: 0,
        uploadIdleMs: UPLOAD_IDLE_MS,
        longPollMs: LONG_POLL_MS,
      },
      faults: new Faults(),
      journal: new Journal(),
      disabled: new Map(),
    }
    controls.faults.set(options.faults ?? [])
    const codes = new QrCodes()
    const routes = [
      classicRoute(store),
      newcgiRoute(store),
      downRoute(store, () => controls.knobs.urlTtlMs),
      dataRoute(store),
      chunkRoute(store),
      formRoute(store),
      ...avatarRoutes(store),
      webappRoute(store, controls.knobs),
      ...uploadRoutes(store, new Channels(), controls.knobs),
      ...siteRoutes(store, controls.knobs),
      ...qqLoginRoutes(store, codes),
      ...weixinLoginRoutes(store, codes, controls.knobs),
    ]
    const admin = new Admin(store, controls, codes)
    const server = new StandinServer(routes, controls, (request, response, target) =>
      serveAdmin(admin, request, response, target),
    )
    const { host, port } = await server.listen(options.host ?? '127.0.0.1', options.port ?? 0)
    return {
      url: `http://${host}:${port}`,
      port,
      sessions,
      admin,
      async close() {
        codes.close()
        await server.close()
        store.close()
      },
    }
  } catch (error) {
    store.close()
    throw error
  }
}
