// The parameters of a script request: in the query, in a form body, or in both, as the site sends
// them.
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'

/** Longest form of a command: 50 entries with long names, each percent-encoded twice. */
const FORM_BYTES_MAX = 1024 * 1024

/** Every parameter once; the same name with two values is refused. */
export async function params(call: Call): Promise<Record<string, string>> {
  const given = [...call.query]
  if (call.method === 'POST') {
    const body = await call.body(FORM_BYTES_MAX)
    const type = call.headers['content-type'] ?? ''
    if (body.length > 0 && !type.startsWith('application/x-www-form-urlencoded')) {
      throw new Refusal(RET.BAD_FORMAT, `body of type ${type}`)
    }
    given.push(...new URLSearchParams(body.toString()))
  }
  const fields: Record<string, string> = {}
  for (const [name, value] of given) {
    if (Object.hasOwn(fields, name) && fields[name] !== value) {
      throw new Refusal(RET.BAD_PARAMETER, `parameter ${name} twice`)
    }
    fields[name] = value
  }
  return fields
}

/** The value of a parameter that holds JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(RET.BAD_JSON, 'data is not JSON')
  }
}

/** The two halves of a request's JSON, with the gateway's own codes for a missing one. */
export function headerAndBody(data: unknown): { header: unknown; body: unknown } {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw new Refusal(RET.BAD_FORMAT, 'data is not an object')
  }
  const { req_header: header, req_body: body, ...rest } = data as Record<string, unknown>
  if (header === undefined) throw new Refusal(RET.NO_HEADER, 'no req_header')
  if (body === undefined) throw new Refusal(RET.NO_BODY, 'no req_body')
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Refusal(RET.BAD_PARAMETER, `data.${unknown} is unknown`)
  return { header, body }
}
