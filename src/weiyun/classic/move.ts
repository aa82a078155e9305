// Renames and moves out of the service's two commands, one for the name and one for the place.
// Each step goes by the entry's id, so that a repeated one finds its work done (newcgi, Appendix
// A).
import type { Call } from '../call.ts'
import type { DirRef, Entry, RemoveItem } from '../drive.ts'
import { idOf, isSameEntry } from '../entries.ts'
import { isWeiyunError } from '../errors.ts'
import type { ClassicCommands } from './commands.ts'

type List = (dir: DirRef) => Promise<readonly Entry[]>

export async function moveEntry(
  commands: ClassicCommands,
  list: List,
  item: RemoveItem,
  to: DirRef,
  newName: string,
  call: Call,
): Promise<void> {
  const find = async (dir: DirRef) =>
    (await list(dir)).find((entry) => isSameEntry(entry, item.entry))

  const rename = async (from: RemoveItem, name: string) => {
    const isDone = async () => ((await find(from.dir))?.name === name ? true : undefined)
    try {
      await commands.rename(from, name, call, isDone)
    } catch (error) {
      if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND') || !(await isDone())) throw error
    }
  }

  const relocate = async (from: RemoveItem) => {
    const isDone = async () => ((await find(to)) === undefined ? undefined : true)
    try {
      await commands.relocate(from, to, call, isDone)
    } catch (error) {
      if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND') || !(await isDone())) throw error
    }
  }

  const { dir, entry } = item
  if (dir.key === to.key) {
    if (entry.name !== newName) await rename(item, newName)
    return
  }
  try {
    await relocate(item)
  } catch (error) {
    const taken = isWeiyunError(error, 'EXISTS') && entry.name !== newName
    if (!taken || (await list(to)).some(({ name }) => name === newName)) throw error
    // The old name is taken there, the new one is free: go by way of a name that nobody has.
    const interim = { dir, entry: { ...entry, name: `moving-${idOf(entry)}` } }
    await rename(item, interim.entry.name)
    await relocate(interim)
  }
  if (entry.name !== newName) await rename({ dir: to, entry }, newName)
}
