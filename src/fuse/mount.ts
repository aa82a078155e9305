// Mounts, unmounts, and keeps the kernel's caches true. The only place that knows the FUSE binding.
import { AsyncResource } from 'node:async_hooks'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import Fuse from 'fuse-native'
import PQueue from 'p-queue'
import type { Logger } from '../base/log.ts'
import type { Vfs } from '../vfs/vfs.ts'
import { startCompanion } from './companion.ts'
import { operations } from './ops.ts'

const run = promisify(execFile)

/** Requests of the kernel that may wait for an answer at once: the most that the binding takes. */
const CONCURRENCY = 64
/** How often the mount table is looked at, to notice that somebody else unmounted. */
const WATCH_MS = 500
const UNMOUNT_MS = 5_000
/** The binding queues no more than 1,024. */
const NOTIFICATIONS_MAX = 64

export interface MountOptions {
  vfs: Vfs
  mountpoint: string
  allowOther: boolean
  /**
   * Looks like a remote file system to desktops, so that they do not read every file for
   * thumbnails.
   */
  desktopRemote: boolean
  readOnly: boolean
  log: Logger
}

export interface Mount {
  /** Resolves when the mount is gone, whoever unmounted it. */
  readonly ended: Promise<void>
  /** Takes no further calls; detaches lazily when programs still use the mount. */
  unmount(): Promise<void>
}

/** Resolves when the mount is usable. Rejects with the binding's explanation when it cannot be. */
export async function mountFuse(options: MountOptions): Promise<Mount> {
  const { vfs, mountpoint, log } = options
  const fuse = new Fuse(mountpoint, operations(vfs, log), fuseOptions(options))
  const companion = startCompanion(resolve(mountpoint))
  await new Promise<void>((mounted, failed) =>
    fuse.mount((error) => (error ? failed(error) : mounted())),
  ).catch((error: unknown) => {
    companion.end()
    throw error
  })
  const connection = await connectionOf(mountpoint)
  if (connection !== undefined) companion.watch(connection)
  invalidateFrom(vfs, fuse, log)
  const ended = watch(mountpoint)
  const end = (): Promise<void> => unmount(fuse, mountpoint, ended).finally(() => companion.end())
  return { ended: ended.promise, unmount: end }
}

function fuseOptions({
  vfs,
  mountpoint,
  allowOther,
  desktopRemote,
  readOnly,
  log,
}: MountOptions): Fuse.OPTIONS {
  return {
    fsname: readOnly ? 'weiyun-ro' : 'weiyun',
    subtype: desktopRemote ? 'sshfs' : 'weiyun-mount',
    allowOther,
    defaultPermissions: true,
    nullPathOk: true,
    // Our own limits are finer, and a timer for every operation costs more than most operations.
    timeout: false,
    maxConcurrency: CONCURRENCY,
    entryTimeout: vfs.ttlMs / 1000,
    attrTimeout: vfs.ttlMs / 1000,
    force: true,
    onError: (error, operation) => void reportError(error, operation, mountpoint, log),
  }
}

/** When somebody else unmounts, the binding misses its loop: no error of anybody's. */
async function reportError(
  error: unknown,
  operation: string,
  mountpoint: string,
  log: Logger,
): Promise<void> {
  const isEnd = (error as NodeJS.ErrnoException)?.code === 'EFUSELOOPEXIT'
  if (isEnd && !(await isMounted(mountpoint))) log.info('unmounted from outside')
  else log.error({ err: error, operation }, 'the binding reports an error')
}

/** Makes the kernel forget entries that changed on the service. */
function invalidateFrom(vfs: Vfs, fuse: Fuse, log: Logger): void {
  const queue = new PQueue({ concurrency: NOTIFICATIONS_MAX })
  // Never from within an operation: the kernel holds locks there that the notification waits for.
  // The binding recognises an operation by its async context, so this one is made outside of all
  // of them.
  const outside = new AsyncResource('weiyun-mount:invalidate')
  const pending = new Set<string>()
  vfs.onInvalid = (path) => {
    pending.add(path)
    if (pending.size > 1) return
    outside.runInAsyncScope(() => {
      setImmediate(() => {
        for (const changed of pending) void queue.add(() => invalidate(fuse, changed, log))
        pending.clear()
      })
    })
  }
}

function invalidate(fuse: Fuse, path: string, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    fuse.invalidateEntry(path, (error) => {
      if (error) log.debug({ err: error }, 'the kernel did not know the entry')
      resolve()
    })
  })
}

function watch(mountpoint: string): PromiseWithResolvers<void> & { stop: () => void } {
  const ended = Promise.withResolvers<void>()
  // Also keeps the process alive: the binding does not.
  const timer = setInterval(() => {
    void isMounted(mountpoint).then((mounted) => {
      if (mounted) return
      clearInterval(timer)
      ended.resolve()
    })
  }, WATCH_MS)
  return Object.assign(ended, { stop: () => clearInterval(timer) })
}

async function unmount(
  fuse: Fuse,
  mountpoint: string,
  ended: ReturnType<typeof watch>,
): Promise<void> {
  if (await isMounted(mountpoint)) {
    const orderly = new Promise<void>((resolve, reject) =>
      fuse.unmount((error) => (error ? reject(error) : resolve())),
    )
    await Promise.race([
      orderly,
      sleep(UNMOUNT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('busy'))),
    ]).catch(() => run('fusermount3', ['-u', '-z', mountpoint]).catch(() => {}))
  }
  ended.stop()
  ended.resolve()
}

/**
 * By the mount table: looking at the mount itself would ask ourselves. A table that cannot be read
 * just now, for want of file handles, does not say that the mount is gone.
 */
async function isMounted(mountpoint: string): Promise<boolean> {
  const mounts = await mountsAt(mountpoint).catch(() => undefined)
  return mounts === undefined || mounts.length > 0
}

/** The number by which the kernel's control files know the connection: its device's. */
async function connectionOf(mountpoint: string): Promise<number | undefined> {
  const mounts = await mountsAt(mountpoint).catch(() => [])
  const device = /^0:(\d+)$/u.exec(mounts.at(-1)?.[2] ?? '')
  return device?.[1] === undefined ? undefined : Number(device[1])
}

/** Lines of the mount table, in fields; the topmost mount is the last. */
async function mountsAt(mountpoint: string): Promise<string[][]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8')
  const encoded = mountpoint.replace(
    /[\\ \t\n]/gu,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  )
  const lines = table.split('\n').map((line) => line.split(' '))
  return lines.filter(([, , , , place]) => place === encoded)
}
