// `weiyun-mount MOUNTPOINT`: checks what can be checked, then serves here or in the background.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { reportToParent, runInBackground } from './background.ts'
import { addOptions, configFor, declareCommand } from './command.ts'
import { COMMANDS } from './commands.ts'
import { stateDir } from './dirs.ts'
import { CliError, EXIT, EXIT_MEANINGS } from './exit.ts'
import { allowsOther, requireFuse } from './fuse-helper.ts'
import { tr, trAny } from './language.ts'
import { parseMountOptions } from './mount-options.ts'
import { prepareMountpoint } from './mountpoint.ts'
import { type Config, OPTION_GROUPS } from './options.ts'

export function declare(): Command {
  const command = declareCommand('mount')
    .usage(`[options] MOUNTPOINT\n       weiyun-mount ${tr('COMMAND')} …`)
    .argument('[mountpoint...]')
    .version(version(), '-V, --version', tr('show the version'))
    .option('-f, --foreground', tr('stay in the foreground; say `mounted MOUNTPOINT` when usable'))
    .option(
      '-o <LIST>',
      tr('options as mount(8) passes them: any of these, e.g. ro,cache-size=1G (repeatable)'),
      (text: string, before: string[] = []) => [...before, text],
    )
  for (const [heading, keys] of Object.entries(OPTION_GROUPS)) {
    command.optionsGroup(trAny(heading))
    addOptions(command, keys)
  }
  return command
    .configureHelp({ ...command.configureHelp(), visibleArguments: () => [] })
    .addHelpText('after', () => `\n${commandList()}\n\n${configurationHelp()}\n${exitCodes()}`)
}

function commandList(): string {
  const { mount: _, ...others } = COMMANDS
  const rows = Object.entries(others).map(([name, { usage, summary }]) => {
    return `  ${`${name} ${usage}`.padEnd(20)} ${tr(summary)}`
  })
  return [tr('Commands (each has its own --help):'), ...rows].join('\n')
}

function configurationHelp(): string {
  return `${tr('Each option can stand in ~/.config/weiyun-mount/config.toml: cache-size = "10G",')}
${tr('and in the environment: WEIYUN_MOUNT_CACHE_SIZE=10G. Times: 500ms, 30s, 2m.')}`
}

function exitCodes(): string {
  const rows = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map((name) => {
    return `  ${String(EXIT[name]).padStart(3)}  ${tr(EXIT_MEANINGS[name])}`
  })
  return [tr('Exit codes:'), ...rows].join('\n')
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(localWithoutDir(argv), { from: 'user' })
  const { foreground = false, o: lists } = command.opts<{ foreground?: boolean; o?: string[] }>()
  const target = mountTarget(command, lists !== undefined)
  const config = await configFor(command, { mountOptions: parseMountOptions(lists ?? []) })
  if (config.local !== undefined && config.service !== undefined) {
    throw new CliError(
      EXIT.USAGE,
      tr('{one} and {other} exclude each other', { one: '--local', other: '--service' }),
    )
  }
  const parent = reportToParent()
  const logFile = config.logFile ?? join(stateDir(process.env), 'weiyun-mount.log')
  try {
    const mountpoint = await check(config, target, logFile)
    if (!foreground && parent === undefined) return await runInBackground(logFile)
    // All paths are absolute by now; the directory we were started in can be removed or unmounted.
    if (parent) process.chdir('/')
    const { serve } = await import('./serve.ts')
    const onReady = () => (parent ? parent.ready() : console.log(`mounted ${target}`))
    await serve({ config: parent ? { ...config, logFile } : config, mountpoint, onReady })
    return EXIT.OK
  } catch (error) {
    parent?.failed(error)
    throw error
  }
}

/** `--local MOUNTPOINT`, with nothing else, means the mount point and the usual directory. */
function localWithoutDir(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf('--local')
  const { args } = at < 0 ? { args: [''] } : declare().parse(argv, { from: 'user' })
  return args.length > 0 ? argv : argv.toSpliced(at, 1, '--local=true')
}

/** fstab gives `SPEC MOUNTPOINT -o …`. The first of them is a mere label to us. */
function mountTarget(command: Command, fromMount: boolean): string {
  const [first, second] = command.args
  const [wanted, extra] =
    fromMount && second !== undefined ? [second, command.args[2]] : [first, second]
  if (wanted === undefined) command.error(tr('missing argument {name}', { name: 'MOUNTPOINT' }))
  if (extra !== undefined) command.error(`${tr('too many arguments')}: ${extra}`)
  return wanted
}

async function check(config: Config, target: string, logFile: string): Promise<string> {
  await requireFuse()
  if (config.allowOther && !(await allowsOther())) {
    throw new CliError(
      EXIT.CONFIG,
      tr('--allow-other needs the line user_allow_other in /etc/fuse.conf'),
    )
  }
  const keptApart = [
    config.cacheDir,
    config.stateDir,
    logFile,
    ...(config.local ? [config.local] : []),
  ]
  return prepareMountpoint(target, keptApart)
}
