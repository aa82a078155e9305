// What the program says, in the language of the user's locale. The English text stands in the code
// and is the key of the catalogue; the compiler refuses one that has no translation.
import { AsyncLocalStorage } from 'node:async_hooks'
import { CHINESE } from './chinese.ts'
import type { Env } from './dirs.ts'

export type Message = keyof typeof CHINESE

type Slots<M extends string> = M extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Slots<Rest>
  : never
type Values<M extends string> = [Slots<M>] extends [never]
  ? []
  : [values: Readonly<Record<Slots<M>, string | number>>]

/** A message that is said as it is, without values. */
export type PlainMessage = {
  [M in Message]: [Slots<M>] extends [never] ? M : never
}[Message]

export type Language = 'en' | 'zh'

/** As the C library decides: the first of the three that is set, and only that. */
export function languageOf(env: Env): Language {
  const locale = env.LC_ALL || env.LC_MESSAGES || env.LANG || ''
  return /^zh(?:[_.@-]|$)/i.test(locale) ? 'zh' : 'en'
}

/** The language of this process. */
export const LANGUAGE: Language = languageOf(process.env)

/** Of whoever is answered just now, where that is not the user of this process. */
const asked = new AsyncLocalStorage<Language>()

/** Does something for a user of a language: what `work` says, later on too, is in that. */
export function speaking<T>(language: Language, work: () => T): T {
  return asked.run(language, work)
}

/** A message in the user's language, `{slots}` filled in. */
export function tr<M extends Message>(message: M, ...values: Values<M>): string {
  return translate(asked.getStore() ?? LANGUAGE, message, values[0])
}

/**
 * A text that may have a translation: a default that is a word in one option, a number in another.
 */
export function trAny(text: string): string {
  return text in CHINESE ? translate(LANGUAGE, text as Message) : text
}

/** For tests, which ask for a language. */
export function translate(
  language: Language,
  message: Message,
  values: Readonly<Record<string, string | number>> = {},
): string {
  const text = language === 'zh' ? CHINESE[message] : message
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name]))
}
