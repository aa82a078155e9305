// `--local`: the local service in a process of its own, for as long as a mount needs it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

export interface LocalService {
  readonly url: string
  /** Paths of session files by dialect. */
  readonly sessions: Readonly<Record<string, string>>
  stop(): Promise<void>
}

export async function startLocalService(dir: string): Promise<LocalService> {
  const command = ['local', '--data', dir, '--port', '0', '--until-stdin-ends']
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Ctrl-C in a terminal reaches every process of the group: this one is needed until the end.
    detached: true,
  })
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    const { url, sessions } = JSON.parse(line)
    return {
      url,
      sessions,
      async stop() {
        // It ends when its standard input does, also when we are killed.
        child.stdin.end()
        await exited
      },
    }
  }
  await exited
  throw new CliError(EXIT.UNAVAILABLE, tr('the local service did not start'))
}
