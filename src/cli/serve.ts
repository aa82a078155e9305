// The life of a mount process: puts the parts together, serves until somebody unmounts or a signal
// comes, then uploads what is left and takes the parts down in the opposite order.
import { execFile } from 'node:child_process'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createLogger, type Logger } from '../base/log.ts'
import { mountFuse } from '../fuse/mount.ts'
import { NoRoot } from '../vfs/error.ts'
import { type Left, Vfs } from '../vfs/vfs.ts'
import { openDrive } from '../weiyun/index.ts'
import { say } from './command.ts'
import { type Handler, type Progress, type Request, serveControl } from './control.ts'
import { accountDirName, makePrivateDir } from './dirs.ts'
import { showDrain } from './drain.ts'
import { CliError, EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { fusermount } from './fuse-helper.ts'
import { tr } from './language.ts'
import { startLocalService } from './local-service.ts'
import { Meter } from './metrics.ts'
import type { Config } from './options.ts'
import { ServiceManager } from './service-manager.ts'
import { accountOf, readSession, SessionFile, sessionPath } from './session-file.ts'
import { type StopSignal, stopSignal } from './signals.ts'
import type { Status } from './status.ts'

const PROGRESS_MS = 100

export interface ServeOptions {
  readonly config: Config
  /** Canonical, and checked by `prepareMountpoint`. */
  readonly mountpoint: string
  /** Called when programs can use the mount. */
  readonly onReady: () => void
}

/** Serves one mount. Resolves after the last upload or when the time for it is over. */
export async function serve({ config, mountpoint, onReady }: ServeOptions): Promise<void> {
  const stop = stopSignal()
  await keepSecrets()
  const log = await createLogger({
    level: config.logLevel,
    ...(config.logFile !== undefined && { file: config.logFile }),
    terminal: process.stderr.isTTY,
  })
  endOnBug(mountpoint, log)
  await using parts = new AsyncDisposableStack()
  const vfs = await Promise.race([openVfs(config, log, parts), refuseWhen(stop)])

  const watchers = new Set<Progress>()
  const ended = Promise.withResolvers<Left>()
  const control = await serveControl(mountpoint, handlers(vfs, mountpoint, watchers, ended.promise))
  parts.defer(() => control.close())
  // Before the control socket closes, so that a waiting `sync` hears why it did not get its wish.
  parts.defer(() => vfs.close())

  const mount = await mountFuse({
    vfs,
    mountpoint,
    allowOther: config.allowOther,
    desktopRemote: config.desktopRemote,
    readOnly: config.readOnly,
    log,
  })
  const manager = new ServiceManager(process.env, log)
  onReady()
  await manager.ready(mountpoint, () => statfs(mountpoint))
  const signal = await Promise.race([stop.requested, mount.ended])
  log.info({ signal: signal ?? 'unmounted' }, 'ending')
  await manager.stopping(config.drainMs)
  await mount.unmount()

  const view = await showDrain()
  const left = await vfs.drain({
    timeoutMs: config.drainMs,
    onProgress(now: Left) {
      view.update(now)
      for (const watcher of watchers) watcher(now)
    },
  })
  view.finish(left)
  ended.resolve(left)
}

/** Our memory holds the session: no core, and no file that others can read. */
async function keepSecrets(): Promise<void> {
  process.umask(0o077)
  // Of util-linux; a system without it keeps its own limit.
  await promisify(execFile)('prlimit', ['--pid', `${process.pid}`, '--core=0']).catch(() => {})
}

/** A service that does not answer must not keep Ctrl-C waiting. Rejects, or never settles. */
async function refuseWhen(stop: StopSignal): Promise<never> {
  await stop.requested
  throw new CliError(EXIT.INTERRUPTED, tr('interrupted before it was mounted'))
}

/** A crash leaves the journal intact, but a dead mount point behind: that at least goes away. */
function endOnBug(mountpoint: string, log: Logger): void {
  process.once('uncaughtException', (error) => {
    log.error({ err: error }, 'crashed')
    say(explain(error).message)
    void fusermount(mountpoint, { lazy: true })
      .catch(() => {})
      .finally(() => process.exit(EXIT.SOFTWARE))
  })
}

/** What the other commands may ask of a running mount. */
function handlers(
  vfs: Vfs,
  mountpoint: string,
  watchers: Set<Progress>,
  ended: Promise<Left>,
): Record<Request['do'], Handler> {
  const meter = new Meter()
  return {
    status: (): Status => ({ mountpoint, ...vfs.status() }),
    sync: ({ path }) => vfs.sync(path),
    refresh: ({ path }) => vfs.refresh(path),
    metrics: () => meter.read(),
    keep({ action, path }, progress, signal) {
      if (action === undefined || path === undefined) throw new RangeError('no action or no path')
      return vfs.keep(action, path, { signal, onProgress: seldom(progress) })
    },
    ended(_request, progress) {
      watchers.add(progress)
      progress(null)
      return ended
    },
  }
}

/** A progress for every block of a fast disk would drown whoever listens. */
function seldom(progress: Progress): Progress {
  let saidMs = 0
  return (value) => {
    if (performance.now() - saidMs < PROGRESS_MS) return
    saidMs = performance.now()
    progress(value)
  }
}

/** Everything below the mount. What it opens, `parts` closes. */
async function openVfs(config: Config, log: Logger, parts: AsyncDisposableStack): Promise<Vfs> {
  const local = config.local === undefined ? undefined : await startLocalService(config.local)
  if (local !== undefined) parts.defer(() => local.stop())
  const service = local?.url ?? config.service

  const path = config.session ?? local?.sessions[config.dialect ?? 'classic'] ?? sessionPath(config)
  const session = await readSession(path, config.dialect)
  const file = new SessionFile(path, session, log)
  const drive = await openDrive({
    session,
    ...(service !== undefined && { service }),
    log,
    timeoutMs: Math.ceil((config.timeoutMs * 2) / 3),
    // Politeness is owed to Weiyun; whoever names a service of his own decides for himself.
    requestsPerSecond: config.requestRate ?? (service === undefined ? 50 : 0),
    bwlimitUp: config.bwlimitUp,
    bwlimitDown: config.bwlimitDown,
    onSession: (renewed) => void file.save(renewed),
  })
  parts.defer(() => drive.close())

  const { local: localDir, root } = config
  const account = accountDirName(accountOf(session), { local: localDir, service, root })
  const [stateDir, cacheDir] = [join(config.stateDir, account), join(config.cacheDir, account)]
  await makePrivateDir(stateDir)
  await makePrivateDir(cacheDir)
  const opened = Vfs.open({ drive, stateDir, cacheDir, log, options: config })
  const vfs = await opened.catch((error: unknown) => {
    if (!(error instanceof NoRoot)) throw error
    throw new CliError(
      EXIT.NO_INPUT,
      tr('{root}: no such folder on the drive', { root: config.root }),
    )
  })
  const watcher = file.watch((renewed) => vfs.useSession(renewed))
  parts.defer(() => watcher.close())
  return vfs
}
