// Reading fields out of replies, for both dialects. The service sends numbers as numbers or as
// decimal strings, and an empty list as null or not at all, so nothing here trusts a type.
import { WeiyunError } from './errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object under `key`; BAD_REPLY when there is none. */
export function needFields(fields: Fields, key: string): Fields {
  const value = fields[key]
  if (!isFields(value)) throw missing(key)
  return value
}

/** A text, or a number as text; `undefined` when absent. An empty text is a text. */
export function text(fields: Fields, key: string): string | undefined {
  const value = fields[key]
  if (typeof value === 'string') return value
  return typeof value === 'number' ? String(value) : undefined
}

/** A name: BAD_REPLY when there is none, NAME_INVALID when it is empty, which no drive can show. */
export function needName(fields: Fields, key: string): string {
  const value = text(fields, key)
  if (value === '') throw new WeiyunError('NAME_INVALID', `the "${key}" of an entry is empty`)
  if (value === undefined) throw missing(key)
  return value
}

/** A text that has to be there and not be empty; BAD_REPLY otherwise. */
export function needText(fields: Fields, key: string): string {
  const value = text(fields, key)
  if (value === undefined || value === '') throw missing(key)
  return value
}

/** An integer that a double holds exactly, sent either way; `undefined` for anything else. */
export function integer(fields: Fields, key: string): number | undefined {
  const value = fields[key]
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined
}

/** A result of one item: 0 where none is given; BAD_REPLY for what is no number. */
export function itemResult(fields: Fields, key: string): number {
  const value = fields[key] === undefined || fields[key] === null ? 0 : integer(fields, key)
  if (value === undefined) throw missing(key)
  return value
}

/** An integer above 0; `fallback` for anything else. */
export function positive(fields: Fields, key: string, fallback: number): number {
  const value = integer(fields, key)
  return value !== undefined && value > 0 ? value : fallback
}

/** Yes, in any of the ways in which replies say it. */
export function flag(fields: Fields, key: string): boolean {
  const value = fields[key]
  return value === true || value === 1 || value === '1' || value === 'true'
}

/** A size or count: an integer that is not negative; BAD_REPLY otherwise. */
export function needSize(fields: Fields, key: string): number {
  const value = integer(fields, key)
  if (value === undefined || value < 0) throw missing(key)
  return value
}

/**
 * Absent, null and empty lists are the same; anything else that is not a list of objects is
 * BAD_REPLY.
 */
export function list(fields: Fields, key: string): Fields[] {
  const value = fields[key] ?? []
  if (!Array.isArray(value) || !value.every(isFields)) throw missing(key)
  return value
}

function missing(key: string): WeiyunError {
  return new WeiyunError('BAD_REPLY', `the reply has no usable "${key}"`)
}
