// Prints weiyun-mount(1) as roff, made of the declarations that `--help` shows. Called by `npm run
// build`.
import { readFileSync } from 'node:fs'
import { COMMANDS, type CommandName } from '../src/cli/commands.ts'
import { EXIT, EXIT_MEANINGS } from '../src/cli/exit.ts'
import { LOADERS } from '../src/cli/load.ts'
import { type CommandShape, commandShapes, type OptionShape } from '../src/cli/shape.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** Text that roff takes as it is. */
function plain(text: string): string {
  const escaped = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...')
  // Code in backquotes, as everywhere in our messages.
  return escaped.replaceAll(/`([^`]*)`/g, '\\fB$1\\fR').replaceAll(/^([.'])/gm, '\\&$1')
}

const section = (title: string, ...lines: string[]): string[] => [`.SH ${title}`, ...lines]
const item = (term: string, text: string): string[] => ['.TP', term, plain(text)]

function optionItem({ flags, help, value }: OptionShape): string[] {
  const names = flags.map((flag) => `\\fB${plain(flag)}\\fR`).join(', ')
  const rest = value === undefined ? '' : ` \\fI${plain(value.name)}\\fR`
  return item(names + (value?.optional ? `\\ [${rest.trim()}]` : rest), help)
}

function mountOptions({ options }: CommandShape): string[] {
  const headings = new Set(options.map(({ heading }) => heading))
  return [...headings].flatMap((heading) => [
    ...(heading === undefined ? [] : [`.SS "${plain(heading.replace(/:$/, ''))}"`]),
    ...options.filter((option) => option.heading === heading).flatMap(optionItem),
  ])
}

function commandItem({ name, summary, options }: CommandShape): string[] {
  const { usage } = COMMANDS[name as CommandName]
  const own = options.filter(({ flags }) => !flags.includes('--help'))
  const nested = own.length === 0 ? [] : ['.RS', ...own.flatMap(optionItem), '.RE']
  const title = `\\fB${plain(name)}\\fR \\fI${plain(usage)}\\fR`
  return [...item(title.trim(), capital(summary)), ...nested]
}

const capital = (text: string): string => `${text[0]?.toUpperCase()}${text.slice(1)}.`

const [mount, ...commands] = await commandShapes(LOADERS)
if (mount === undefined) throw new Error('no commands')
const exits = Object.keys(EXIT) as (keyof typeof EXIT)[]

const page = [
  `.TH WEIYUN\\-MOUNT 1 "" "weiyun\\-mount ${plain(version)}" "User Commands"`,
  // Neither hyphens of its own nor stretched lines: names of options and files stay in one piece.
  '.nh',
  '.ad l',
  ...section('NAME', `weiyun\\-mount \\- ${plain(mount.summary)}`),
  ...section(
    'SYNOPSIS',
    '.B weiyun\\-mount',
    '[\\fIoptions\\fR] \\fIMOUNTPOINT\\fR',
    '.br',
    '.B weiyun\\-mount',
    '\\fICOMMAND\\fR [\\fIoptions\\fR]',
  ),
  ...section(
    'DESCRIPTION',
    ...[
      'Makes a Tencent Weiyun drive a folder. Returns when the folder can be used and goes on in',
      'the background, or stays in the foreground with `--foreground`. A file that was closed is',
      'safe on this disk, and is uploaded as soon as the service takes it, over restarts too.',
    ].map(plain),
  ),
  ...section('COMMANDS', ...commands.flatMap(commandItem)),
  ...section('OPTIONS', ...mountOptions(mount)),
  ...section(
    'CONFIGURATION',
    plain('Each option can be given in four places. What comes later in this list goes first:'),
    ...item('1.', 'the configuration file: `cache-size = "20G"`'),
    ...item('2.', 'the environment: `WEIYUN_MOUNT_CACHE_SIZE=20G`'),
    ...item('3.', '`-o`, as mount(8) passes it: `-o cache-size=20G,ro`'),
    ...item('4.', 'the command line: `--cache-size 20G`'),
    '.PP',
    plain(
      'Lists are arrays in the file, and divided by colons in the environment. Sizes: 512M, 10G.',
    ),
    plain('Times: 500ms, 30s, 2m. Messages are in English or, by locale, in Chinese.'),
  ),
  ...section(
    'FILES',
    ...item('~/.config/weiyun\\-mount/config.toml', 'The configuration.'),
    ...item('~/.config/weiyun\\-mount/session.json', 'The session, readable only by you.'),
    ...item('~/.local/state/weiyun\\-mount', 'What is known of the drive, the journal, the log.'),
    ...item('~/.cache/weiyun\\-mount', 'Blocks read, and files that wait to be uploaded.'),
    '.PP',
    plain('The XDG variables move them. The first two directories hold what exists nowhere else.'),
  ),
  ...section('EXIT STATUS', ...exits.flatMap((name) => item(`${EXIT[name]}`, EXIT_MEANINGS[name]))),
  ...section(
    'EXAMPLES',
    ...item('\\fBweiyun\\-mount login\\fR', 'Scan a code with the phone.'),
    ...item('\\fBweiyun\\-mount ~/weiyun\\fR', 'Mount.'),
    ...item('\\fBweiyun\\-mount status \\-\\-watch\\fR', 'See what is being uploaded.'),
    ...item('\\fBweiyun\\-mount unmount ~/weiyun\\fR', 'Finish uploads and unmount.'),
    '.PP',
    'A line of \\fI/etc/fstab\\fR:',
    '.PP',
    '.nf',
    'weiyun /home/me/weiyun fuse.weiyun\\-mount noauto,user,_netdev,cache\\-size=20G 0 0',
    '.fi',
  ),
  ...section('SEE ALSO', '.BR fusermount3 (1), \\ mount (8), \\ systemd.unit (5)'),
]
process.stdout.write(`${page.join('\n')}\n`)
