// The directory tree of each account and its rules: who may see what, what may stand where, what a
// change does to times, versions and totals. Neutral between the dialects; names are judged by them
// (names.ts).
import { randomUUID } from 'node:crypto'
import { stampedName } from '../names.ts'
import { RET, Refusal } from '../refusal.ts'
import { type Account, type Accounts, keyPrefix, mainKey, newDirKey, rootKey } from './accounts.ts'
import type { Transaction } from './database.ts'
import { type Entries, type Entry, type Mark, newEntry, type Subtree } from './entries.ts'

/** Content as it stands in a listing; hashes are '' while they are not known. */
export interface Content {
  size: number
  sha: string
  md5: string
}

/** Without `complete` it is the broken entry of an upload. */
export type NewFile = Content & { name: string; complete: boolean }

export class Tree {
  readonly #entries: Entries
  readonly #accounts: Accounts
  readonly #transaction: Transaction

  constructor(entries: Entries, accounts: Accounts, transaction: Transaction) {
    this.#entries = entries
    this.#accounts = accounts
    this.#transaction = transaction
  }

  /** Makes the two system directories of a new account. */
  addAccount(account: Account, nowMs: number): void {
    const { uin } = account
    const root = { id: rootKey(uin), uin, parent: null, kind: 'dir', name: '' } as const
    this.#entries.insert(newEntry(root, nowMs))
    const main = { id: mainKey(uin), uin, parent: root.id, kind: 'dir', name: '微云' } as const
    this.#entries.insert(newEntry(main, nowMs))
  }

  /**
   * A live directory of this account. Another account's key is refused whether it exists or not.
   */
  dir(account: Account, key: string, absent: number = RET.NO_DIR): Entry {
    if (!key.startsWith(keyPrefix(account.uin))) {
      throw new Refusal(RET.FORBIDDEN, "another account's directory key")
    }
    const entry = this.#entries.get(key)
    if (entry?.kind !== 'dir' || !this.isLive(entry)) {
      throw new Refusal(absent, 'no such directory')
    }
    return entry
  }

  /**
   * The directory `key` whose parent is `parentKey` ('' where a client may leave it out).
   * @param absent the codes for a missing directory and for a wrong parent
   */
  dirBelow(
    account: Account,
    parentKey: string,
    key: string,
    absent: { dir: number; parent: number } = { dir: RET.NO_PARENT, parent: RET.NO_PARENT },
  ): Entry {
    const dir = this.dir(account, key, absent.dir)
    // What is asked of the root is refused by its own codes, whatever parent a client made up for
    // it.
    if (parentKey !== '' && dir.parent !== null) {
      // Asked for its own sake: it refuses another account's key.
      this.dir(account, parentKey, absent.parent)
      if (dir.parent !== parentKey) throw new Refusal(absent.parent, 'not the parent directory')
    }
    return dir
  }

  /** A live file in this directory. */
  file(account: Account, dir: Entry, id: string): Entry {
    const entry = this.#entries.get(id)
    if (entry?.kind !== 'file' || entry.uin !== account.uin || entry.recycledMs !== null) {
      throw new Refusal(RET.NO_FILE, 'no such file')
    }
    if (entry.parent !== dir.id) throw new Refusal(RET.NO_FILE, 'the file is in another directory')
    return entry
  }

  /** Whether neither it nor a directory above it was deleted. */
  isLive(entry: Entry): boolean {
    return this.#ancestors(entry) !== undefined
  }

  child(dir: Entry, name: string): Entry | undefined {
    return this.#entries.child(dir.id, name)
  }

  /** Everything in a directory, in no promised order. */
  children(dir: Entry): Entry[] {
    return this.#entries.children(dir.id)
  }

  /** The name, or a stamped one when an entry of that name is there. */
  freeName(account: Account, dir: Entry, name: string, nowMs: number): string {
    // A generation that allows longer names than this limit must not see them cut.
    const charsMax = Math.max(account.limits.nameCharsMax, [...name].length)
    let free = name
    for (let stampMs = nowMs; this.child(dir, free) !== undefined; stampMs += 1000) {
      free = stampedName(name, stampMs, charsMax)
    }
    return free
  }

  makeDir(account: Account, parent: Entry, name: string, note: string, nowMs: number): Entry {
    if (parent.parent === null) throw new Refusal(RET.MKDIR_IN_ROOT, 'directory in the root')
    this.#checkRoom(account, parent, name, 1)
    const { uin } = account
    const dir = { id: newDirKey(uin), uin, parent: parent.id, kind: 'dir', name, note } as const
    return this.#add(account, newEntry(dir, nowMs), { dirCount: 1 }, nowMs)
  }

  /** Adds a file under a free name. */
  addFile(account: Account, parent: Entry, file: NewFile, nowMs: number): Entry {
    if (parent.parent === null) throw new Refusal(RET.UPLOAD_INTO_ROOT, 'file in the root')
    this.#checkRoom(account, parent, file.name, 0)
    this.checkSpace(account, file.size)
    const entry = fileEntry(account, parent, file, nowMs)
    return this.#add(account, entry, { fileCount: 1, usedSpace: file.size }, nowMs)
  }

  /** Many files at once, as one change of the directory and past all limits. */
  addFiles(account: Account, parent: Entry, files: NewFile[], nowMs: number): void {
    const usedSpace = files.reduce((sum, file) => sum + file.size, 0)
    this.#transaction(() => {
      for (const file of files) this.#entries.insert(fileEntry(account, parent, file, nowMs))
      this.#entries.touch(parent.id, files.length, nowMs)
      this.#accounts.count(account, { fileCount: files.length, usedSpace }, nowMs)
    })
  }

  checkSpace(account: Account, size: number): void {
    if (size > account.limits.fileSizeMax) throw new Refusal(RET.FILE_TOO_BIG, 'file too big')
    if (account.usedSpace + size > account.totalSpace) throw new Refusal(RET.NO_SPACE, 'quota')
  }

  /** Gives a file its bytes: an upload that arrived, or (when it had some) a new version. */
  setContent(account: Account, file: Entry, content: Content, nowMs: number): Entry {
    const ver = file.complete === 0 ? file.ver : Math.max(file.ver + 1, Math.floor(nowMs / 1000))
    const changed: Entry = { ...file, ...content, ver, complete: 1, dead: 0, mtimeMs: nowMs }
    this.#transaction(() => {
      this.#entries.update(changed)
      this.#entries.touch(parentOf(file), 0, nowMs)
      this.#accounts.count(account, { usedSpace: content.size - file.size }, nowMs)
    })
    return changed
  }

  /** Leaves a file listed while every attempt to read it fails. */
  kill(file: Entry): void {
    this.#entries.update({ ...file, dead: 1 })
  }

  mark(entry: Entry, mark: Mark): void {
    this.#entries.update({ ...entry, mark })
  }

  isDead(id: string): boolean {
    return this.#entries.get(id)?.dead === 1
  }

  rename(entry: Entry, name: string, note: string, nowMs: number): void {
    checkWhole(entry)
    checkOrdinary(entry, { root: RET.ROOT_MODIFY, main: RET.SYSTEM_DIR_MODIFY })
    if (entry.name === name) throw new Refusal(RET.SAME_NAME, 'that is its name already')
    this.#checkTaken(parentOf(entry), name)
    this.#transaction(() => {
      this.#entries.update({ ...entry, name, note })
      this.#entries.touch(parentOf(entry), 0, nowMs)
    })
  }

  move(account: Account, entry: Entry, target: Entry, nowMs: number): void {
    checkWhole(entry)
    checkOrdinary(entry, { root: RET.ROOT_MODIFY, main: RET.SYSTEM_DIR_MOVE })
    if (target.parent === null) throw new Refusal(RET.MOVE_INTO_ROOT, 'move into the root')
    if (entry.parent === target.id) throw new Refusal(RET.SAME_DIR, 'it is there already')
    const above = this.#ancestors(target) ?? []
    if ([target, ...above].some((dir) => dir.id === entry.id)) {
      throw new Refusal(RET.BAD_PARAMETER, 'move of a directory below itself')
    }
    this.#checkPlace(account, target, entry.name, this.#entries.subtree(entry.id).levels)
    this.#transaction(() => {
      this.#entries.update({ ...entry, parent: target.id })
      this.#entries.touch(parentOf(entry), -1, nowMs)
      this.#entries.touch(target.id, 1, nowMs)
    })
  }

  /**
   * Into the recycle bin, with all that lies below. An incomplete file is not worth keeping: it
   * goes at once.
   */
  recycle(account: Account, entry: Entry, nowMs: number): void {
    checkOrdinary(entry, { root: RET.ROOT_DELETE, main: RET.SYSTEM_DIR_DELETE })
    if (entry.complete === 0) {
      this.erase(account, entry, nowMs)
      return
    }
    const gone = this.#entries.subtree(entry.id)
    this.#transaction(() => {
      this.#entries.update({ ...entry, recycledMs: nowMs })
      this.#entries.touch(parentOf(entry), -1, nowMs)
      this.#accounts.count(account, live(gone, -1), nowMs)
    })
  }

  /** What the recycle bin holds: the entries deleted, not what lies below them. */
  recycled(account: Account): Entry[] {
    return this.#entries.recycled(account.uin)
  }

  /** Back to where it was, under a stamped name when its own is taken. */
  restore(account: Account, id: string, kind: Entry['kind'], nowMs: number): Entry {
    const entry = this.#entries.get(id)
    if (entry?.uin !== account.uin || entry.kind !== kind || entry.recycledMs === null) {
      throw new Refusal(kind === 'dir' ? RET.NO_DIR : RET.NO_FILE, 'not in the recycle bin')
    }
    const parent = this.dir(account, parentOf(entry), RET.NO_PARENT)
    const back = this.#entries.subtree(entry.id)
    const name = this.freeName(account, parent, entry.name, nowMs)
    this.#checkPlace(account, parent, name, back.levels)
    const restored: Entry = { ...entry, name, recycledMs: null }
    this.#transaction(() => {
      this.#entries.update(restored)
      this.#entries.touch(parent.id, 1, nowMs)
      this.#accounts.count(account, live(back, 1), nowMs)
    })
    return restored
  }

  /** Deletes for good what is live or in the recycle bin, and frees its space. */
  erase(account: Account, entry: Entry, nowMs: number): void {
    const gone = this.#entries.subtree(entry.id)
    this.#transaction(() => {
      this.#entries.erase(entry.id)
      if (entry.recycledMs === null) this.#entries.touch(parentOf(entry), -1, nowMs)
      const counted = entry.recycledMs === null ? live(gone, -1) : {}
      this.#accounts.count(account, { ...counted, usedSpace: -gone.size }, nowMs)
    })
  }

  #add(account: Account, entry: Entry, by: Parameters<Accounts['count']>[1], nowMs: number): Entry {
    this.#transaction(() => {
      this.#entries.insert(entry)
      this.#entries.touch(parentOf(entry), 1, nowMs)
      this.#accounts.count(account, by, nowMs)
    })
    return entry
  }

  #checkRoom(account: Account, parent: Entry, name: string, levels: number): void {
    if (account.fileCount + account.dirCount >= account.limits.entriesMax) {
      throw new Refusal(RET.TOO_MANY_ENTRIES, 'entries of the account')
    }
    this.#checkPlace(account, parent, name, levels)
  }

  #checkPlace(account: Account, parent: Entry, name: string, levels: number): void {
    this.#checkTaken(parent.id, name)
    if (parent.childCount >= account.limits.dirEntriesMax) {
      throw new Refusal(RET.DIR_FULL, 'entries of the directory')
    }
    if (levels === 0) return
    // The main directory, which has one ancestor, is level 0. That 199012 is the code is a guess
    // [I].
    const depth = (this.#ancestors(parent)?.length ?? 0) - 1 + levels
    if (depth > account.limits.depthMax) {
      throw new Refusal(RET.OVER_LIMIT, `depth ${depth} of ${account.limits.depthMax}`)
    }
  }

  #checkTaken(parent: string, name: string): void {
    if (this.#entries.child(parent, name) !== undefined) {
      throw new Refusal(RET.NAME_TAKEN, 'name taken')
    }
  }

  /** The directories above, nearest first; undefined when it or one of them was deleted. */
  #ancestors(entry: Entry): Entry[] | undefined {
    if (entry.recycledMs !== null) return undefined
    const above: Entry[] = []
    for (let key = entry.parent; key !== null; ) {
      const dir = this.#entries.get(key)
      if (dir === undefined || dir.recycledMs !== null) return undefined
      above.push(dir)
      key = dir.parent
    }
    return above
  }
}

function fileEntry(account: Account, parent: Entry, file: NewFile, nowMs: number): Entry {
  const complete = file.complete ? 1 : 0
  const ver = Math.floor(nowMs / 1000)
  const place = { id: randomUUID(), uin: account.uin, parent: parent.id, kind: 'file' } as const
  return newEntry({ ...file, ...place, ver, complete }, nowMs)
}

function live(subtree: Subtree, sign: 1 | -1): { fileCount: number; dirCount: number } {
  return { fileCount: sign * subtree.fileCount, dirCount: sign * subtree.dirCount }
}

function parentOf(entry: Entry): string {
  if (entry.parent === null) throw new Error('the root has no parent')
  return entry.parent
}

function checkOrdinary(entry: Entry, ret: { root: number; main: number }): void {
  if (entry.parent === null) throw new Refusal(ret.root, 'the root directory')
  if (entry.id === mainKey(entry.uin)) throw new Refusal(ret.main, 'the main directory')
}

function checkWhole(entry: Entry): void {
  if (entry.complete === 0) throw new Refusal(RET.INCOMPLETE_FILE, 'the upload is not complete')
}
