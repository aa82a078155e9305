#!/usr/bin/env node
// Arguments → command → exit code. Each command is loaded only when it is asked for.
import { CommanderError } from 'commander'
import { say } from './command.ts'
import { EXIT } from './exit.ts'
import { explain } from './explain.ts'

/** Runs with the arguments after its own name; resolves with the exit code. */
export type Run = (argv: readonly string[]) => Promise<number>

const COMMANDS: Record<string, () => Promise<{ run: Run }>> = {
  mount: () => import('./mount.ts'),
  login: () => import('./login.ts'),
  logout: () => import('./logout.ts'),
  unmount: () => import('./unmount.ts'),
  status: () => import('./status.ts'),
  sync: () => import('./sync.ts'),
  doctor: () => import('./doctor.ts'),
  avatar: () => import('./avatar.ts'),
  local: () => import('./local.ts'),
}

async function main([word = '', ...rest]: readonly string[]): Promise<number> {
  const load = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
  try {
    // Without a command's name it is a mount point: `weiyun-mount ~/weiyun`.
    if (load !== undefined) return await (await load()).run(rest)
    return await (await import('./mount.ts')).run(process.argv.slice(2))
  } catch (error) {
    // --help and --version arrive here too; commander has printed its message already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
    const { message, exitCode } = explain(error)
    say(message)
    return exitCode
  }
}

// A reader that went away (`| head`) is no reason to end a mount, nor to complain.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
// Not process.exit(): what is still on its way to a pipe would be lost.
process.exitCode = await main(process.argv.slice(2))
// Something forgotten (a socket, a watcher) must not keep a process whose work is done.
setTimeout(() => process.exit(), 1000).unref()
