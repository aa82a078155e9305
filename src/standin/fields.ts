// Strict readers for what a client sends: every field is named, typed and of the right length, and
// a field that no protocol sheet knows is an error. A client bug must not hide behind a service
// that shrugs.
import { RET, Refusal } from './refusal.ts'

/** Turns a raw value into a T, or refuses it. `field` is the path of the value, for the journal. */
export type Reader<T> = (value: unknown, field: string) => T

type Shape = Record<string, Reader<unknown>>
type Fields<S extends Shape> = { [K in keyof S]: S[K] extends Reader<infer T> ? T : never }

/** An object with exactly these fields; those read by `optional` may be absent. */
export function record<S extends Shape>(shape: S): Reader<Fields<S>> {
  const known = Object.entries(shape)
  return (value, field) => {
    if (value === undefined) throw new Refusal(RET.MISSING, `${field} is missing`)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new Refusal(RET.WRONG_TYPE, `${field} is not an object`)
    }
    const given = value as Record<string, unknown>
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(shape, name)) {
        throw new Refusal(RET.BAD_PARAMETER, `${field}.${name} is unknown`)
      }
    }
    const fields: Record<string, unknown> = {}
    for (const [name, read] of known) fields[name] = read(given[name], `${field}.${name}`)
    return fields as Fields<S>
  }
}

export function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (value, field) => (value === undefined ? undefined : read(value, field))
}

export function list<T>(read: Reader<T>): Reader<T[]> {
  return (value, field) => {
    if (value === undefined) throw new Refusal(RET.MISSING, `${field} is missing`)
    if (!Array.isArray(value)) throw new Refusal(RET.WRONG_TYPE, `${field} is not a list`)
    return value.map((item, i) => read(item, `${field}[${i}]`))
  }
}

function typed<T>(is: (value: unknown) => value is T, what: string): Reader<T> {
  return (value, field) => {
    if (value === undefined) throw new Refusal(RET.MISSING, `${field} is missing`)
    if (!is(value)) throw new Refusal(RET.WRONG_TYPE, `${field} is not ${what}`)
    return value
  }
}

export const text = typed((value) => typeof value === 'string', 'a string')
export const bool = typed((value) => typeof value === 'boolean', 'a boolean')
export const number = typed((value) => typeof value === 'number', 'a number')
export const anyObject = typed(
  (value): value is object => typeof value === 'object' && value !== null && !Array.isArray(value),
  'an object',
)
/** A whole number of at least 0 that JavaScript can hold exactly. */
export const count = typed(
  (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
  'a whole number',
)

/** A whole number written as a decimal string, the form the classic generation gives its sizes. */
export const decimal: Reader<number> = (value, field) => {
  const digits = text(value, field)
  if (!/^(0|[1-9]\d{0,15})$/.test(digits)) {
    throw new Refusal(RET.WRONG_TYPE, `${field} is not a decimal string`)
  }
  return count(Number(digits), field)
}

/** One of a few constants; another value of the same type gets `ret`. */
export function oneOf<const T extends string | number>(
  values: readonly T[],
  ret: number = RET.BAD_PARAMETER,
): Reader<T> {
  return (value, field) => {
    if (value === undefined) throw new Refusal(RET.MISSING, `${field} is missing`)
    if (typeof value !== typeof values[0]) {
      throw new Refusal(RET.WRONG_TYPE, `${field} is not a ${typeof values[0]}`)
    }
    const found = values.find((allowed) => allowed === value)
    if (found === undefined) throw new Refusal(ret, `${field} is not one of ${values.join(', ')}`)
    return found
  }
}

function pattern(form: RegExp, ret: number, what: string): Reader<string> {
  return (value, field) => {
    const string = text(value, field)
    if (!form.test(string)) throw new Refusal(ret, `${field} is not ${what}`)
    return string
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const dirKey = pattern(/^[0-9a-f]{32}$/, RET.BAD_DIR_KEY, 'a directory key')
export const fileId = pattern(UUID, RET.BAD_FILE_ID, 'a file id')
export const sha1Hex = pattern(/^[0-9a-f]{40}$/, RET.BAD_SHA, 'a SHA-1 in hex')
export const md5Hex = pattern(/^[0-9a-f]{32}$/, RET.BAD_MD5, 'an MD5 in hex')

/** The empty string, or what `read` takes. */
export function orEmpty<T>(read: Reader<T>): Reader<T | ''> {
  return (value, field) => (value === '' ? '' : read(value, field))
}
