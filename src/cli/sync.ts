// `weiyun-mount sync [PATH]`: returns when everything below PATH is on the service.
import { declareCommand } from './command.ts'
import { askControl, askMount, findSockets, NotRunning } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { findMount } from './mount-table.ts'

export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand(
    'weiyun-mount sync',
    'Wait until everything below PATH (without it: in every mount) is on the service.',
  )
    .argument('[PATH]')
    .parse(argv, { from: 'user' })
  const [path] = command.args
  if (path === undefined) await syncAll()
  else await syncBelow(path)
  return EXIT.OK
}

async function syncBelow(path: string): Promise<void> {
  const found = await findMount(path)
  if (found === undefined) throw new CliError(EXIT.NO_INPUT, `${path}: not in a weiyun-mount`)
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
