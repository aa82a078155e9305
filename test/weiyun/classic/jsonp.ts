import t from 'tap'
import { callbackName, decodeJsonp } from '../../../src/weiyun/classic/jsonp.ts'

const GET = 'get_B7C197F8_8465_49DB_AEC7_273C1DC50470'
const POST = 'post_callback_B7C197F8_8465_49DB_AEC7_273C1DC50470'

/** A name that holds everything a wrapper is made of. */
const NASTY = `")}catch(e){};</script>'(parent.${GET}(微云\n`
const json = JSON.stringify({ name: NASTY })

for (const [reply, callback] of [
  [`try{${GET}(${json})}catch(e){};`, GET],
  [`try{${GET}(${json})} catch(e){};`, GET],
  [`\r\n try{ ${GET}(${json}) } catch (e) {} \n`, GET],
  [`try{X_GET(${json})}catch(e){};`, 'X_GET'],
  [`<script>document.domain="weiyun.com";try{parent.${POST}(${json})} catch(e){};</script>`, POST],
  [
    `<script>document.domain="weiyun.com";try{parent.X_POST(${json})}catch(e){};</script>`,
    'X_POST',
  ],
  [`pt.setHeader(${json});`, 'pt.setHeader'],
  [json, GET],
] as const) {
  t.strictSame(decodeJsonp(reply, callback), { name: NASTY }, reply.slice(0, 60))
}

for (const [reply, why] of [
  ['', 'nothing'],
  ['<html><body>please log in</body></html>', 'a page'],
  [`<html>try{${GET}({})}catch(e){};</html>`, 'a page around a reply'],
  [`try{${POST}({})}catch(e){};`, 'the callback of another request'],
  [`try{${GET}({"a":1`, 'half a reply'],
  [`try{${GET}({"a":1})}catch(e){};try{${GET}({"a":2})}catch(e){};`, 'two replies'],
  [`try{${GET}([1])}catch(e){};`, 'a list'],
  [`try{${GET}(null)}catch(e){};`, 'null'],
  [`try{${GET}({"a":)}catch(e){};`, 'broken JSON'],
] as const) {
  t.throws(() => decodeJsonp(reply, GET), { code: 'BAD_REPLY' }, why)
}
t.throws(() => decodeJsonp('<html></html>', GET), { message: /HTML/ }, 'says that it is a page')

t.match(callbackName('GET'), /^get_[0-9A-F]{8}(_[0-9A-F]{4}){3}_[0-9A-F]{12}$/)
t.match(callbackName('POST'), /^post_callback_[0-9A-F]{8}(_[0-9A-F]{4}){3}_[0-9A-F]{12}$/)
t.not(callbackName('GET'), callbackName('GET'), 'a new one for each request')
