// `weiyun-mount status`: what running mounts are doing, for people or, with --json, for programs.
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PendingEntry, VfsStatus } from '../vfs/vfs.ts'
import { declareCommand } from './command.ts'
import { askControl, findSockets, NotRunning } from './control.ts'
import { CliError, EXIT } from './exit.ts'
import { findMount } from './mount-table.ts'
import { formatDuration, formatSize } from './units.ts'

const WATCH_MS = 1000

/** What a mount answers: sizes in bytes, `age` of pending entries in seconds. */
export interface Status extends VfsStatus {
  readonly mountpoint: string
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand('weiyun-mount status', 'Show what running mounts are doing.')
    .argument('[MOUNTPOINT]', 'only this one')
    .option('--json', 'one JSON object a line for each mount')
    .option('-w, --watch', 'again every second, until the mount ends')
    .parse(argv, { from: 'user' })
  const { json = false, watch = false } = command.opts<{ json?: boolean; watch?: boolean }>()
  const [target] = command.args
  const mountpoint = target === undefined ? undefined : await knownMount(target)

  let statuses = await askAll(mountpoint)
  if (statuses.length === 0) {
    const what = mountpoint === undefined ? 'nothing is mounted' : `${mountpoint}: nobody answers`
    throw new CliError(EXIT.NO_INPUT, what)
  }
  while (statuses.length > 0) {
    const text = statuses.map(json ? (status) => JSON.stringify(status) : inWords).join('\n')
    if (watch && !json && process.stdout.isTTY) console.clear()
    console.log(text)
    if (!watch) break
    await sleep(WATCH_MS)
    statuses = await askAll(mountpoint)
  }
  return EXIT.OK
}

/**
 * A path inside a mount stands for the mount; one that drains its uploads is in no table any more.
 */
async function knownMount(path: string): Promise<string> {
  return (await findMount(path))?.mountpoint ?? resolve(path)
}

async function askAll(mountpoint: string | undefined): Promise<Status[]> {
  const asked = (await findSockets(mountpoint)).map(async (socket) => {
    try {
      return [(await askControl(socket, { do: 'status' })) as Status]
    } catch (error) {
      if (error instanceof NotRunning) return []
      throw error
    }
  })
  return (await Promise.all(asked)).flat()
}

function inWords(status: Status): string {
  const { mountpoint, pid, state, session, quota, cache, pending } = status
  const lines = [
    `${mountpoint}: ${state}, process ${pid}`,
    `  session  ${session}`,
    `  cache    ${formatSize(cache.bytes)} of ${formatSize(cache.capacity)}`,
  ]
  if (quota) lines.push(`  quota    ${formatSize(quota.used)} of ${formatSize(quota.total)}`)
  lines.push(`  pending  ${pending.length === 0 ? 'nothing' : pending.length}`)
  return [...lines, ...pending.map(pendingInWords)].join('\n')
}

function pendingInWords({ path, size, sent, state, error, age }: PendingEntry): string {
  const done = size === 0 ? '' : `${Math.floor((100 * sent) / size)}% of ${formatSize(size)}, `
  const why = error === undefined ? '' : `: ${error}`
  return `    ${path}  ${state}, ${done}${formatDuration(age * 1000)} old${why}`
}
