// The shape of a command as data, for what is generated from it: completions and the man page.
import type { Command, Option } from 'commander'
import { COMMANDS, type CommandName, type Loaders } from './commands.ts'
import { findOption } from './config.ts'
import { OPTIONS, type OptionSpec } from './options.ts'

/** What may stand where a value does. */
export type ValueKind = 'directory' | 'file' | 'words' | 'other'

export interface OptionShape {
  /** `-f`, `--foreground`. */
  readonly flags: readonly string[]
  readonly help: string
  readonly value?: {
    readonly name: string
    readonly kind: ValueKind
    readonly optional: boolean
    readonly words: readonly string[]
  }
  readonly heading: string | undefined
}

export interface CommandShape {
  readonly name: CommandName
  readonly usage: string
  readonly summary: string
  readonly options: readonly OptionShape[]
  /** What its arguments are; `undefined` when it takes none. */
  readonly argument: ValueKind | undefined
  readonly words: readonly string[]
}

/** Placeholders that are paths, in options and arguments alike. */
const PATHS: Readonly<Record<string, ValueKind>> = {
  DIR: 'directory',
  MOUNTPOINT: 'directory',
  mountpoint: 'directory',
  PATH: 'file',
  FILE: 'file',
}

/** All commands in the order of `--help`, `mount` first. */
export async function commandShapes(loaders: Loaders): Promise<CommandShape[]> {
  const names = Object.keys(COMMANDS) as CommandName[]
  return Promise.all(names.map(async (name) => shapeOf(name, (await loaders[name]()).declare())))
}

function shapeOf(name: CommandName, command: Command): CommandShape {
  const [argument] = command.registeredArguments
  const words = argument?.argChoices ?? []
  const help: OptionShape = {
    flags: ['-h', '--help'],
    help: command.createHelp().visibleOptions(command).at(-1)?.description ?? '',
    heading: undefined,
  }
  const visible = command.options.filter(({ hidden }) => !hidden)
  return {
    name,
    usage: COMMANDS[name].usage,
    summary: command.description(),
    options: [...visible.map(optionShape), help],
    argument: argument && kindOf(argument.name(), words),
    words,
  }
}

function optionShape(option: Option): OptionShape {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined)
  const shape = { flags, help: option.description, heading: option.helpGroupHeading }
  const [, name] = /[<[](.+?)[\]>]$/.exec(option.flags) ?? []
  if (name === undefined) return shape
  const words = wordsOf(option)
  const value = { name, kind: kindOf(name, words), optional: option.optional, words }
  return { ...shape, value }
}

/** The values of an option of the table that has only a few. */
function wordsOf(option: Option): readonly string[] {
  const key = findOption(option.name())
  return (key && (OPTIONS[key] as OptionSpec<unknown>).words) ?? []
}

function kindOf(name: string, words: readonly string[]): ValueKind {
  return words.length > 0 ? 'words' : (PATHS[name] ?? 'other')
}
