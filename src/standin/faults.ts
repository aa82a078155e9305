// Failures on command: rules that say what goes wrong, how often and for which requests.
import { count, number, optional, type Reader, record, text } from './fields.ts'
import type { Call } from './http.ts'
import { RET, Refusal } from './refusal.ts'

/**
 * What can go wrong.
 *
 * Before the work is done, so that it is not:
 * - `reset`: the connection is reset; `stall`: no answer for `ms`, then a dropped connection
 * - `delay`: all goes well, `ms` later
 * - `status-<n>`: that HTTP status; `html`: a page with status 200
 * - `busy`: 190042; `expired-session`: 190051; `ret:<n>`: that result code
 * - `expired-url`: 403; `redirect`: to the same bytes elsewhere, once (data URLs only)
 * - `stale-token`: the session's wyctoken is replaced, so that this request's is old (webapp only)
 * - `dead-channel`: -89012, and the channel of this piece is gone for good (UploadPiece only)
 *
 * After it is done:
 * - `lost-reply`: a dropped connection; `duplicate-reply`: done once more, and answered accordingly
 * - `malformed`: half of the text, well announced; `truncated`: all announced, half sent
 * - `corrupted`: one bit flipped (data URLs only)
 * - `wrong-range`: another range, and saying so; `ignore-range`: 200 with everything (data URLs
 *   that are asked for a range only)
 * - `state-<n>`: that upload_state, whatever is true (UploadPiece only)
 */
export type FaultKind = string

export interface Fault {
  kind: FaultKind
  /** Probability for each request that fits; 1 when absent. */
  rate?: number | undefined
  /** How many requests it hits at most; no limit when absent. */
  times?: number | undefined
  /** How many requests that fit it lets pass first. */
  after?: number | undefined
  /** A regular expression on the name of a request, as in the journal. */
  match?: string | undefined
  /** For `stall` (60,000 when absent) and `delay` (1,000). */
  ms?: number | undefined
}

const KINDS = new RegExp(
  `^(${[
    'reset|stall|delay|status-[45]\\d\\d|html|busy|expired-session|ret:-?\\d{1,9}',
    'expired-url|redirect',
    'stale-token|dead-channel|state-\\d',
    'lost-reply|duplicate-reply|malformed|truncated|corrupted|wrong-range|ignore-range',
  ].join('|')})$`,
)

const kind: Reader<FaultKind> = (value, field) => {
  const name = text(value, field)
  if (!KINDS.test(name)) throw new Refusal(RET.BAD_PARAMETER, `${field}: no fault ${name}`)
  return name
}

const rate: Reader<number> = (value, field) => {
  const chance = number(value, field)
  if (!(chance >= 0 && chance <= 1)) throw new Refusal(RET.BAD_PARAMETER, `${field} is not 0 to 1`)
  return chance
}

const expression: Reader<string> = (value, field) => {
  const source = text(value, field)
  try {
    new RegExp(source)
  } catch {
    throw new Refusal(RET.BAD_PARAMETER, `${field} is not a regular expression`)
  }
  return source
}

export const fault: Reader<Fault> = record({
  kind,
  rate: optional(rate),
  times: optional(count),
  after: optional(count),
  match: optional(expression),
  ms: optional(count),
})

/** Parameter of a data URL that was come to by way of a redirect. */
export const REDIRECTED = 'redirected'

interface Rule {
  fault: Fault
  match: RegExp
  passed: number
  hits: number
}

export class Faults {
  #rules: Rule[] = []

  /** Replaces all rules; the first that hits a request decides what happens to it. */
  set(faults: readonly Fault[]): void {
    this.#rules = faults.map((given, i) => {
      const known = fault(given, `faults[${i}]`)
      return { fault: known, match: new RegExp(known.match ?? ''), passed: 0, hits: 0 }
    })
  }

  /** The rules and how often each has hit. */
  list(): (Fault & { hits: number })[] {
    return this.#rules.map(({ fault: given, hits }) => ({ ...given, hits }))
  }

  /** The fault that hits this request, if any. */
  draw(name: string, call: Call): Fault | undefined {
    for (const rule of this.#rules) {
      if (!rule.match.test(name) || !applies(rule.fault.kind, name, call)) continue
      const { rate: chance = 1, times = Number.POSITIVE_INFINITY, after = 0 } = rule.fault
      rule.passed += 1
      if (rule.passed <= after || rule.hits >= times || Math.random() >= chance) continue
      rule.hits += 1
      return rule.fault
    }
    return undefined
  }
}

function applies(faultKind: FaultKind, name: string, call: Call): boolean {
  if (faultKind === 'expired-url' || faultKind === 'corrupted') return name === 'ftn-get'
  if (faultKind === 'redirect') return name === 'ftn-get' && !call.query.has(REDIRECTED)
  if (/^(dead-channel|state-\d)$/.test(faultKind)) return name === 'UploadPiece'
  if (faultKind.endsWith('-range')) return name === 'ftn-get' && call.range !== undefined
  return true
}
