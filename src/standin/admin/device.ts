// Another device of the same user: changes an account's files behind the back of the client under
// test, by path. It checks no names, so that it can also leave what no client of the service could
// have made.
import { open } from 'node:fs/promises'
import { RET, Refusal } from '../refusal.ts'
import { type Account, mainKey } from '../store/accounts.ts'
import type { Entry, Mark } from '../store/entries.ts'
import { seededContent } from '../store/seeded.ts'
import type { Store } from '../store/store.ts'
import type { Content, NewFile } from '../store/tree.ts'

/**
 * Bytes given as such, or `size` bytes that follow from `seed` (see `seededContent`; 0 when
 * absent).
 */
export interface Bytes {
  content?: Uint8Array | undefined
  size?: number | undefined
  seed?: number | undefined
}

/** One line of a recursive listing. */
export interface Listed {
  /** Names from the listed directory down, joined by `/`. */
  path: string
  kind: 'dir' | 'file'
  id: string
  size: number
  sha: string
  md5: string
  ver: number
  mtimeMs: number
  state: 'complete' | 'broken' | 'dead'
}

export class Device {
  readonly #store: Store
  readonly #account: Account

  constructor(store: Store, account: Account) {
    this.#store = store
    this.#account = account
  }

  /** Creates a file, or gives the one that is there a new version. */
  async put(path: string, bytes: Bytes): Promise<Listed> {
    const content = await this.#keep(bytes)
    const { dir, name } = this.#slot(path)
    const taken = this.#store.tree.child(dir, name)
    if (taken?.kind === 'file') {
      const changed = this.#store.tree.setContent(this.#account, taken, content, Date.now())
      return listed(changed, path)
    }
    return listed(this.#add(dir, name, content), path)
  }

  /**
   * Creates a file of any size that takes no room on this disk: its bytes are worked out as they
   * are sent, and its hashes are made up. It can be read until the service ends.
   */
  pretend(path: string, size: number, seed: number): Listed {
    const { dir, name } = this.#slot(path)
    return listed(this.#add(dir, name, this.#store.blobs.pretend(size, seed)), path)
  }

  /** Deletes the file and puts another under its name: same path, new file id. */
  async replace(path: string, bytes: Bytes): Promise<Listed> {
    const content = await this.#keep(bytes)
    const { dir, name } = this.#slot(path)
    this.#store.tree.recycle(this.#account, this.#at(path, 'file'), Date.now())
    return listed(this.#add(dir, name, content), path)
  }

  /** Leaves a file whose upload never finished. */
  breakOff(path: string, size: number): Listed {
    const { dir, name } = this.#slot(path)
    const file = { name, size, sha: '', md5: '', complete: false }
    return listed(this.#store.tree.addFile(this.#account, dir, file, Date.now()), path)
  }

  /**
   * Puts a file or a directory (without `bytes`) under any name at all: `..`, `a/b`, names with
   * NUL.
   */
  async insert(dirPath: string, name: string, bytes: Bytes | undefined): Promise<Listed> {
    const content = bytes === undefined ? undefined : await this.#keep(bytes)
    const dir = this.#at(dirPath, 'dir')
    if (content !== undefined) return listed(this.#add(dir, name, content), name)
    return listed(this.#store.tree.makeDir(this.#account, dir, name, '', Date.now()), name)
  }

  /**
   * Many files of one size in a directory that has none of these names: `<prefix>00000` and so on,
   * with contents by `seed`, `seed + 1`, …
   */
  async fill(
    path: string,
    wanted: { count: number; size: number; seed: number; prefix: string },
  ): Promise<void> {
    const { count, size, seed, prefix } = wanted
    const files: NewFile[] = []
    for (let i = 0; i < count; i++) {
      const content = await this.#keep({ size, seed: seed + i })
      const name = prefix + String(i).padStart(5, '0')
      files.push({ name, ...content, complete: true })
    }
    this.#store.tree.addFiles(this.#account, this.#at(path, 'dir'), files, Date.now())
  }

  /** Makes a directory and those above it; one that is there is left as it is. */
  mkdir(path: string): Listed {
    let dir = this.#main()
    for (const name of split(path)) {
      const child = this.#store.tree.child(dir, name)
      if (child?.kind === 'file') throw new Refusal(RET.NAME_TAKEN, `${path} holds a file's name`)
      dir = child ?? this.#store.tree.makeDir(this.#account, dir, name, '', Date.now())
    }
    return listed(dir, path)
  }

  rename(path: string, name: string): void {
    const entry = this.#at(path)
    this.#store.tree.rename(entry, name, entry.note, Date.now())
  }

  /** Moves into another directory under the same name. */
  move(path: string, toDir: string): void {
    this.#store.tree.move(this.#account, this.#at(path), this.#at(toDir, 'dir'), Date.now())
  }

  /** Into the recycle bin. */
  remove(path: string): void {
    this.#store.tree.recycle(this.#account, this.#at(path), Date.now())
  }

  /** The file stays listed, and no download of it works any more. */
  kill(path: string): void {
    this.#store.tree.kill(this.#at(path, 'file'))
  }

  mark(path: string, mark: Mark): void {
    this.#store.tree.mark(this.#at(path), mark)
  }

  /** Everything below a directory, parents before children. */
  list(path: string): Listed[] {
    const found: Listed[] = []
    const walk = (dir: Entry, prefix: string) => {
      for (const child of this.#store.tree.children(dir)) {
        found.push(listed(child, prefix + child.name))
        if (child.kind === 'dir') walk(child, `${prefix}${child.name}/`)
      }
    }
    walk(this.#at(path, 'dir'), '')
    return found
  }

  async read(path: string): Promise<Buffer> {
    const { sha, size } = this.#at(path, 'file')
    const file = await open(this.#store.blobs.path(sha))
    try {
      return (await file.read(Buffer.alloc(size), 0, size, 0)).buffer
    } finally {
      await file.close()
    }
  }

  #add(dir: Entry, name: string, content: Content): Entry {
    const file = { name, ...content, complete: true }
    return this.#store.tree.addFile(this.#account, dir, file, Date.now())
  }

  async #keep({ content, size = 0, seed = 0 }: Bytes): Promise<Content> {
    if ((content?.length ?? size) === 0) return this.#store.blobs.empty
    const source = content === undefined ? seededContent(size, seed) : [Buffer.from(content)]
    return await this.#store.blobs.put(source)
  }

  #main(): Entry {
    return this.#store.tree.dir(this.#account, mainKey(this.#account.uin))
  }

  /** Where a path's last name stands, or would. */
  #slot(path: string): { dir: Entry; name: string } {
    const names = split(path)
    const name = names.pop()
    if (name === undefined) throw new Refusal(RET.BAD_NAME, 'path of the main directory')
    return { dir: this.#at(names.join('/'), 'dir'), name }
  }

  #at(path: string, kind?: Entry['kind']): Entry {
    let entry = this.#main()
    for (const name of split(path)) {
      const child = this.#store.tree.child(entry, name)
      if (child === undefined) throw new Refusal(RET.NO_FILE, `no ${path}`)
      entry = child
    }
    if (kind !== undefined && entry.kind !== kind) {
      throw new Refusal(kind === 'dir' ? RET.NO_DIR : RET.NO_FILE, `${path} is a ${entry.kind}`)
    }
    return entry
  }
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '')
}

function listed(entry: Entry, path: string): Listed {
  const { kind, id, size, sha, md5, ver, mtimeMs } = entry
  const state = entry.complete === 0 ? 'broken' : entry.dead === 1 ? 'dead' : 'complete'
  return { path, kind, id, size, sha, md5, ver, mtimeMs, state }
}
