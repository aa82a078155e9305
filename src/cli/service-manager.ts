// What a service manager (systemd, Type=notify) wants to hear: that we are ready, alive, stopping.
// Node has no datagram sockets of the Unix kind, so systemd's own systemd-notify(1) says it for
// us; the unit needs NotifyAccess=all for that. Without NOTIFY_SOCKET nobody listens, and nothing
// is said.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Logger } from '../base/log.ts'
import type { Env } from './dirs.ts'

/** Time that a service manager has to give us beyond the drain itself, in ms. */
const STOP_RESERVE_MS = 15_000

export class ServiceManager {
  readonly #env: Env
  readonly #log: Logger
  #heartbeat: NodeJS.Timeout | undefined

  constructor(env: Env, log: Logger) {
    this.#env = env
    this.#log = log
  }

  /**
   * The mount is usable. From now on `isAlive` is asked as often as the manager wants to hear of
   * us.
   */
  async ready(mountpoint: string, isAlive: () => Promise<unknown>): Promise<void> {
    await this.#tell('READY=1', `STATUS=${mountpoint}`)
    const everyMs = this.#watchdogMs / 2
    if (everyMs > 0) this.#beat(everyMs, isAlive)
  }

  /** Uploads may still take `drainMs`. */
  async stopping(drainMs: number): Promise<void> {
    clearTimeout(this.#heartbeat)
    const timeoutUs = (drainMs + STOP_RESERVE_MS) * 1000
    const says = ['STOPPING=1', `EXTEND_TIMEOUT_USEC=${timeoutUs}`, 'STATUS=uploading']
    // A watchdog that bites in the middle of an upload helps nobody.
    if (this.#watchdogMs > 0) says.push(`WATCHDOG_USEC=${timeoutUs}`, 'WATCHDOG=1')
    await this.#tell(...says)
  }

  /** 0: nobody watches. */
  get #watchdogMs(): number {
    const { WATCHDOG_USEC, WATCHDOG_PID } = this.#env
    const isForUs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid
    return isForUs ? Number(WATCHDOG_USEC ?? 0) / 1000 : 0
  }

  /** A mount that does not answer itself says nothing, and is restarted. */
  #beat(everyMs: number, isAlive: () => Promise<unknown>): void {
    this.#heartbeat = setTimeout(async () => {
      try {
        await isAlive()
        await this.#tell('WATCHDOG=1')
      } catch (error) {
        this.#log.warn({ err: error }, 'the mount does not answer')
      }
      this.#beat(everyMs, isAlive)
    }, everyMs).unref()
  }

  async #tell(...assignments: string[]): Promise<void> {
    if (this.#env.NOTIFY_SOCKET === undefined) return
    await promisify(execFile)('systemd-notify', assignments).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the service manager was not told')
    })
  }
}
