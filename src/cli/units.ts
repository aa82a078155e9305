// Words of the command line for sizes, times and the like, both ways. A parser throws a RangeError
// whose message completes "cache-size: …".
import { tr } from './language.ts'

const SIZE_UNITS = ['', 'k', 'm', 'g', 't', 'p']
const TIME_UNITS_MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Bytes: `512`, `64K`, `10G` and `10GiB` count in 1024s, `10GB` in 1000s, as with dd(1). */
export function parseSize(text: string): number {
  const [, digits, unit = '', kind = ''] =
    /^(\d+(?:\.\d+)?)([kmgtp]?)(b|ib)?$/i.exec(text.trim()) ?? []
  const power = SIZE_UNITS.indexOf(unit.toLowerCase())
  const size = Math.floor(Number(digits) * (kind.toLowerCase() === 'b' ? 1000 : 1024) ** power)
  if (!Number.isSafeInteger(size))
    throw new RangeError(tr("'{text}' is not a size like 512M or 10G", { text }))
  return size
}

/** Milliseconds: `500ms`, `1.5s`, `2m`, `1h`, `7d`; a bare number counts seconds. */
export function parseDurationMs(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim()) ?? []
  const ms = Math.round(Number(digits) * (TIME_UNITS_MS[unit] ?? Number.NaN))
  if (!Number.isSafeInteger(ms))
    throw new RangeError(tr("'{text}' is not a time like 500ms, 30s or 2m", { text }))
  return ms
}

export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text.trim()))
    throw new RangeError(tr("'{text}' is not a whole number", { text }))
  return Number(text)
}

/** File mode bits in octal, as umask(1) takes them. */
export function parseUmask(text: string): number {
  if (!/^0?[0-7]{1,3}$/.test(text.trim()))
    throw new RangeError(tr("'{text}' is not a mask like 022", { text }))
  return Number.parseInt(text, 8)
}

export function parseBoolean(text: string): boolean {
  const word = text.trim().toLowerCase()
  if (['1', 'true', 'yes', 'on', ''].includes(word)) return true
  if (['0', 'false', 'no', 'off'].includes(word)) return false
  throw new RangeError(tr("'{text}' is neither yes nor no", { text }))
}

/** `1.5 GiB`; exact below 1 KiB. */
export function formatSize(size: number): string {
  if (size < 1024) return `${size} B`
  const power = Math.min(5, Math.floor(Math.log2(size) / 10))
  const value = size / 1024 ** power
  const digits = value < 10 ? value.toFixed(1) : Math.round(value)
  return `${digits} ${SIZE_UNITS[power]?.toUpperCase()}iB`
}

/** `45s`, `3m 20s`, `2h 5m`, `3d 4h`: the two largest units that count. */
export function formatDuration(ms: number): string {
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s}s`
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`
}

/** `3 files (1.5 GiB)`. */
export function formatFiles(files: number, bytes: number): string {
  const size = formatSize(bytes)
  return files === 1
    ? tr('1 file ({size})', { size })
    : tr('{files} files ({size})', { files, size })
}
