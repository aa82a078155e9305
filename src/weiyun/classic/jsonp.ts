// JSONP replies (protocol notes, classic 3, newcgi 2):
//   GET     try{CALLBACK(JSON)}catch(e){};                  a space before `catch` at times
//   POST    <script>document.domain="weiyun.com";try{parent.CALLBACK(JSON)} catch(e){};</script>
//   avatars pt.setHeader(JSON);
// Names inside the JSON may hold any part of the wrapper, so it is looked for at the two ends only.
import { randomUUID } from 'node:crypto'
import { WeiyunError } from '../errors.ts'
import { type Fields, isFields } from '../fields.ts'
import { parseJson } from '../json.ts'

/** All that may follow the JSON. */
const TAIL = /\)\s*;?\s*(?:\}\s*catch\s*\(\w*\)\s*\{\s*\}\s*;?)?\s*(?:<\/script>)?\s*$/
const TAIL_LENGTH_MAX = 100
/** All that may precede the callback's name. */
const HEAD = /^\s*(?:<script>[^<(]*?)?(?:try\s*\{)?\s*(?:parent\.)?$/

/** A name for the callback of one request, as the site makes them. */
export function callbackName(method: 'GET' | 'POST'): string {
  const id = randomUUID().toUpperCase().replaceAll('-', '_')
  return method === 'GET' ? `get_${id}` : `post_callback_${id}`
}

/**
 * The object that the reply hands to `callback`; BAD_REPLY when it does not. Plain JSON will do
 * too.
 */
export function decodeJsonp(reply: string, callback: string): Fields {
  const value = parse(unwrap(reply, callback))
  if (!isFields(value)) throw new WeiyunError('BAD_REPLY', 'the reply is JSON, but not an object')
  return value
}

function unwrap(reply: string, callback: string): string {
  if (/^\s*\{/.test(reply)) return reply
  const call = `${callback}(`
  const start = reply.indexOf(call)
  const from = Math.max(start + call.length, reply.length - TAIL_LENGTH_MAX)
  const tail = TAIL.exec(reply.slice(from))
  if (start < 0 || tail === null || !HEAD.test(reply.slice(0, start))) {
    const what = /^\s*<(?!script)/i.test(reply) ? 'an HTML page' : 'something else'
    throw new WeiyunError('BAD_REPLY', `expected a call of our callback, got ${what}`)
  }
  return reply.slice(start + call.length, from + tail.index)
}

function parse(json: string): unknown {
  try {
    return parseJson(json)
  } catch {
    // Without its cause: the parser's message quotes the reply, which may hold keys.
    throw new WeiyunError('BAD_REPLY', 'the reply holds broken JSON')
  }
}
