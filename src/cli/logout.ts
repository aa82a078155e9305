// `weiyun-mount logout`: tells the service, and removes the session file.
import { rm } from 'node:fs/promises'
import type { Command } from 'commander'
import { isWeiyunError, loadSession, logout } from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand, say } from './command.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import type { Config } from './options.ts'
import { sessionPath } from './session-file.ts'

export function declare(): Command {
  const command = declareCommand('logout').allowExcessArguments(false)
  return addOptions(command, ['session', 'service', 'timeoutMs'])
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const config = await configFor(command)
  const path = sessionPath(config)
  await tellService(path, config)
  await rm(path)
  console.log(tr('logged out; {path} is removed', { path }))
  return EXIT.OK
}

/**
 * A service that cannot be told is no reason to keep the file: the session ends there by itself.
 */
async function tellService(path: string, { service, timeoutMs }: Config): Promise<void> {
  try {
    const session = await loadSession(path)
    if (session.dialect !== 'webapp') return
    await logout(session, { ...(service !== undefined && { service }), timeoutMs })
  } catch (error) {
    if (isWeiyunError(error, 'NOT_FOUND')) {
      throw new CliError(EXIT.SESSION, tr('no session at {path}', { path }))
    }
    if (!isWeiyunError(error)) throw error
    say(tr('the service was not told: {why}', { why: error.message }))
  }
}
