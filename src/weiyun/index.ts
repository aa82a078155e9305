// The front door of the client library: a Tencent Weiyun drive for programs. Everything that is not
// exported here is nobody else's business.
import { type Logger, silentLogger } from '../base/log.ts'
import { ClassicDrive } from './classic/drive.ts'
import type { UploadMethod } from './classic/upload.ts'
import type { Drive } from './drive.ts'
import { type HostsConfig, ServiceHosts } from './hosts.ts'
import type { Session } from './session.ts'
import { WebappDrive } from './webapp/drive.ts'
import { KEEP_ALIVE_MS } from './webapp/live-session.ts'

export type { Avatar, AvatarsConfig } from './avatar.ts'
export { fetchAvatars } from './avatar.ts'
export type {
  Account,
  CallOptions,
  ContentHashes,
  DirEntry,
  DirRef,
  Drive,
  Entry,
  Features,
  FileEntry,
  FileRef,
  ItemError,
  Limits,
  Listing,
  Priority,
  Quota,
  RemoveItem,
  UploadOptions,
  UploadSource,
} from './drive.ts'
export { CLOCK_SKEW_MS, isMadeFor } from './entries.ts'
export { type ErrorCode, FAILURES, isWeiyunError, WeiyunError } from './errors.ts'
export type { Hosts, HostsConfig } from './hosts.ts'
export type { ClassicSession, Session, WebappSession } from './session.ts'
export { loadSession, parseSession, saveSession } from './session.ts'
export type { Traffic } from './transport.ts'
export {
  accountKindOf,
  type LoginConfig,
  loginByQr,
  logout,
  sessionFromPaste,
} from './webapp/login.ts'
export type { LoginState, QrCode } from './webapp/qr-login.ts'

export interface DriveConfig extends HostsConfig {
  /** Says who we are, and by its `dialect` how to talk. */
  readonly session: Session
  readonly log?: Logger
  /**
   * Time without progress after which a request fails, 10,000 by default. A long transfer has no
   * limit.
   */
  readonly timeoutMs?: number
  /**
   * Ceiling on listings and commands, 50 by default, more for some seconds after a pause; 0 is
   * none.
   */
  readonly requestsPerSecond?: number
  /** Bytes a second; 0, the default, is no limit. */
  readonly bwlimitUp?: number
  readonly bwlimitDown?: number
  /** How the classic dialect sends files: in chunks, or in one form as its first clients did. */
  readonly uploadMethod?: UploadMethod
  /** How often the webapp dialect shows an idle session to be alive, 5 minutes by default. */
  readonly keepAliveMs?: number
  /** Told of a session that the service changed, so that it can be saved. */
  readonly onSession?: (session: Session) => void
}

/** Opens a drive. Sends nothing yet, so it works without a network and with a dead session. */
export function openDrive(config: DriveConfig): Drive {
  const { session } = config
  const options = {
    hosts: new ServiceHosts(config),
    log: config.log ?? silentLogger,
    timeoutMs: config.timeoutMs ?? 10_000,
    requestsPerSecond: config.requestsPerSecond ?? 50,
    bwlimitUp: config.bwlimitUp ?? 0,
    bwlimitDown: config.bwlimitDown ?? 0,
    onSession: config.onSession ?? (() => {}),
  }
  if (session.dialect === 'webapp') {
    return new WebappDrive({
      ...options,
      session,
      keepAliveMs: config.keepAliveMs ?? KEEP_ALIVE_MS,
    })
  }
  return new ClassicDrive({ ...options, session, uploadMethod: config.uploadMethod ?? 'chunks' })
}
