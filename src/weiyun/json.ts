// JSON of replies, with every digit: ids, versions and sizes are 64-bit numbers on the other side,
// and a double would round the largest of them without a word.

/**
 * A number that may be more than a double holds exactly; a text that looks like one does no harm.
 */
const LONG_NUMBER = /[:[,]\s*-?\d{16}/

/**
 * Like JSON.parse, but an integer that a double does not hold exactly comes as the text of its
 * digits.
 */
export function parseJson(source: string): unknown {
  return LONG_NUMBER.test(source) ? JSON.parse(source, exact as Reviver) : JSON.parse(source)
}

type Reviver = (key: string, value: unknown) => unknown

/** The third argument is newer than the types of JSON.parse. */
function exact(_key: string, value: unknown, { source }: { source?: string }): unknown {
  const isRounded = typeof value === 'number' && !Number.isSafeInteger(value)
  return isRounded && source !== undefined && /^-?\d+$/.test(source) ? source : value
}
