// The queue that makes dirty entries clean. It holds no work of its own: what is pending follows
// from the tree. It decides when an entry's next step is taken, how many at once, and what a
// failure means for it.
import { setTimeout as sleep } from 'node:timers/promises'
import PQueue from 'p-queue'
import type { Logger } from '../base/log.ts'
import { isWeiyunError, type Limits } from '../weiyun/index.ts'
import { VfsError } from './error.ts'
import type { FileInode, Inode } from './inode.ts'
import { nextStep, type RemoveStep, type SingleStep } from './plan.ts'
import type { Steps } from './steps.ts'
import type { Tree } from './tree.ts'

/** First and longest pause after a failure that may pass; doubled in between, with jitter. */
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 120_000
/**
 * What the service refuses for good is tried again this seldom: a full drive may have been
 * emptied.
 */
const REFUSED_PAUSE_MS = 10 * 60_000
/**
 * A batch of removals is closed when no further one came for so long, or at the latest after so
 * long.
 */
const BATCH_MS = 50
const BATCH_MS_MAX = 1_000
const COMMANDS_MAX = 4
const SWEEP_MS = 15_000
/** First and longest pause between two questions whether the session really is over; doubled. */
const PROBE_PAUSE_MS_MIN = 2_000
const PROBE_PAUSE_MS_MAX = 10 * 60_000
/** Files opened, hashed or put away while the others fill the drive's upload lane. */
const PREPARED_MAX = 6
/** Looking at all that is left after each entry would cost more than sending it. */
const LEFT_MANY = 100
const LOOK_PAUSE_MS = 50
/** A file that somebody keeps open for writing is sent after so long without a write. */
const OPEN_QUIET_MS = 30_000

export type Connection = 'ok' | 'unreachable' | 'expired'

export interface SettleOptions {
  signal?: AbortSignal
  idleMs?: number
}

export interface WriteBackOptions {
  tree: Tree
  steps: Steps
  limits: () => Limits
  /** How long an entry must have been left alone before it is sent, in ms. */
  quietMs: number
  log: Logger
}

export class WriteBack {
  readonly #tree: Tree
  readonly #steps: Steps
  readonly #limits: () => Limits
  readonly #quietMs: number
  readonly #log: Logger
  readonly #uploads = new PQueue()
  readonly #commands = new PQueue({ concurrency: COMMANDS_MAX })
  /** Entries waiting for another to get on. */
  readonly #waiting = new Map<number, Set<number>>()
  readonly #timers = new Map<number, NodeJS.Timeout>()
  readonly #failures = new Map<number, number>()
  /** Why an entry could not be sent at the last attempt. */
  readonly #refusals = new Map<number, unknown>()
  readonly #aborts = new Map<FileInode, AbortController>()
  readonly #queued = new Set<Inode>()
  readonly #removals = new Set<Inode>()
  readonly #watchers = new Set<() => void>()
  #removalTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined
  #probeTimer: NodeJS.Timeout | undefined
  #gatheredMs = 0
  #pauseTimer: NodeJS.Timeout | undefined
  #pauses = 0
  #stopped = true
  /** Somebody waits for everything to be sent: nothing stays quiet. */
  #hurry = 0
  connection: Connection = 'ok'

  constructor(options: WriteBackOptions) {
    this.#tree = options.tree
    this.#steps = options.steps
    this.#limits = options.limits
    this.#quietMs = options.quietMs
    this.#log = options.log
    this.#tree.onPending = (inode) => this.#changed(inode)
  }

  start(): void {
    this.#stopped = false
    for (const inode of this.#tree.pending()) this.#schedule(inode, 0)
    this.#sweepTimer = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#sweepTimer.unref()
  }

  /** Takes no further step; those under way are given up or finished. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    clearTimeout(this.#removalTimer)
    clearTimeout(this.#pauseTimer)
    clearTimeout(this.#probeTimer)
    clearInterval(this.#sweepTimer)
    for (const abort of this.#aborts.values()) abort.abort()
    this.#uploads.clear()
    this.#commands.clear()
    await Promise.all([this.#uploads.onIdle(), this.#commands.onIdle()])
  }

  /** The service may be tried again now: there is a new session, or a pause is over. */
  resume(): void {
    clearTimeout(this.#pauseTimer)
    this.#pauseTimer = undefined
    if (this.connection === 'expired') this.connection = 'ok'
    for (const inode of this.#tree.pending()) this.#schedule(inode, 0)
  }

  /** Looks at an entry again: it was closed, or left alone. */
  poke(inode: Inode): void {
    this.#changed(inode)
  }

  /** The bytes of a file are changing: what is being sent is not the last word. */
  interrupt(file: FileInode): void {
    this.#aborts.get(file)?.abort()
  }

  /**
   * What somebody else heard of the service: whether it answers, and whether it knows our session.
   */
  heard(error: unknown): void {
    if (isWeiyunError(error, 'SESSION_EXPIRED')) this.#expired()
    else if (isWeiyunError(error, 'UNREACHABLE', 'TIMEOUT')) this.connection = 'unreachable'
    else if (error === undefined && this.connection !== 'ok') {
      this.connection = 'ok'
      this.resume()
    }
  }

  /** Bytes are on their way: whoever waits goes on waiting. */
  progress(): void {
    this.#notify()
  }

  /**
   * Waits until nothing of `includes` is pending; open files are sent as they are. Rejects with
   * the first refusal, when there is no valid session, or after `idleMs` in which nothing got on.
   */
  async settled(
    includes: (inode: Inode) => boolean,
    { signal, idleMs }: SettleOptions = {},
  ): Promise<void> {
    const wanted = new Set<FileInode>()
    /** What was the matter with an entry before: only another attempt tells whether it still is. */
    const past = new Map<Inode, unknown>()
    this.#hurry++
    try {
      for (;;) {
        const left = this.#tree.pending().filter((inode) => includes(inode) && !isHeldBack(inode))
        if (left.length === 0) return
        for (const inode of left) {
          this.#want(inode, wanted)
          if (inode.error === undefined || past.has(inode)) continue
          past.set(inode, this.#refusals.get(inode.ino))
          this.#schedule(inode, 0)
        }
        const failed = left.find(
          (inode) => inode.error !== undefined && this.#refusals.get(inode.ino) !== past.get(inode),
        )
        if (failed !== undefined) throw this.#refusal(failed)
        if (this.connection === 'expired') throw new VfsError('EACCES', 'the session has expired')
        signal?.throwIfAborted()
        await this.#nextChange(signal, idleMs)
        if (left.length > LEFT_MANY) await sleep(LOOK_PAUSE_MS)
      }
    } finally {
      this.#hurry--
      for (const file of wanted) file.wanted--
    }
  }

  #want(inode: Inode, wanted: Set<FileInode>): void {
    if (inode.kind === 'file' && !wanted.has(inode)) {
      wanted.add(inode)
      inode.wanted++
      this.#schedule(inode, 0)
    } else if (this.#timers.has(inode.ino) && !this.#failures.has(inode.ino)) {
      this.#schedule(inode, 0)
    }
  }

  /** Why an entry could not be sent at the last attempt, as the name of a failure. */
  refusalCode(inode: Inode): string | undefined {
    const cause = this.#refusals.get(inode.ino)
    return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  }

  #refusal(inode: Inode): Error {
    const cause = this.#refusals.get(inode.ino)
    if (cause instanceof Error) return cause
    return new VfsError('EIO', `${this.#tree.path(inode).join('/')}: ${inode.error}`)
  }

  /**
   * Looks again at what nothing is planned for: what an entry waited for may have changed unheard.
   */
  #sweep(): void {
    for (const inode of this.#tree.pending()) {
      if (!this.#timers.has(inode.ino) && !inode.busy) this.#schedule(inode, 0)
    }
  }

  /** One refusal may have been the service's mistake: nobody should have to log in for it. */
  #expired(probePauseMs = PROBE_PAUSE_MS_MIN): void {
    this.connection = 'expired'
    if (this.#stopped || this.#probeTimer !== undefined) return
    this.#probeTimer = setTimeout(() => {
      this.#probeTimer = undefined
      if (this.connection !== 'expired') return
      this.onExpired()
      this.#expired(Math.min(2 * probePauseMs, PROBE_PAUSE_MS_MAX))
    }, probePauseMs)
    this.#probeTimer.unref()
  }

  async #nextChange(signal: AbortSignal | undefined, idleMs: number | undefined): Promise<void> {
    const change = Promise.withResolvers<void>()
    const timer =
      idleMs && setTimeout(() => change.reject(new VfsError('ETIMEDOUT', 'no progress')), idleMs)
    this.#watchers.add(change.resolve)
    signal?.addEventListener('abort', () => change.resolve(), { once: true })
    try {
      await change.promise
    } finally {
      clearTimeout(timer)
      this.#watchers.delete(change.resolve)
    }
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }

  #changed(inode: Inode): void {
    this.#wake(inode)
    if (inode.changedMs !== undefined) {
      // What has failed is tried again as soon as it would have been anyway: nobody hurries it.
      const failures = this.#failures.get(inode.ino)
      const latestMs = failures === undefined ? Number.POSITIVE_INFINITY : backOffMs(failures)
      this.#schedule(inode, Math.min(this.#quietLeft(inode), latestMs))
    } else this.#failures.delete(inode.ino)
    this.#notify()
  }

  /** Whoever waits for an entry is planned anew. */
  #wake(inode: Inode): void {
    for (const ino of this.#waiting.get(inode.ino) ?? []) {
      const waiter = this.#tree.get(ino)
      if (waiter !== undefined) this.#schedule(waiter, 0)
    }
    this.#waiting.delete(inode.ino)
  }

  #schedule(inode: Inode, delayMs: number): void {
    if (this.#stopped) return
    clearTimeout(this.#timers.get(inode.ino))
    const timer = setTimeout(() => {
      this.#timers.delete(inode.ino)
      this.#consider(inode)
    }, delayMs)
    this.#timers.set(inode.ino, timer)
  }

  /**
   * How long an entry must still be left alone, in ms. Making a directory cannot be spared by
   * waiting.
   */
  #quietLeft(inode: Inode): number {
    if (inode.kind === 'dir' && inode.remote === undefined) return 0
    const isDirty =
      inode.kind === 'file' && inode.stagedId !== undefined && inode.parent !== undefined
    if (!isDirty) return this.#hurry > 0 ? 0 : this.#quietMs
    if (inode.wanted > 0) return 0
    const quietMs = inode.writers > 0 ? Math.max(this.#quietMs, OPEN_QUIET_MS) : this.#quietMs
    return Math.max(0, quietMs - (performance.now() - inode.writtenMs))
  }

  #consider(inode: Inode): void {
    if (this.#stopped || this.#pauseTimer !== undefined || this.connection === 'expired') return
    if (this.#queued.has(inode)) return
    const step = nextStep(this.#tree, inode)
    switch (step.do) {
      case 'nothing':
        break
      case 'wait':
        this.#waitFor(step.on, inode)
        break
      case 'remove':
        this.#gather(inode)
        break
      case 'upload':
        if (this.#quietLeft(inode) > 0) this.#schedule(inode, this.#quietLeft(inode))
        else this.#enqueue(this.#uploads, step)
        break
      default:
        this.#enqueue(this.#commands, step)
    }
  }

  #enqueue(queue: PQueue, step: SingleStep): void {
    this.#queued.add(step.inode)
    this.#uploads.concurrency = this.#limits().uploadsMax + PREPARED_MAX
    void queue.add(() => this.#take(step)).catch(() => {})
  }

  #waitFor(on: Inode, waiter: Inode): void {
    if (on.changedMs === undefined) {
      this.#schedule(waiter, PAUSE_MS_MIN)
      return
    }
    const waiters = this.#waiting.get(on.ino) ?? new Set()
    this.#waiting.set(on.ino, waiters.add(waiter.ino))
    if (!this.#timers.has(on.ino) || !this.#failures.has(on.ino)) this.#schedule(on, 0)
  }

  async #take(planned: SingleStep): Promise<void> {
    const { inode } = planned
    this.#queued.delete(inode)
    if (this.#stopped || this.#pauseTimer !== undefined) return
    // What was planned may have been overtaken while it queued.
    const step = nextStep(this.#tree, inode)
    if (step.do !== planned.do) return this.#schedule(inode, 0)
    this.#noteStep(step)
    inode.busy = true
    const abort = new AbortController()
    if (inode.kind === 'file') this.#aborts.set(inode, abort)
    try {
      await this.#steps.take(step as typeof planned, abort.signal)
      this.#succeeded(inode)
    } catch (error) {
      this.#failed(inode, error)
    } finally {
      if (inode.kind === 'file') this.#aborts.delete(inode)
    }
  }

  /** Removals come in crowds: a batch waits until no more come, but not for long. */
  #gather(inode: Inode): void {
    this.#queued.add(inode)
    if (this.#removals.size === 0) this.#gatheredMs = performance.now()
    this.#removals.add(inode)
    const isLate = performance.now() - this.#gatheredMs > BATCH_MS_MAX
    if (this.#removalTimer !== undefined && isLate) return
    clearTimeout(this.#removalTimer)
    this.#removalTimer = setTimeout(() => {
      this.#removalTimer = undefined
      const batch = [...this.#removals]
      this.#removals.clear()
      void this.#commands.add(() => this.#removeAll(batch)).catch(() => {})
    }, BATCH_MS)
  }

  async #removeAll(batch: Inode[]): Promise<void> {
    // Renamed back, or opened again, in the meantime.
    const wanted = batch.filter((inode) => nextStep(this.#tree, inode).do === 'remove')
    for (const inode of batch) this.#queued.delete(inode)
    if (this.#stopped || this.#pauseTimer !== undefined) return
    for (const inode of batch) if (!wanted.includes(inode)) this.#schedule(inode, 0)
    for (const inode of wanted) {
      this.#noteStep({ do: 'remove', inode })
      inode.busy = true
    }
    try {
      const errors = await this.#steps.remove(wanted)
      for (const [index, inode] of wanted.entries()) {
        const error = errors[index]
        if (error === undefined) this.#succeeded(inode)
        else this.#failed(inode, error)
      }
    } catch (error) {
      for (const inode of wanted) this.#failed(inode, error)
    }
  }

  #noteStep(step: SingleStep | RemoveStep): void {
    if (!this.#log.isLevelEnabled('debug')) return
    const { ino, remote } = step.inode
    const path = this.#tree.path(step.inode).join('/')
    const to = 'name' in step ? step.name : undefined
    this.#log.debug({ step: step.do, ino, path, there: remote?.name, to }, 'step')
  }

  #noteEnd({ ino, remote }: Inode): void {
    if (!this.#log.isLevelEnabled('debug')) return
    const id = remote && ('id' in remote ? remote.id : remote.key)
    this.#log.debug({ ino, there: remote?.name, id }, 'step taken')
  }

  #succeeded(inode: Inode): void {
    this.#noteEnd(inode)
    inode.busy = false
    this.#failures.delete(inode.ino)
    this.#refusals.delete(inode.ino)
    this.#pauses = 0
    this.connection = 'ok'
    if (inode.error !== undefined) {
      inode.error = undefined
      this.#tree.save(inode)
    }
    this.#changed(inode)
  }

  #failed(inode: Inode, error: unknown): void {
    inode.busy = false
    if (isWeiyunError(error, 'ABORTED')) {
      this.#schedule(inode, this.#quietLeft(inode))
    } else if (isWeiyunError(error, 'SESSION_EXPIRED')) {
      this.#expired()
      this.#log.warn(
        'the session has expired: unsaved files stay in the journal until there is a new one',
      )
    } else if (isWeiyunError(error, 'UNREACHABLE', 'TIMEOUT')) {
      this.connection = 'unreachable'
      this.#pause()
    } else {
      const failures = (this.#failures.get(inode.ino) ?? 0) + 1
      this.#failures.set(inode.ino, failures)
      const refused =
        isWeiyunError(error) && !error.retryable && !isWeiyunError(error, 'NOT_FOUND', 'STALE')
      this.#log.warn(
        { err: error, path: this.#tree.path(inode).join('/'), failures },
        'could not be sent',
      )
      if (refused || failures >= REPORTED_FAILURES) {
        inode.error = error instanceof Error ? error.message : String(error)
        this.#tree.save(inode)
      }
      if (isWeiyunError(error, 'NOT_FOUND')) this.#doubtPlace(inode)
      if (isWeiyunError(error, 'NO_SPACE', 'QUOTA')) this.onFull()
      this.#refusals.set(inode.ino, error)
      this.#schedule(inode, refused ? REFUSED_PAUSE_MS : backOffMs(failures))
      // It may be long in coming, and is not at work any more.
      this.#wake(inode)
    }
    this.#notify()
  }

  /** Something above is not where we believe it is: ask for listings before the next attempt. */
  #doubtPlace(inode: Inode): void {
    for (const ino of [inode.parent, inode.remote?.parent]) {
      const dir = ino === undefined ? undefined : this.#tree.get(ino)
      if (dir?.kind === 'dir') this.onDoubt(dir.ino)
    }
  }

  /** Called when the service says that the drive is full: what we know of the quota is too good. */
  onFull: () => void = () => {}

  /**
   * Called now and then while the session is thought to be over; whoever asks says what he
   * `heard`.
   */
  onExpired: () => void = () => {}

  /** Called with the inode number of a directory whose place on the service is in doubt. */
  onDoubt: (ino: number) => void = () => {}

  #pause(): void {
    if (this.#pauseTimer !== undefined || this.#stopped) return
    this.#pauseTimer = setTimeout(() => this.resume(), backOffMs(++this.#pauses))
    this.#pauseTimer.unref()
  }
}

/** Removed, and still open: nothing can be done about it before it is closed. */
function isHeldBack(inode: Inode): boolean {
  return inode.kind === 'file' && inode.parent === undefined && inode.opens > 0
}

/** A failure that may pass is shown to the user once it has not passed for so many attempts. */
const REPORTED_FAILURES = 6

function backOffMs(failures: number): number {
  const full = Math.min(PAUSE_MS_MIN * 2 ** (failures - 1), PAUSE_MS_MAX)
  return full / 2 + Math.random() * (full / 2)
}
