// `weiyun-mount warm|pin|unpin|free PATH…`: what is to be on this disk, or gone from it.
import type { Command } from 'commander'
import type { KeepAction, KeepProgress } from '../vfs/vfs.ts'
import { openBar, type ProgressBar } from './bar.ts'
import { declareCommand, say } from './command.ts'
import type { CommandModule } from './commands.ts'
import { askMount } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import { findMount } from './mount-table.ts'
import { formatFiles } from './units.ts'

export const warm = command('warm')
export const pin = command('pin')
export const unpin = command('unpin')
export const free = command('free')

function command(action: KeepAction): CommandModule {
  const declare = (): Command => declareCommand(action).argument('<PATH...>')
  return {
    declare,
    async run(argv) {
      for (const path of declare().parse(argv, { from: 'user' }).args) await keep(action, path)
      return EXIT.OK
    },
  }
}

async function keep(action: KeepAction, path: string): Promise<void> {
  const found = await findMount(path)
  if (found === undefined) {
    throw new CliError(EXIT.NO_INPUT, tr('{path}: not in a weiyun-mount', { path }))
  }
  const { mountpoint, below } = found
  const bar = await openBar(path)
  try {
    const request = { do: 'keep', action, path: `/${below}` } as const
    const done = await askMount(mountpoint, request, (now) => show(bar, now as KeepProgress))
    bar?.stop()
    report(action, path, done as KeepProgress)
  } finally {
    bar?.stop()
  }
}

function show(bar: ProgressBar | undefined, { files, filesTotal, ...now }: KeepProgress): void {
  const note = tr('{files} of {total} files', { files, total: filesTotal })
  bar?.update(now.bytes, now.bytesTotal, note)
}

function report(action: KeepAction, path: string, done: KeepProgress): void {
  const what = formatFiles(done.files, done.bytes)
  const words = {
    warm: () => tr('{path}: {what} in the cache', { path, what }),
    pin: () => tr('{path}: {what} pinned', { path, what }),
    unpin: () => tr('{path}: {what} no longer pinned', { path, what }),
    free: () => tr('{path}: {what} dropped from the cache', { path, what }),
  }
  say(words[action]())
  if (done.skipped === 0) return
  const count = done.skipped
  say(tr('{count} pinned files stayed; `weiyun-mount unpin` first', { count }))
}
