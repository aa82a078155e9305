// The staging area: where bytes live that the service does not have yet. Whatever it finds on disk,
// it deletes nothing by itself; `remove` is the only way for bytes to go.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crashPoint } from '../base/crash.ts'
import type { Logger } from '../base/log.ts'
import { Share, type Space } from './space.ts'
import { HEADER_BYTES, StagedFile, type StagedFileParts } from './staged-file.ts'
import { readSlot, type StagedDescription } from './staged-header.ts'

export type { StagedFile } from './staged-file.ts'
export type { Json, StagedAbout, StagedDescription } from './staged-header.ts'

export interface StagingOptions {
  /** An existing directory that nothing else uses. */
  dir: string
  log: Logger
  space: Space
}

/** Sub-directory for files that nobody understands. */
const RECOVERED = 'recovered'
/** More files than this are counted a moment after the start. */
const COUNTED_AT_ONCE = 500
const COUNT_DELAY_MS = 500
const ID = /^[0-9a-f]{16}$/

export class StagingArea {
  readonly #dir: string
  readonly #log: Logger
  readonly #space: Space
  readonly #shares = new Map<string, Share>()
  readonly #open = new Set<string>()
  #counted: Promise<void> = Promise.resolve()

  private constructor({ dir, log, space }: StagingOptions) {
    this.#dir = dir
    this.#log = log
    this.#space = space
  }

  /** Returns at once, however much is waiting; reservations wait until it is counted. */
  static async open(options: StagingOptions): Promise<StagingArea> {
    const area = new StagingArea(options)
    await mkdir(join(options.dir, RECOVERED), { recursive: true, mode: 0o700 })
    area.#counted = area.#count().catch((error) => {
      options.log.error({ err: error }, 'cannot count the staged bytes')
    })
    options.space.waitFor(area.#counted)
    return area
  }

  /** Bytes on disk, those set aside included. */
  get bytes(): number {
    return [...this.#shares.values()].reduce((sum, share) => sum + share.bytes, 0)
  }

  /** A new file. With `size`, the bytes of a base of that size show through until written over. */
  async create({ size = 0 } = {}): Promise<StagedFile> {
    const id = randomBytes(8).toString('hex')
    crashPoint('staging.create')
    const share = new Share(this.#space)
    await share.reserve(HEADER_BYTES)
    const parts = await this.#openParts(id, share, 'wx+').catch((error) => {
      share.release()
      throw error
    })
    this.#shares.set(id, share)
    crashPoint('staging.created')
    return StagedFile.create(parts, size)
  }

  /** Takes a file up again (see `StagedFile.reopen`). One object for one file at a time. */
  async open(id: string): Promise<StagedFile> {
    const parts = await this.#openParts(id, this.#shareOf(id), 'r+')
    try {
      const { blocks, size } = await parts.handle.stat()
      parts.share.charge(blocks * 512 - parts.share.bytes)
      return await StagedFile.reopen(parts, size)
    } catch (error) {
      await parts.handle.close()
      parts.onClose()
      throw error
    }
  }

  /** The ids of all files, open ones included, in no order. */
  async list(): Promise<string[]> {
    return (await readdir(this.#dir)).filter((name) => ID.test(name))
  }

  /** What a file says of itself; undefined when it says nothing legible, then see `setAside`. */
  async describe(id: string): Promise<StagedDescription | undefined> {
    await using handle = await open(this.#path(id), 'r')
    return (await readSlot(handle))?.description
  }

  /**
   * Deletes a file. Only once the service has the bytes, or the user gave them up. One that is gone
   * (adopted by the block cache) only stops to count. An open one can be used until it is closed.
   */
  async remove(id: string): Promise<void> {
    await this.#counted
    crashPoint('staging.remove')
    await unlink(this.#path(id)).catch(ignoreMissing)
    crashPoint('staging.removed')
    const share = this.#shares.get(id)
    this.#shares.delete(id)
    if (!this.#open.has(id)) share?.release()
  }

  /**
   * Moves a file that nobody understands out of the way, and returns its new path. Deletes nothing.
   */
  async setAside(id: string): Promise<string> {
    const target = join(this.#dir, RECOVERED, `${id}-${Date.now()}`)
    await rename(this.#path(id), target)
    this.#log.warn({ id, target }, 'a staged file has no legible description: set aside')
    return target
  }

  #path(id: string): string {
    if (!ID.test(id)) throw new RangeError(`not the id of a staged file: ${id}`)
    return join(this.#dir, id)
  }

  async #openParts(id: string, share: Share, flags: string): Promise<StagedFileParts> {
    const path = this.#path(id)
    const handle = await open(path, flags, 0o600)
    this.#open.add(id)
    const onClose = () => {
      this.#open.delete(id)
      if (this.#shares.get(id) !== share) share.release()
    }
    return { id, path, handle, share, onClose }
  }

  #shareOf(id: string): Share {
    const share = this.#shares.get(id) ?? new Share(this.#space)
    this.#shares.set(id, share)
    return share
  }

  async #count(): Promise<void> {
    for (const dir of [this.#dir, join(this.#dir, RECOVERED)]) {
      const entries = await readdir(dir, { withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      // The first look around the mount is not to wait behind thousands of these.
      if (files.length > COUNTED_AT_ONCE) await sleep(COUNT_DELAY_MS, undefined, { ref: false })
      await Promise.all(files.map(({ name }) => this.#countFile(name, join(dir, name))))
    }
  }

  async #countFile(name: string, path: string): Promise<void> {
    try {
      const { blocks } = await stat(path)
      if (!this.#shares.has(name)) this.#shareOf(name).charge(blocks * 512)
    } catch (error) {
      ignoreMissing(error)
    }
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
