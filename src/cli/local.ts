// `weiyun-mount local`: the local service alone, in the foreground, until a signal.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { declareCommand, numberOption } from './command.ts'
import { dataDir } from './dirs.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'
import { stopSignal } from './signals.ts'
import { parseCount, parseSize } from './units.ts'

export interface Fault {
  readonly kind: string
  readonly rate: number
  readonly match?: string
}

/** `KIND:RATE[:MATCH]`. The kind `ret:CODE` has a colon of its own. */
export function parseFault(text: string): Fault {
  const [, kind, rate = '', match] = /^(ret:-?\d+|[a-z\d-]+):([\d.]+)(?::(.+))?$/.exec(text) ?? []
  if (kind === undefined || !(Number(rate) >= 0 && Number(rate) <= 1)) {
    throw new CliError(
      EXIT.USAGE,
      `--fault: ${tr("'{text}' is not KIND:RATE[:MATCH], a rate 0 to 1", { text })}`,
    )
  }
  return { kind, rate: Number(rate), ...(match !== undefined && { match }) }
}

export function declare(): Command {
  const shape = '{url, session, sessions}'
  return declareCommand('local')
    .addHelpText(
      'after',
      () => `\n${tr('Prints one line of JSON when it is ready: {shape}.', { shape })}
${tr('`session` is a session file that fits it, `sessions` has one for each dialect.')}`,
    )
    .option('--data <DIR>', tr('where it keeps its files (~/.local/share/weiyun-mount/local)'))
    .option('--port <N>', tr('port on loopback (a free one)'), numberOption('--port', parseCount))
    .option('--rtt <MS>', tr('delay of each reply (none)'), numberOption('--rtt', parseCount))
    .option(
      '--bandwidth <SIZE>',
      tr('bytes a second of one connection (no limit)'),
      numberOption('--bandwidth', parseSize),
    )
    .option(
      '--fault <KIND:RATE[:MATCH]>',
      tr('fail in this way, this often (0 to 1), for commands like MATCH (repeatable)'),
      (text: string, before: Fault[] = []) => [...before, parseFault(text)],
    )
    .addOption(new Option('--until-stdin-ends').hideHelp())
    .allowExcessArguments(false)
}

interface LocalOptions {
  data?: string
  port?: number
  rtt?: number
  bandwidth?: number
  fault?: Fault[]
  untilStdinEnds?: boolean
}

export async function run(argv: readonly string[]): Promise<number> {
  const options = declare().parse(argv, { from: 'user' }).opts<LocalOptions>()
  const { data = `${dataDir(process.env)}/local`, port = 0 } = options
  const stop = stopSignal()
  const { startStandin } = await import('../standin/index.ts')
  const standin = await startStandin({
    dataDir: resolve(data),
    port,
    rttMs: options.rtt ?? 0,
    bandwidth: options.bandwidth ?? 0,
    faults: options.fault ?? [],
  }).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new CliError(EXIT.TEMPORARY, tr('port {port} is taken', { port }))
    throw new CliError(
      EXIT.CANNOT_CREATE,
      tr('cannot start the local service: {why}', { why: message }),
    )
  })
  // A mount that started us and was killed cannot tell us so in any other way.
  if (options.untilStdinEnds) process.stdin.resume().on('end', () => stop.abort())
  const { url, sessions } = standin
  console.log(JSON.stringify({ url, session: sessions.classic, sessions }))
  await stop.requested
  await standin.close()
  return EXIT.OK
}
