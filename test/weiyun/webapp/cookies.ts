// Cookies: the jar, and what users paste.
import t from 'tap'
import { CookieJar, parsePastedCookies } from '../../../src/weiyun/webapp/cookies.ts'

t.test('a header there and back', async (t) => {
  const jar = new CookieJar(' uin=o01;skey=a=b==; empty=; broken; uin=other;')
  t.equal(jar.get('uin'), 'o01', 'the first of two')
  t.equal(jar.get('skey'), 'a=b==')
  t.equal(jar.get('empty'), undefined)
  t.equal(jar.get('broken'), undefined)
  t.equal(jar.header, 'uin=o01; skey=a=b==; empty=')
  t.equal(new CookieJar().header, '')
})

t.test('merging what replies set', async (t) => {
  const jar = new CookieJar('a=1; b=2')
  t.equal(jar.merge(undefined), false)
  t.equal(jar.merge('a=1; Path=/'), false, 'nothing new')
  t.equal(jar.merge(['a=3; Path=/; HttpOnly', 'c=4']), true)
  t.equal(jar.header, 'a=3; b=2; c=4')
  t.equal(
    jar.merge(['a=; Max-Age=0', 'b=gone; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'd=\u00fc']),
    false,
    'a service that clears a dying session does not clear ours, and a header has only ASCII',
  )
  t.equal(jar.header, 'a=3; b=2; c=4')
})

t.test('a Cookie header from the browser', async (t) => {
  const text = 'uin=o01; p_skey=x*y_'
  for (const pasted of [text, `Cookie: ${text}`, `cookie:${text}\n`, `\n${text}\r\n`]) {
    t.equal(parsePastedCookies(pasted).header, text)
  }
  for (const pasted of ['', 'hello', 'a b=c', `${text}\n${text}`, 'uin=\u00fc', '{"a": "b=c"}']) {
    t.throws(() => parsePastedCookies(pasted), { code: 'INVALID' }, JSON.stringify(pasted))
  }
})

t.test('a cookies.txt', async (t) => {
  const row = (...fields: string[]) => fields.join('\t')
  const pasted = [
    '# Netscape HTTP Cookie File',
    '',
    row('.weiyun.com', 'TRUE', '/', 'FALSE', '0', 'uin', 'o01'),
    row('#HttpOnly_.weiyun.com', 'TRUE', '/', 'TRUE', '1999999999', 'p_skey', 'x*y_'),
    row('www.weiyun.com', 'FALSE', '/', 'FALSE', '0', 'wyctoken', '12'),
    row('.qq.com', 'TRUE', '/', 'FALSE', '0', 'uin', 'o02'),
    row('.notweiyun.com', 'TRUE', '/', 'FALSE', '0', 'evil', '1'),
    row('share.weiyun.com', 'FALSE', '/', 'FALSE', '0', 'other', '1'),
  ].join('\r\n')
  t.equal(parsePastedCookies(pasted).header, 'uin=o01; p_skey=x*y_; wyctoken=12')
  const foreign = row('.qq.com', 'TRUE', '/', 'FALSE', '0', 'uin', 'o02')
  t.throws(() => parsePastedCookies(foreign), { code: 'INVALID', message: /weiyun/ })
})
