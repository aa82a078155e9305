// `weiyun-mount unmount MOUNTPOINT`: takes the mount away and waits until its process has uploaded
// what it still had.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Left } from '../vfs/vfs.ts'
import { declareCommand, say } from './command.ts'
import { askMount, NotRunning } from './control.ts'
import { showDrain } from './drain.ts'
import { CliError, EXIT } from './exit.ts'
import { fusermount } from './fuse-helper.ts'
import { tr } from './language.ts'
import { findMount } from './mount-table.ts'

/** A process that does not say that it has heard is hung, or of an older version. */
const HEARD_MS = 1_000

export function declare(): Command {
  return declareCommand('unmount')
    .argument('<MOUNTPOINT>')
    .option('-z, --lazy', tr('also when it is in use or its process is gone'))
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const [target = ''] = command.args
  const { lazy = false } = command.opts<{ lazy?: boolean }>()

  const found = await findMount(target)
  if (found === undefined || found.below !== '') {
    throw new CliError(
      EXIT.NO_INPUT,
      tr('{path}: not a mount point of weiyun-mount', { path: target }),
    )
  }
  const { mountpoint } = found
  if (lazy) {
    // Whoever still uses it may do so for hours: nothing to wait for.
    await fusermount(mountpoint, { lazy })
    return EXIT.OK
  }
  const view = await showDrain()
  // Asked before, answered after: once unmounted, the process answers nobody new.
  const heard = Promise.withResolvers<void>()
  const onProgress = (left: unknown): void => {
    heard.resolve()
    if (left !== null) view.update(left as Left)
  }
  const ended = askMount(mountpoint, { do: 'ended' }, onProgress).then(
    (left) => left as Left,
    (error) => (error instanceof NotRunning ? undefined : Promise.reject(error)),
  )
  await Promise.race([heard.promise, ended, sleep(HEARD_MS, undefined, { ref: false })]).catch(
    () => {},
  )
  await fusermount(mountpoint, { lazy })
  const left = await ended
  if (left === undefined) {
    say(tr('{mountpoint}: unmounted; its process was gone already', { mountpoint }))
  } else view.finish(left)
  return EXIT.OK
}
