// `weiyun-mount logout`: tells the service, and removes the session file.
import { rm } from 'node:fs/promises'
import { isWeiyunError, loadSession, logout } from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand, say } from './command.ts'
import { CliError, EXIT } from './exit.ts'
import type { Config } from './options.ts'
import { sessionPath } from './session-file.ts'

export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand('weiyun-mount logout', 'End the session and forget it.')
  addOptions(command, ['session', 'service', 'timeoutMs'])
  command.parse(argv, { from: 'user' })
  if (command.args.length > 0) command.error(`error: too many arguments: ${command.args[0]}`)
  const config = await configFor(command)
  const path = sessionPath(config)
  await tellService(path, config)
  await rm(path)
  console.log(`logged out; ${path} is removed`)
  return EXIT.OK
}

/** A service that cannot be told is no reason to keep the file: the session ends there by itself. */
async function tellService(path: string, { service, timeoutMs }: Config): Promise<void> {
  try {
    const session = await loadSession(path)
    if (session.dialect !== 'webapp') return
    await logout(session, { ...(service !== undefined && { service }), timeoutMs })
  } catch (error) {
    if (isWeiyunError(error, 'NOT_FOUND')) {
      throw new CliError(EXIT.SESSION, `no session at ${path}`)
    }
    if (!isWeiyunError(error)) throw error
    say(`the service was not told: ${error.message}`)
  }
}
