// `weiyun-mount status`: what running mounts are doing, for people or for programs.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { VfsStatus } from '../vfs/vfs.ts'
import { declareCommand, say } from './command.ts'
import { askControl, findSockets, NotRunning } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { tr } from './language.ts'
import type { Metrics } from './metrics.ts'
import { findMount } from './mount-table.ts'
import { RateMeter } from './rates.ts'
import { inWords } from './status-view.ts'

const WATCH_MS = 1000

/** What a mount answers: sizes in bytes, `age` of pending entries in seconds. */
export interface Status extends VfsStatus {
  readonly mountpoint: string
}

interface Flags {
  readonly json?: boolean
  readonly watch?: boolean
  readonly metrics?: boolean
  readonly web?: boolean
}

export function declare(): Command {
  return declareCommand('status')
    .argument('[MOUNTPOINT]', tr('only this one'))
    .option('--json', tr('one JSON object a line for each mount'))
    .option('-w, --watch', tr('again every second, with rates, until the mount ends'))
    .option('--metrics', tr('figures in the text format of Prometheus'))
    .option('--web', tr('a page for the browser, on this machine only, until Ctrl-C'))
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const flags = command.opts<Flags>()
  const [target] = command.args
  const mountpoint = target === undefined ? undefined : await knownMount(target)
  if (flags.web) {
    const { serveStatusPage } = await import('./status-server.ts')
    return serveStatusPage(() => askAll(mountpoint))
  }
  const statuses = await askAll(mountpoint)
  if (statuses.length === 0) throw new CliError(EXIT.NO_INPUT, nobody(mountpoint))
  if (flags.metrics) {
    const { prometheusText } = await import('./prometheus.ts')
    process.stdout.write(prometheusText(statuses, await askMetrics(statuses)))
  } else if (flags.watch) {
    await watch(mountpoint, statuses, flags)
  } else {
    show(statuses, undefined, flags)
  }
  return EXIT.OK
}

function nobody(mountpoint: string | undefined): string {
  if (mountpoint === undefined) return tr('nothing is mounted')
  return tr('{mountpoint}: nobody answers', { mountpoint })
}

/** `meters` by process, for mounts that are looked at again and again. */
function show(
  statuses: readonly Status[],
  meters: Map<number, RateMeter> | undefined,
  { json }: Flags,
): void {
  for (const status of statuses) {
    const { pid, traffic } = status
    const meter = meters?.get(pid) ?? new RateMeter()
    meters?.set(pid, meter)
    console.log(json ? JSON.stringify(status) : inWords(status, meter.rates(traffic)))
  }
}

async function watch(mountpoint: string | undefined, first: Status[], flags: Flags) {
  const meters = new Map<number, RateMeter>()
  for (let now = first; now.length > 0; now = await askAll(mountpoint)) {
    if (!flags.json && process.stdout.isTTY) console.clear()
    show(now, meters, flags)
    await sleep(WATCH_MS)
  }
}

/**
 * A path inside a mount stands for the mount; one that drains its uploads is in no table any more.
 */
async function knownMount(path: string): Promise<string> {
  return (await findMount(path))?.mountpoint ?? resolve(path)
}

/** Asks the mounts of this user, or one; those that have just ended are left out. */
async function askAll(mountpoint: string | undefined): Promise<Status[]> {
  const sockets = await findSockets(mountpoint)
  const asked = await Promise.allSettled(sockets.map((socket) => ask(socket, 'status')))
  const answers = asked.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const statuses = answers.filter((status) => status !== undefined) as Status[]
  const failed = asked.find((result) => result.status === 'rejected')
  // One that hangs must not hide those that are well.
  if (failed !== undefined && statuses.length === 0) throw failed.reason
  if (failed !== undefined) say(explain(failed.reason).message)
  return statuses
}

async function askMetrics(statuses: readonly Status[]): Promise<(Metrics | undefined)[]> {
  const asked = statuses.map(async ({ mountpoint, pid }) => {
    const own = (await findSockets(mountpoint)).find((path) => path.endsWith(`-${pid}.sock`))
    return own === undefined ? undefined : ((await ask(own, 'metrics')) as Metrics | undefined)
  })
  return Promise.all(asked)
}

async function ask(socket: string, what: 'status' | 'metrics'): Promise<unknown> {
  try {
    return await askControl(socket, { do: what })
  } catch (error) {
    if (error instanceof NotRunning) return undefined
    throw error
  }
}
