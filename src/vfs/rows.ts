// The tree's rows in the state file, and when they are written: at once for what was promised to a
// program, a little later for what a listing told and can tell again. An order is kept in which the
// state file makes sense after each single write.
import type { InodeRow, StateFile } from '../cache/state.ts'
import { type DirInode, type Inode, toRow } from './inode.ts'

/** Rows of listings written in one go; about 5 ms of the event loop. */
const LATER_ROWS = 200
/** How long a directory's new mtime may be known in memory alone: a crash would forget it. */
const SOON_MS = 500

export class Rows {
  readonly #state: StateFile
  readonly #get: (ino: number) => Inode | undefined
  /** Rows not written yet, with the id under which `waitingById` finds them. */
  readonly #later = new Map<Inode, string | undefined>()
  readonly #laterById = new Map<string, Inode>()
  #laterScheduled = false
  /**
   * Directories with another mtime than their rows, as happens once for every file that is made.
   */
  readonly #soon = new Set<DirInode>()
  #soonTimer: NodeJS.Timeout | undefined

  /** `get`: the inode of that number. */
  constructor(state: StateFile, get: (ino: number) => Inode | undefined) {
    this.#state = state
    this.#get = get
  }

  save(inode: Inode): void {
    this.#written(inode)
    if (!isWorthStoring(inode)) {
      this.#unstore(inode)
      return
    }
    this.#saveAbove(inode)
    this.#store(inode, toRow(inode))
  }

  /** In the next turns of the event loop, with others, in the order of the calls. */
  saveLater(inode: Inode): void {
    // Delete first: a directory marked as listed has to come after its entries.
    this.#written(inode)
    const id = remoteId(inode)
    this.#later.set(inode, id)
    if (id !== undefined) this.#laterById.set(id, inode)
    if (this.#laterScheduled) return
    this.#laterScheduled = true
    setImmediate(() => {
      if (!this.#laterScheduled) return
      this.#laterScheduled = false
      this.#saveSome(LATER_ROWS)
    })
  }

  /** Within half a second, once for any number of calls. */
  saveSoon(dir: DirInode): void {
    this.#soon.add(dir)
    this.#soonTimer ??= setTimeout(() => this.#saveSoon(), SOON_MS).unref()
  }

  remove(inode: Inode): void {
    this.#written(inode)
    this.#unstore(inode)
  }

  /** Whether the row is still to be written. */
  isWaiting(inode: Inode): boolean {
    return this.#later.has(inode)
  }

  /** What the service knows by this id, as far as its row is still to be written. */
  waitingById(id: string): Inode | undefined {
    return this.#laterById.get(id)
  }

  flush(): void {
    if (this.#later.size > 0) this.#saveSome(Number.POSITIVE_INFINITY)
  }

  /** Saves what is left; nothing may be changed afterwards. */
  close(): void {
    this.#saveSoon()
    this.flush()
    this.#laterScheduled = false
  }

  #store(inode: Inode, row: InodeRow): void {
    try {
      this.#state.save(row, inode.stored)
    } catch (error) {
      if (!this.#saveWhoLeft(inode)) throw error
      this.#state.save(row, inode.stored)
    }
    inode.stored = true
  }

  #unstore(inode: Inode): void {
    if (inode.stored) this.#state.remove(inode.ino)
    inode.stored = false
  }

  /**
   * After a crash a row is worth nothing without those of the directories above it. One that waits
   * to be saved after its entries is saved as not listed for now.
   */
  #saveAbove(inode: Inode): void {
    for (const ino of [inode.parent, inode.remote?.parent]) {
      const dir = ino === undefined ? undefined : this.#get(ino)
      if (dir?.kind !== 'dir' || dir.stored) continue
      this.#saveAbove(dir)
      this.#store(dir, { ...toRow(dir), listed: 0, stamp: null })
    }
  }

  /**
   * A place or an id may still be that of an entry which has left it, and whose own row is to
   * follow: it does now.
   */
  #saveWhoLeft(inode: Inode): boolean {
    const id = remoteId(inode)
    const rows = [
      inode.parent === undefined ? undefined : this.#state.childNamed(inode.parent, inode.name),
      id === undefined ? undefined : this.#state.byRemoteId(id),
    ]
    const left = rows.flatMap((row) =>
      row === undefined || row.ino === inode.ino ? [] : (this.#get(row.ino) ?? []),
    )
    const stays = left.some(
      (other) =>
        (inode.parent !== undefined &&
          other.parent === inode.parent &&
          other.name === inode.name) ||
        (id !== undefined && remoteId(other) === id),
    )
    if (left.length === 0 || stays) return false
    for (const other of left) this.save(other)
    return true
  }

  #saveSoon(): void {
    clearTimeout(this.#soonTimer)
    this.#soonTimer = undefined
    for (const dir of this.#soon) this.saveLater(dir)
  }

  #saveSome(rows: number): void {
    this.#state.transaction(() => {
      for (const inode of this.#later.keys()) {
        if (rows-- <= 0) break
        this.save(inode)
      }
    })
    const next = this.#later.keys().next().value
    if (next !== undefined) this.saveLater(next)
  }

  /** What waited to be written need not any more. */
  #written(inode: Inode): void {
    const id = this.#later.get(inode)
    this.#later.delete(inode)
    if (inode.kind === 'dir') this.#soon.delete(inode)
    if (id !== undefined && this.#laterById.get(id) === inode) this.#laterById.delete(id)
  }
}

/**
 * A row is a promise, or what the service told. Bytes that no close(2) promised to anybody are not
 * worth one: after a crash their staged file is set aside.
 */
function isWorthStoring(inode: Inode): boolean {
  if (inode.remote !== undefined) return true
  if (inode.kind === 'dir') return true
  return inode.attempt !== undefined || (inode.promised && inode.parent !== undefined)
}

function remoteId(inode: Inode): string | undefined {
  return inode.kind === 'dir' ? inode.remote?.key : inode.remote?.id
}
