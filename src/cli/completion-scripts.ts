// Completion scripts for three shells. All complete commands, options, the values that are known,
// and paths where paths belong. Without a command's name the line is that of a mount.
import type { CommandShape, OptionShape, ValueKind } from './shape.ts'

const NOTE = 'Completions of weiyun-mount. Generated: weiyun-mount completions'

const commandsOf = (shapes: readonly CommandShape[]): CommandShape[] =>
  shapes.filter(({ name }) => name !== 'mount')

const mountOf = (shapes: readonly CommandShape[]): CommandShape[] =>
  shapes.filter(({ name }) => name === 'mount')

/** For single quotes in sh, bash and zsh. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

export function bashCompletions(shapes: readonly CommandShape[]): string {
  const names = commandsOf(shapes).map(({ name }) => name)
  const rows = [...commandsOf(shapes), ...mountOf(shapes)].map((shape) => {
    const pattern = shape.name === 'mount' ? '*' : shape.name
    const flags = shape.options.flatMap((option) => option.flags)
    return `    ${pattern}) options=${quoted(flags.join(' '))} argument=${bashKind(shape)} ;;`
  })
  return `# ${NOTE} bash
_weiyun_mount() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} options argument
  COMPREPLY=()
  case $prev in
${bashValues(shapes).join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${rows.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi
  _weiyun_mount_value "$argument"
  if ((COMP_CWORD == 1)); then
    mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -W ${quoted(names.join(' '))} -- "$cur")
  fi
}
_weiyun_mount_value() {
  case $1 in
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    other) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur") ;;
  esac
}
complete -F _weiyun_mount weiyun-mount
`
}

/** A branch for each kind of value that an option can take. */
function bashValues(shapes: readonly CommandShape[]): string[] {
  const branches = new Map<string, Set<string>>()
  for (const { flags, value } of shapes.flatMap(({ options }) => options)) {
    if (value === undefined) continue
    const kind = bashKind({ argument: value.kind, words: value.words })
    branches.set(kind, new Set([...(branches.get(kind) ?? []), ...flags]))
  }
  return [...branches].map(
    ([kind, flags]) => `    ${[...flags].join('|')}) _weiyun_mount_value ${kind}; return ;;`,
  )
}

function bashKind({ argument = 'other', words }: Pick<CommandShape, 'argument' | 'words'>): string {
  return argument === 'words' ? quoted(words.join(' ')) : argument
}

export function zshCompletions(shapes: readonly CommandShape[]): string {
  const list = commandsOf(shapes).map(({ name, summary }) => {
    return `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`
  })
  const branch = (shape: CommandShape, pattern: string, before: string): string => {
    const specs = [...shape.options.flatMap(zshOption), ...zshArgument(shape)]
    return `    ${pattern})
      ${before}_arguments -S \\
        ${specs.join(' \\\n        ')} ;;`
  }
  const branches = [
    ...commandsOf(shapes).map((shape) => branch(shape, shape.name, 'shift words; ((CURRENT--)); ')),
    ...mountOf(shapes).map((shape) => branch(shape, '*', '')),
  ]
  return `#compdef weiyun-mount
# ${NOTE} zsh
_weiyun_mount() {
  local -a commands=(
${list.join('\n')}
  )
  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
    _describe command commands
    _directories
    return
  fi
  case $words[2] in
${branches.join('\n')}
  esac
}
compdef _weiyun_mount weiyun-mount
`
}

/** One spec for each spelling; see _arguments in zshcompsys(1). */
function zshOption({ flags, help, value }: OptionShape): string[] {
  const text = help.replaceAll(/[[\]:\\]/g, '\\$&')
  return flags.map((flag) => {
    if (value === undefined) return quoted(`${flag}[${text}]`)
    const glue = flag.startsWith('--') ? '=' : '+'
    const colon = value.optional ? '::' : ':'
    return quoted(
      `*${flag}${glue}[${text}]${colon}${value.name}:${zshAction(value.kind, value.words)}`,
    )
  })
}

function zshArgument({ argument, words }: CommandShape): string[] {
  return argument === undefined ? [] : [quoted(`*: :${zshAction(argument, words)}`)]
}

function zshAction(kind: ValueKind, words: readonly string[]): string {
  if (kind === 'words') return `(${words.join(' ')})`
  return { directory: '_directories', file: '_files', other: ' ' }[kind]
}

export function fishCompletions(shapes: readonly CommandShape[]): string {
  const names = commandsOf(shapes).map(({ name }) => name)
  const noCommand = `not __fish_seen_subcommand_from ${names.join(' ')}`
  const lines = [`# ${NOTE} fish`, 'complete -c weiyun-mount -f']
  for (const { name, summary } of commandsOf(shapes)) {
    lines.push(fishLine(`__fish_use_subcommand`, `-a ${name} -d ${fishQuoted(summary)}`))
  }
  for (const shape of shapes) {
    const seen = `__fish_seen_subcommand_from ${shape.name}`
    const condition = shape.name === 'mount' ? noCommand : seen
    if (shape.argument !== undefined) {
      lines.push(fishLine(condition, fishValue(shape.argument, shape.words)))
    }
    for (const option of shape.options) lines.push(fishLine(condition, fishOption(option)))
  }
  return `${lines.join('\n')}\n`
}

const fishLine = (condition: string, rest: string): string =>
  `complete -c weiyun-mount -n ${fishQuoted(condition)} ${rest}`

function fishOption({ flags, help, value }: OptionShape): string {
  const names = flags.map((flag) =>
    flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag[1]}`,
  )
  const takes = value === undefined || value.optional ? [] : ['-r']
  const values = value === undefined ? [] : [fishValue(value.kind, value.words)]
  return [...names, ...takes, ...values, `-d ${fishQuoted(help)}`].join(' ')
}

function fishValue(kind: ValueKind, words: readonly string[]): string {
  const values = {
    words: `-a ${fishQuoted(words.join(' '))}`,
    directory: "-a '(__fish_complete_directories)'",
    file: '-F',
    other: '',
  }
  return values[kind]
}

const fishQuoted = (text: string): string => `'${text.replaceAll(/['\\]/g, '\\$&')}'`
