// How the two older generations wrap JSON in script, and which callback names they may ask for
// (classic.md, section 3). The Content-Type names no charset although the bytes are UTF-8, as on
// the real service [I].
import { type Reply, reply } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'

/**
 * `<prefix>_<UUID in upper case, - written _>`; the seed shows one with another letter in front of
 * the UUID.
 */
const CALLBACK = /^(get|post_callback)_[A-Z]?[0-9A-F]{8}(_[0-9A-F]{4}){3}_[0-9A-F]{12}$/

/** The classic callback of a request; a form that the site never sends is refused. */
export function classicCallback(method: string, callback: string | undefined): string {
  const prefix = CALLBACK.exec(callback ?? '')?.[1]
  if (callback === undefined || prefix !== (method === 'GET' ? 'get' : 'post_callback')) {
    throw new Refusal(RET.BAD_CALLBACK, `callback does not fit a ${method}`)
  }
  return callback
}

/** newcgi: `X_GET` or `X_POST`; without a callback the reply is plain JSON. */
export function newcgiCallback(method: string, callback: string | undefined): string | undefined {
  if (callback !== undefined && callback !== `X_${method}`) {
    throw new Refusal(RET.BAD_CALLBACK, `callback does not fit a ${method}`)
  }
  return callback
}

/**
 * `value` as the argument of the callback: in a page of its own for a POST, and bare without a
 * callback.
 */
export function wrap(
  method: string,
  callback: string | undefined,
  value: unknown,
  ret: number,
): Reply {
  const json = JSON.stringify(value)
  if (callback === undefined) return reply(json, { 'Content-Type': 'application/json' }, ret)
  const call = `${callback}(${json})`
  const page =
    method === 'POST'
      ? `<script>document.domain="weiyun.com";try{parent.${call}} catch(e){};</script>`
      : `try{${call}}catch(e){};`
  return reply(page, { 'Content-Type': 'text/html' }, ret)
}
