#!/usr/bin/env node
// Arguments → command → exit code. Each command is loaded only when it is asked for.
import { basename } from 'node:path'
import { CommanderError } from 'commander'
import { say } from './command.ts'
import { isCommand } from './commands.ts'
import { EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { LOADERS } from './load.ts'
import { fromMountHelper } from './mount-helper.ts'

async function main([word = '', ...rest]: readonly string[]): Promise<number> {
  try {
    if (isCommand(word)) return await (await LOADERS[word]()).run(rest, LOADERS)
    // Without a command's name it is a mount point: `weiyun-mount ~/weiyun`.
    const argv = fromMountHelper(basename(process.argv[1] ?? ''), process.argv.slice(2))
    return argv === undefined ? EXIT.OK : await (await LOADERS.mount()).run(argv, LOADERS)
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
