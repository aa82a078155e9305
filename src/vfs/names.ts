// Names that the drive cannot hold, and names from the drive that a folder cannot show.
//
// An ordinary name is the same on both sides. A name that the drive refuses travels encoded and
// is shown decoded; only names that carry our mark decode, so that what others put on the drive is
// always shown as it is. Grammar of an encoded name:
//
//   stem "·" crc16 ext    stem: the name, every refused character and every "·" as "·" 2 hex
//                         crc16: 4 hex over stem and ext
//                         ext: "." and 1-8 letters or digits, or nothing
//
// The extension stays at the end, so that the site still shows a picture as a picture. A stranger's
// name decodes only if its four digits happen to be the right checksum.
import { VfsError } from './error.ts'

const MARK = '·'
const ENCODED = /^(.*)·([0-9a-f]{4})(\.[A-Za-z0-9]{1,8})?$/su
const EXTENSION = /\.[A-Za-z0-9]{1,8}$/u
// Refused by the service (classic.md 8, webapp.md 5.3); control characters are usable nowhere.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
const REFUSED = /[\\/:*?"<>|\x00-\x1f\x7f]/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, and the mark of an escape.
const ESCAPED = /[·\\/:*?"<>|\x00-\x1f\x7f]/gu
const REFUSED_AT_END = /[. ]$/u

/** The longest name that the FUSE binding lists, in bytes. Longer ones are shown cut. */
const SHOWN_BYTES_MAX = 255
/** Names that we make up are kept to what any account takes. */
const MADE_UP_LENGTH_MAX = 128

/**
 * What the service is to call an entry that users of the mount call `name`. `stripsDots`: it would
 * take dots from the beginning too (webapp.md 5.3).
 */
export function toService(name: string, stripsDots = false): string {
  const strips = stripsDots && name.startsWith('.')
  const refused = strips || REFUSED.test(name) || REFUSED_AT_END.test(name)
  // A name that only looks encoded is encoded too, or it would come back as something else.
  return refused || decode(name) !== undefined ? encode(name) : name
}

/** What users of the mount see for an entry that the service calls `name`. */
export function toShown(name: string): string {
  const decoded = decode(name)
  if (decoded !== undefined && showable(decoded)) return decoded
  return showable(name) ? name : cut(encode(name))
}

/** No entry can be shown under such a name. */
export function isTooLong(name: string): boolean {
  return Buffer.byteLength(name) > SHOWN_BYTES_MAX
}

/**
 * Throws ENAMETOOLONG, EINVAL for a name that can never reach the service. `lengthMax` is in
 * characters.
 */
export function checkName(name: string, lengthMax: number): void {
  // The binding hands over text: bytes that are no UTF-8 have become U+FFFD, and the name would be
  // another one.
  if (name.includes('\ufffd')) throw new VfsError('EILSEQ', 'a file name that is not UTF-8')
  const tooLong = [...toService(name)].length > lengthMax
  if (tooLong || isTooLong(name))
    throw new VfsError('ENAMETOOLONG', 'file name too long for the drive')
}

/**
 * `report.pdf` → `report (conflict 2026-11-23 10.20.30).pdf`; `taken` says which names are in use.
 */
export function sideName(
  name: string,
  word: string,
  now: Date,
  taken: (name: string) => boolean,
): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  const time = `${two(now.getHours())}.${two(now.getMinutes())}.${two(now.getSeconds())}`
  for (let count = 1; ; count++) {
    const label = `${word} ${day} ${time}${count > 1 ? ` ${count}` : ''}`
    const candidate = labelled(name, label)
    if (!taken(candidate)) return candidate
  }
}

/** `name (label).ext`, with the name cut where the whole would be too long for either side. */
export function labelled(name: string, label: string): string {
  const extension = /.\.[A-Za-z0-9]{1,10}$/su.exec(name)?.[0].slice(1) ?? ''
  const tail = ` (${label})${extension}`
  const stem = [...name.slice(0, name.length - extension.length)]
  while (stem.length > 0 && !fits(stem.join('') + tail)) stem.pop()
  return stem.join('') + tail
}

function fits(name: string): boolean {
  return Buffer.byteLength(name) <= SHOWN_BYTES_MAX && toService(name).length <= MADE_UP_LENGTH_MAX
}

function showable(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false
  return !/[/\0]/u.test(name) && Buffer.byteLength(name) <= SHOWN_BYTES_MAX
}

function encode(name: string): string {
  const ext = EXTENSION.exec(name)?.[0] ?? ''
  const body = name.slice(0, name.length - ext.length).replace(ESCAPED, hex)
  const undotted = body.replace(/^\.+/u, (dots) => hex('.').repeat(dots.length))
  const stem = ext === '' ? undotted.replace(REFUSED_AT_END, hex) : undotted
  return `${stem}${MARK}${checksum(stem + ext)}${ext}`
}

/** The checksum at the end of an encoded name tells two that were cut apart, mostly. */
function cut(encoded: string): string {
  const [, stem = '', crc, ext = ''] = ENCODED.exec(encoded) ?? []
  const tail = `${MARK}${crc}${ext}`
  const kept = [...stem]
  while (Buffer.byteLength(kept.join('') + tail) > SHOWN_BYTES_MAX) kept.pop()
  return kept.join('') + tail
}

function decode(name: string): string | undefined {
  const match = ENCODED.exec(name)
  if (match === null) return undefined
  const [, stem = '', crc, ext = ''] = match
  if (checksum(stem + ext) !== crc) return undefined
  return (
    stem.replace(/·([0-9a-f]{2})/gu, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    ) + ext
  )
}

function hex(character: string): string {
  return MARK + character.charCodeAt(0).toString(16).padStart(2, '0')
}

/** CRC-16/CCITT over UTF-8, 4 hex digits. */
function checksum(text: string): string {
  let crc = 0xffff
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc.toString(16).padStart(4, '0')
}
