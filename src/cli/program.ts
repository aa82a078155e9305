// Arguments → command → exit code. Each command is loaded only when it is asked for.
import { basename } from 'node:path'
import { CommanderError } from 'commander'
import { say } from './command.ts'
import { isCommand } from './commands.ts'
import { EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { LOADERS } from './load.ts'
import { fromMountHelper } from './mount-helper.ts'

/** mount(8) starts its helpers without any PATH. */
process.env.PATH ||= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Runs the program; resolves with its exit code. */
export async function runProgram([word = '', ...rest]: readonly string[]): Promise<number> {
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
