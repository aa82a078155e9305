// `weiyun-mount completions SHELL`: a script for the shell, made of the commands' own declarations.
import type { Command } from 'commander'
import { declareCommand } from './command.ts'
import type { Loaders } from './commands.ts'
import { bashCompletions, fishCompletions, zshCompletions } from './completion-scripts.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import { commandShapes } from './shape.ts'

const SHELLS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions }

export function declare(): Command {
  const command = declareCommand('completions')
    .argument('<SHELL>', tr('bash, zsh or fish'))
    .addHelpText(
      'after',
      `
  bash   weiyun-mount completions bash > ~/.local/share/bash-completion/completions/weiyun-mount
  zsh    weiyun-mount completions zsh > ~/.zfunc/_weiyun-mount   (fpath+=~/.zfunc)
  fish   weiyun-mount completions fish > ~/.config/fish/completions/weiyun-mount.fish`,
    )
  const [argument] = command.registeredArguments
  if (argument !== undefined) argument.argChoices = Object.keys(SHELLS)
  return command
}

export async function run(argv: readonly string[], commands: Loaders): Promise<number> {
  const [shell = ''] = declare().parse(argv, { from: 'user' }).args
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : undefined
  if (script === undefined) {
    const words = Object.keys(SHELLS).join(', ')
    throw new CliError(EXIT.USAGE, tr("'{text}' is none of {words}", { text: shell, words }))
  }
  process.stdout.write(script(await commandShapes(commands)))
  return EXIT.OK
}
