// `weiyun-mount sync [PATH]`: returns when everything below PATH is on the service.
import type { Command } from 'commander'
import { declareCommand } from './command.ts'
import { askControl, askMount, findSockets, NotRunning } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import { findMount } from './mount-table.ts'

export function declare(): Command {
  return declareCommand('sync').argument('[PATH]', tr('without it: every mount'))
}

export async function run(argv: readonly string[]): Promise<number> {
  const [path] = declare().parse(argv, { from: 'user' }).args
  if (path === undefined) await syncAll()
  else await syncBelow(path)
  return EXIT.OK
}

async function syncBelow(path: string): Promise<void> {
  const found = await findMount(path)
  if (found === undefined)
    throw new CliError(EXIT.NO_INPUT, tr('{path}: not in a weiyun-mount', { path }))
  await askMount(found.mountpoint, { do: 'sync', path: `/${found.below}` })
}

async function syncAll(): Promise<void> {
  const asked = (await findSockets()).map(async (socket) => {
    try {
      await askControl(socket, { do: 'sync', path: '/' })
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error
    }
  })
  await Promise.all(asked)
}
