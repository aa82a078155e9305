// What a command of the classic generation is, and the readers and helpers that several of them
// need.
import { dirKey, type Reader, record, text } from '../fields.ts'
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Account } from '../store/accounts.ts'
import type { Store } from '../store/store.ts'

/** What a command works with. */
export interface Context {
  store: Store
  account: Account
  call: Call
  nowMs: number
}

export interface Command {
  method: 'GET' | 'POST'
  path: string
  /**
   * The reply's header has neither sequence number nor uin, as the seed shows for `root_dir_list`.
   */
  plainHeader?: boolean
  run(context: Context, body: unknown): object
}

/** Where all commands live but two. */
const JSONP = '/wy_web_jsonp.fcg'

/** `max_fz`: offsets of this generation are signed 32-bit integers (classic.md, 6c). */
export const CLASSIC_SIZE_MAX = 2 ** 31 - 1

export const NOTHING = record({})

export function command<T>(
  method: Command['method'],
  read: Reader<T>,
  run: (context: Context, body: T) => object,
  path = JSONP,
): Command {
  return { method, path, run: (context, body) => run(context, read(body, 'req_body')) }
}

export const dirTime: Reader<string> = (value, field) => {
  const time = text(value, field)
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( \d{3})?$/.test(time)) {
    throw new Refusal(RET.WRONG_TYPE, `${field} is not a time`)
  }
  return time
}

/** Where an entry stands: its directory's key, and the key of that directory's parent. */
export const place = { ppdir_key: dirKey, pdir_key: dirKey }

/** Does a batch item by item and reports each, in the order of the request. */
export function each<T>(items: T[], itemsMax: number, act: (item: T) => void): object {
  if (items.length === 0) throw new Refusal(RET.BATCH_EMPTY, 'empty batch')
  if (items.length > itemsMax) throw new Refusal(RET.BATCH_TOO_BIG, `batch over ${itemsMax}`)
  const results = items.map((item) => {
    try {
      act(item)
      return { result: RET.OK as number }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { result: error.ret }
    }
  })
  return { results }
}
