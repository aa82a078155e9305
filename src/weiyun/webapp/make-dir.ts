// Making a directory where the service may hand out another name instead of refusing one that is
// taken (protocol notes, webapp 5 and 11).
import type { Call } from '../call.ts'
import type { DirEntry, DirRef } from '../drive.ts'
import { WeiyunError } from '../errors.ts'
import type { Movers } from './move.ts'

/** See Drive.makeDir. */
export async function makeDir(
  { commands, views }: Movers,
  dir: DirRef,
  name: string,
  call: Call,
): Promise<DirEntry> {
  const findNamed = async () => (await views.fresh(dir, call)).find((entry) => entry.name === name)
  const findDir = async () => {
    const found = await findNamed()
    return found?.kind === 'dir' ? found : undefined
  }
  const made = (await commands.makeDir(dir, name, call, findDir)) ?? (await findDir())
  views.forget(dir)
  if (made === undefined) throw new WeiyunError('BAD_REPLY', 'the new directory is not listed')
  if (made.name === name) return made
  // Another name: because somebody has this one, or because the service never gives it.
  const holder = await findNamed()
  if (holder === undefined) return made
  await commands.remove([{ dir, entry: made }], call)
  throw new WeiyunError('EXISTS', 'the name is taken')
}
