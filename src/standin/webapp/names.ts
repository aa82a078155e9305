// What a file or directory may be called today (webapp.md, 5.3). The older generation's rules are
// narrower (../names.ts).
import { RET, Refusal } from '../refusal.ts'

/** In UTF-16 units, as the site's own script counts [I]. */
export const NAME_LENGTH_MAX = 255

/**
 * Refuses a name the service does not store: 1080 too long, 1088 for the rest. That control
 * characters are among the refused is a guess [I]; dots and spaces at either end may stay.
 */
export function checkWebName(name: string): void {
  if (name.length > NAME_LENGTH_MAX) throw new Refusal(RET.NAME_TOO_LONG, 'name too long')
  if (name === '' || name === '.' || name === '..') {
    throw new Refusal(RET.BAD_NAME, `name ${JSON.stringify(name)}`)
  }
  const strange = [...name].find(
    (char) => char < ' ' || char === '\x7f' || '\\/:*?"<>|'.includes(char),
  )
  if (strange !== undefined) {
    throw new Refusal(RET.BAD_NAME, `name holds ${JSON.stringify(strange)}`)
  }
}

/** The name that an upload gets: without the dots around it. */
export function uploadName(filename: string): string {
  const name = filename.replace(/^\.+|\.+$/g, '')
  checkWebName(name)
  return name
}
