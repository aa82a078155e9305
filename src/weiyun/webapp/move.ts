// Renames and moves out of the service's commands, one for the name and one for the place
// (protocol notes, webapp 5). A move onto a taken name succeeds under another one, and only a
// listing tells.
import type { Call } from '../call.ts'
import type { DirRef, Entry, RemoveItem } from '../drive.ts'
import { isSameEntry } from '../entries.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'
import type { WebappCommands } from './commands.ts'
import type { Views } from './views.ts'

export interface Movers {
  readonly commands: WebappCommands
  readonly views: Views
}

/** See Drive.move. */
export async function moveEntry(
  movers: Movers,
  item: RemoveItem,
  to: DirRef,
  newName: string,
  call: Call,
): Promise<void> {
  if (item.dir.key === to.key) await rename(movers, item, newName, call)
  else await relocate(movers, item, to, newName, call)
}

async function rename(
  { commands, views }: Movers,
  item: RemoveItem,
  newName: string,
  call: Call,
): Promise<void> {
  if (item.entry.name === newName) return
  const isDone = async () =>
    (await find(views, item, item.dir, call))?.name === newName ? true : undefined
  try {
    await commands.rename(item, newName, call, isDone)
  } catch (error) {
    if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND') || !(await isDone())) throw error
  } finally {
    views.forget(item.dir)
  }
}

/**
 * Into the other directory under whatever name comes out, then to the right name: by its id the
 * entry is found on the way, and a name that is taken is refused before and after, never
 * overwritten.
 */
async function relocate(
  movers: Movers,
  item: RemoveItem,
  to: DirRef,
  newName: string,
  call: Call,
): Promise<void> {
  const { commands, views } = movers
  const isTaken = (entries: readonly Entry[]) =>
    entries.some((entry) => entry.name === newName && !isSameEntry(entry, item.entry))
  // What was seen a moment ago may be gone; what is new since then is found afterwards.
  if (isTaken(await views.recent(to, call)) && isTaken(await views.fresh(to, call))) {
    throw new WeiyunError('EXISTS', 'the name is taken in the other directory')
  }
  const isThere = async () => ((await find(views, item, to, call)) === undefined ? undefined : true)
  try {
    await commands.relocate(item, to, call, isThere)
  } catch (error) {
    if (!isWeiyunError(error, 'EXISTS', 'NOT_FOUND') || !(await isThere())) throw error
  } finally {
    views.forget(item.dir, to)
  }
  const moved = await find(views, item, to, call)
  if (moved === undefined)
    throw new WeiyunError('NOT_FOUND', 'the entry was moved, but is not there')
  await rename(movers, { dir: to, entry: moved }, newName, call)
}

async function find(
  views: Views,
  { entry }: RemoveItem,
  dir: DirRef,
  call: Call,
): Promise<Entry | undefined> {
  return (await views.fresh(dir, call)).find((other) => isSameEntry(other, entry))
}
