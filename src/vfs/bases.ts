// Versions of the service whose bytes show through unsent files, as after a copy or an edit in
// place. `Writer` notes them; before one goes, those files have to be sent or get what they need.
import type { FileInode, RemoteFile } from './inode.ts'

export class Bases {
  readonly #needed = new Map<FileInode, RemoteFile>()
  readonly #byId = new Map<string, Set<FileInode>>()

  /** `base`: the version that a file needs bytes of; undefined: of none. */
  note(file: FileInode, base: RemoteFile | undefined): void {
    const before = this.#needed.get(file)
    if (before !== undefined) this.#forget(file, before.id)
    if (base === undefined) return
    this.#needed.set(file, base)
    this.#byId.set(base.id, (this.#byId.get(base.id) ?? new Set()).add(file))
  }

  /** Who needs bytes of the version that the service has of a file, that file itself left out. */
  over(file: FileInode): FileInode[] {
    const { remote } = file
    if (remote === undefined) return []
    return [...(this.#byId.get(remote.id) ?? [])].filter((other) => {
      const base = this.#needed.get(other)
      // Of an entry that was overwritten since, the bytes are gone already.
      return other !== file && base?.sha1 === remote.sha1 && base.size === remote.size
    })
  }

  #forget(file: FileInode, id: string): void {
    this.#needed.delete(file)
    const files = this.#byId.get(id)
    files?.delete(file)
    if (files?.size === 0) this.#byId.delete(id)
  }
}
