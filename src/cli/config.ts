// defaults < configuration file < environment < `-o` < flags, one frozen Config at the end.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configDir, type Env } from './dirs.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import { type Config, OPTIONS, type OptionKey, type OptionSpec } from './options.ts'

/**
 * Values as words, still to be parsed, by key of OPTIONS. An array is an option given repeatedly.
 */
export type Words = Partial<Record<OptionKey, string | readonly string[]>>

interface Source {
  readonly words: Words
  /** How this source spells an option, for messages: `--cache-size`, `config.toml: cache-size`. */
  readonly spell: (flag: string) => string
  readonly exitCode: number
}

export interface ConfigSources {
  readonly env: Env
  readonly flags?: Words
  /** What mount(8) passed with -o, see mount-options.ts. */
  readonly mountOptions?: Words
  /** The command line alone: for who wants to go on after the rest proved wrong. */
  readonly flagsOnly?: boolean
}

const KEYS = Object.keys(OPTIONS) as OptionKey[]
const keyOfFlag = new Map(KEYS.map((key) => [OPTIONS[key].flag, key]))

/** The option that is spelt so on the command line, without its dashes. */
export function findOption(flag: string): OptionKey | undefined {
  return keyOfFlag.get(flag)
}

export const configFile = (env: Env): string => join(configDir(env), 'config.toml')
export const envName = (flag: string): string =>
  `WEIYUN_MOUNT_${flag.replaceAll('-', '_').toUpperCase()}`

/** Reads the configuration file and puts everything together. Rejects with a CliError. */
export async function loadConfig(given: ConfigSources): Promise<Config> {
  const { env, flags = {}, mountOptions = {}, flagsOnly = false } = given
  const file = configFile(env)
  const sources: Source[] = [
    {
      words: flagsOnly ? {} : await fileWords(file),
      spell: (flag) => `${file}: ${flag}`,
      exitCode: EXIT.CONFIG,
    },
    { words: flagsOnly ? {} : envWords(env), spell: envName, exitCode: EXIT.CONFIG },
    { words: mountOptions, spell: (flag) => `-o ${flag}`, exitCode: EXIT.USAGE },
    { words: flags, spell: (flag) => `--${flag}`, exitCode: EXIT.USAGE },
  ]
  const config = Object.fromEntries(KEYS.map((key) => [key, resolveOption(key, sources, env)]))
  return Object.freeze(config) as unknown as Config
}

function resolveOption(key: OptionKey, sources: readonly Source[], env: Env): unknown {
  const spec = OPTIONS[key] as OptionSpec<unknown>
  let value = spec.initial(env)
  for (const { words, spell, exitCode } of sources) {
    const given = words[key]
    if (given === undefined) continue
    for (const word of typeof given === 'string' ? [given] : given) {
      try {
        value = spec.parse(word, value)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        throw new CliError(exitCode, `${spell(spec.flag)}: ${error.message}`)
      }
    }
  }
  return value
}

function envWords(env: Env): Words {
  const words: Words = {}
  for (const key of KEYS) {
    const { flag, list }: OptionSpec<unknown> = OPTIONS[key]
    const word = env[envName(flag)]
    if (word !== undefined && word !== '') words[key] = list ? word.split(':') : word
  }
  return words
}

async function fileWords(path: string): Promise<Words> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new CliError(
      EXIT.CONFIG,
      tr('cannot read {path}: {why}', { path, why: (error as Error).message }),
    )
  }
  // Only who has such a file pays for the parser.
  const { parse } = await import('smol-toml')
  let table: Record<string, unknown>
  try {
    table = parse(text)
  } catch (error) {
    throw new CliError(EXIT.CONFIG, `${path}: ${(error as Error).message.trim()}`)
  }
  const words: Words = {}
  for (const [flag, value] of Object.entries(table)) {
    const key = findOption(flag)
    if (key === undefined)
      throw new CliError(
        EXIT.CONFIG,
        `${path}: ${tr("unknown option '{option}'", { option: flag })}`,
      )
    words[key] = wordsOf(value, `${path}: ${flag}`)
  }
  return words
}

function wordsOf(value: unknown, where: string): string | string[] {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  const why = tr('neither text, number, yes or no, nor a list of texts')
  throw new CliError(EXIT.CONFIG, `${where}: ${why}`)
}
