// A mount's status in words, for a terminal.
import type { PendingEntry } from '../vfs/vfs.ts'
import { reasonFor, remedyFor } from './explain.ts'
import { type PlainMessage, tr } from './language.ts'
import type { Rates } from './rates.ts'
import type { Status } from './status.ts'
import { formatDuration, formatSize } from './units.ts'

/** Nobody reads a list of ten thousand files. */
const SHOWN_MAX = 20
const BAR_WIDTH = 12
/** What is under way first, then what needs somebody, then the rest, each the oldest first. */
const ORDER: readonly PendingEntry['state'][] = ['uploading', 'error', 'open', 'waiting']

const STATE_WORDS: Readonly<Record<string, PlainMessage>> = {
  ready: 'ready',
  draining: 'finishing its uploads',
  ok: 'valid',
  unreachable: 'the service cannot be reached',
  expired: 'expired: run `weiyun-mount login`',
  open: 'open',
  waiting: 'waiting',
  uploading: 'uploading',
  removing: 'removing',
  error: 'error',
}

export function inState(state: string): string {
  const words = STATE_WORDS[state]
  return words === undefined ? state : tr(words)
}

/** Session, cache and so on: names and values, in the user's language. */
export function factsOf(status: Status, rates?: Rates): [name: string, text: string][] {
  const { session, quota, cache, traffic, pending } = status
  const rows: [string, string][] = [
    [tr('session'), inState(session)],
    [tr('cache'), share(cache.bytes, cache.capacity)],
  ]
  if (quota !== undefined) rows.push([tr('quota'), share(quota.used, quota.total)])
  rows.push([tr('network'), rates === undefined ? sums(traffic) : speeds(rates)])
  rows.push([tr('pending'), summary(pending)])
  return rows
}

export function titleOf({ mountpoint, state, pid }: Status): string {
  return tr('{mountpoint}: {state}, process {pid}', { mountpoint, state: inState(state), pid })
}

export function inWords(status: Status, rates?: Rates): string {
  const facts = factsOf(status, rates).map(([name, text]) => `  ${pad(name, 8)}  ${text}`)
  const { shown, more } = shortList(status.pending)
  const lines = [titleOf(status), ...facts, ...shown.flatMap(entryLines)]
  if (more > 0) lines.push(`    ${tr('… and {count} more', { count: more })}`)
  return lines.join('\n')
}

export const share = (used: number, total: number): string =>
  tr('{used} of {total}', { used: formatSize(used), total: formatSize(total) })

const sums = ({ sentBytes, receivedBytes }: Status['traffic']): string =>
  tr('{up} sent, {down} received', { up: formatSize(sentBytes), down: formatSize(receivedBytes) })

export const speeds = ({ up, down }: Rates): string =>
  tr('{up}/s up, {down}/s down', { up: formatSize(up), down: formatSize(down) })

function summary(pending: readonly PendingEntry[]): string {
  if (pending.length === 0) return tr('nothing')
  const removals = pending.filter(({ state }) => state === 'removing').length
  const entries = pending.length - removals
  const size = formatSize(pending.reduce((sum, entry) => sum + entry.size - entry.sent, 0))
  const parts = []
  if (entries > 0) parts.push(tr('{count} to send ({size})', { count: entries, size }))
  if (removals > 0) parts.push(tr('{count} to remove', { count: removals }))
  return parts.join(', ')
}

/** What is worth a line of its own, the most interesting first, and how many are left out. */
export function shortList(pending: readonly PendingEntry[]): {
  shown: readonly PendingEntry[]
  more: number
} {
  // Removals that go well are all alike: the summary counts them.
  const listed = pending.filter(({ state }) => state !== 'removing')
  const rank = ({ state }: PendingEntry) => ORDER.indexOf(state)
  const sorted = listed.toSorted((a, b) => rank(a) - rank(b) || b.age - a.age)
  return { shown: sorted.slice(0, SHOWN_MAX), more: Math.max(0, sorted.length - SHOWN_MAX) }
}

/** Size, rate and age of a pending entry in words; empty where there is nothing to say. */
export function figuresOf({ size, rate, age }: PendingEntry): [string, string, string] {
  return [
    formatSize(size),
    rate === undefined ? '' : `${formatSize(Math.round(rate))}/s`,
    formatDuration(age * 1000),
  ]
}

/** Why an entry failed, and what helps; `undefined` for one that did not. */
export function troubleOf({ error, code }: PendingEntry): string | undefined {
  if (error === undefined) return undefined
  const why = reasonFor(code, error)
  const remedy = remedyFor(code)
  return remedy === undefined ? why : `${why} → ${remedy}`
}

function entryLines(entry: PendingEntry): string[] {
  const { path, size, sent, state } = entry
  const [sizeText, rate, age] = figuresOf(entry)
  const columns = [
    pad(inState(state), 10),
    state === 'uploading' ? bar(sent, size) : ' '.repeat(BAR_WIDTH + 5),
    sizeText.padStart(8),
    rate.padStart(10),
    age.padStart(8),
  ]
  const trouble = troubleOf(entry)
  const line = `    ${columns.join(' ')}  ${path}`
  return trouble === undefined ? [line] : [line, `      ${trouble}`]
}

function bar(sent: number, size: number): string {
  const done = size === 0 ? 0 : Math.min(1, sent / size)
  const full = Math.round(done * BAR_WIDTH)
  const percent = `${Math.floor(done * 100)}%`.padStart(5)
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full) + percent
}

/** Pads to columns of a terminal, where Chinese characters take two. */
function pad(text: string, columns: number): string {
  const wide = text.match(/[\u2e80-\uffef]/gu)?.length ?? 0
  return text + ' '.repeat(Math.max(0, columns - text.length - wide))
}
