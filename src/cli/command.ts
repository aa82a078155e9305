// What all commands share: how they are declared to commander, how they speak to the user.
import { Command, Option } from 'commander'
import { COMMANDS, type CommandName } from './commands.ts'
import { type ConfigSources, loadConfig, type Words } from './config.ts'
import { CliError, EXIT } from './exit.ts'
import { LANGUAGE, tr, trAny } from './language.ts'
import { OPTIONS, type OptionKey, type OptionSpec } from './options.ts'

/** A line for the user, on stderr, in the form of Unix programs. */
export function say(message: string): void {
  process.stderr.write(`weiyun-mount: ${message}\n`)
}

/** A command of the table, still without options and arguments of its own. */
export function declareCommand(name: CommandName): Command {
  const title = name === 'mount' ? 'weiyun-mount' : `weiyun-mount ${name}`
  return new Command(title)
    .description(tr(COMMANDS[name].summary))
    .helpOption('-h, --help', tr('show this help'))
    .exitOverride()
    .configureHelp({ styleTitle: trAny })
    .configureOutput({
      outputError: (text, write) => write(`weiyun-mount: ${usageError(text)}`),
    })
    .showHelpAfterError(tr("Try '{command} --help'.", { command: title }))
}

/** What commander says about a command line, in the user's language. */
function usageError(text: string): string {
  const plain = text.replace(/^error: /, '')
  if (LANGUAGE === 'en') return plain
  return plain
    .replace(/unknown option '(.*)'/, (_, option) => tr("unknown option '{option}'", { option }))
    .replace(/missing required argument '(.*)'/, (_, name) =>
      tr('missing argument {name}', { name }),
    )
    .replace(/option '(.*)' argument missing/, (_, option) =>
      tr("option '{option}' needs a value", { option }),
    )
    .replace(/too many arguments\b.*/, () => tr('too many arguments'))
    .replace(/\(Did you mean (.*)\?\)/, (_, option) => tr('(Did you mean {option}?)', { option }))
}

/** Adds options of the table. Their words come back through `configFor`. */
export function addOptions(command: Command, keys: readonly OptionKey[]): Command {
  for (const key of keys) {
    const { flag, arg, help, list, shown }: OptionSpec<unknown> = OPTIONS[key]
    const text = shown === undefined ? tr(help) : `${tr(help)} (${trAny(shown)})`
    const value = arg === undefined ? '' : arg.startsWith('[') ? ` ${arg}` : ` <${arg}>`
    const option = new Option(`--${flag}${value}`, text)
    if (list) option.argParser((word: string, before: string[] = []) => [...before, word])
    command.addOption(option)
    // So that a flag can take back what the file or the environment says.
    if (arg === undefined || arg.startsWith('[')) {
      command.addOption(new Option(`--no-${flag}`).hideHelp())
    }
  }
  return command
}

/** What the user gave of the table's options, as words. */
function flagWords(command: Command): Words {
  const words: Words = {}
  const given = command.opts()
  for (const key of Object.keys(OPTIONS) as OptionKey[]) {
    const value = given[new Option(`--${OPTIONS[key].flag}`).attributeName()]
    if (value !== undefined) words[key] = Array.isArray(value) ? value : String(value)
  }
  return words
}

/** The Config for a command whose flags have been parsed. */
export function configFor(command: Command, sources: Omit<ConfigSources, 'env' | 'flags'> = {}) {
  return loadConfig({ env: process.env, flags: flagWords(command), ...sources })
}

/** Parses a number option of a single command, not of the table. */
export function numberOption(flag: string, parse: (text: string) => number) {
  return (text: string): number => {
    try {
      return parse(text)
    } catch (error) {
      throw new CliError(EXIT.USAGE, `${flag}: ${(error as Error).message}`)
    }
  }
}
