// What a file or directory may be called, and what the service calls it when the name is taken.
import { RET, Refusal } from './refusal.ts'
import { clashStamp } from './times.ts'

const FORBIDDEN = '\\/:*?"<>|'

/**
 * Refuses a name the service does not store: 1080 too long, 1088 for the rest. Forbidden
 * characters and length: classic.md, section 8. Control characters and a dot or space at the end
 * are refused too [I]: the site strips such dots itself, because the server answers 1088 to "some
 * names with several dots" (newcgi.md, 5.1).
 */
export function checkName(name: string, charsMax: number): void {
  if ([...name].length > charsMax) {
    throw new Refusal(RET.NAME_TOO_LONG, `name of more than ${charsMax} characters`)
  }
  if (name === '' || name.endsWith('.') || name.endsWith(' ')) {
    throw new Refusal(RET.BAD_NAME, 'name is empty or ends in a dot or a space')
  }
  for (const char of name) {
    if (char < ' ' || char === '\x7f' || FORBIDDEN.includes(char)) {
      throw new Refusal(RET.BAD_NAME, `name holds ${JSON.stringify(char)}`)
    }
  }
}

/**
 * `report.pdf` → `report2015-1-2 20.30.3.pdf`, cut so that it still fits (classic.md, "Names that
 * clash").
 */
export function stampedName(name: string, timeMs: number, charsMax: number): string {
  const dot = name.lastIndexOf('.')
  const stem = dot > 0 ? name.slice(0, dot) : name
  const tail = clashStamp(timeMs) + (dot > 0 ? name.slice(dot) : '')
  const room = Math.max(0, charsMax - [...tail].length)
  return [...stem].slice(0, room).join('') + tail
}
