// Who the cookies say we are.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { CookieJar } from '../../../src/weiyun/webapp/cookies.ts'
import {
  accountKind,
  gtkOf,
  headerIdentity,
  oldHash,
  tokenInfo,
  uinOf,
} from '../../../src/weiyun/webapp/identity.ts'

const { hash33 } = JSON.parse(
  await readFile(new URL('../../vectors/webapp-sha1-state.json', import.meta.url), 'utf8'),
)
const QQ = new CookieJar('uin=o0123456789; skey=@s; p_skey=PS; wyctoken=0042')
const WECHAT = new CookieJar('wy_uf=1; wx_uid=77; wy_appid=wx1; openid=OID; access_token=AT')
const OPENID = new CookieJar('wy_uf=2; uid=144115; uid_key=K; weiyun_qq_openid=QO')

t.test('hash33 of the vectors', async (t) => {
  t.ok(hash33.length > 3)
  for (const { input, ptqrtoken, g_tk_legacy } of hash33) {
    t.equal(oldHash(input, 0), ptqrtoken, input)
    t.equal(oldHash(input, 5381), g_tk_legacy, input)
  }
})

t.test('kinds', async (t) => {
  t.equal(accountKind(QQ), 'qq')
  t.equal(accountKind(WECHAT), 'wechat')
  t.equal(accountKind(OPENID), 'openid')
  t.equal(accountKind(new CookieJar('wy_appid=wx1')), 'wechat', 'no flag, as the SDK tells')
  t.equal(accountKind(new CookieJar('wy_appid=wx1; p_skey=a')), 'qq')
  t.equal(accountKind(new CookieJar('wy_uf=0; wy_appid=wx1')), 'qq')
})

t.test('numbers', async (t) => {
  t.equal(uinOf(QQ), '123456789')
  t.equal(uinOf(WECHAT), '77')
  t.equal(uinOf(OPENID), '144115')
  t.equal(uinOf(new CookieJar('uin=; p_uin=o012')), '12')
  t.throws(() => uinOf(new CookieJar('skey=a')), { code: 'INVALID' })
})

t.test('token_info', async (t) => {
  t.strictSame(tokenInfo(QQ), { token_type: 0, login_key_type: 27, login_key_value: 'PS' })
  t.strictSame(tokenInfo(new CookieJar('uin=o1; skey=@s')), {
    token_type: 0,
    login_key_type: 1,
    login_key_value: '@s',
  })
  t.strictSame(tokenInfo(WECHAT), {
    token_type: 1,
    openid: 'OID',
    open_appid: 'wx1',
    access_token: 'AT',
    login_key_type: 192,
    login_key_value: 'AT',
  })
  t.strictSame(tokenInfo(OPENID), { token_type: 3, login_key_type: 1540 })
})

t.test('heads', async (t) => {
  const nobody = { wx_openid: '', qq_openid: '', user_flag: 0, env_id: '' }
  t.strictSame(headerIdentity(QQ), nobody)
  t.strictSame(headerIdentity(WECHAT), { ...nobody, wx_openid: 'OID', user_flag: 1 })
  t.strictSame(headerIdentity(OPENID), { ...nobody, qq_openid: 'QO' })
  const wechatLogin = new CookieJar('wy_uf=2; uid=1; weiyun_wx_openid=WO; env_id=E')
  t.strictSame(headerIdentity(wechatLogin), {
    ...nobody,
    wx_openid: 'WO',
    user_flag: 1,
    env_id: 'E',
  })
})

t.test('g_tk', async (t) => {
  t.equal(gtkOf(QQ), '0042', 'as it is')
  t.equal(gtkOf(new CookieJar('')), '5381')
  t.equal(gtkOf(new CookieJar('p_skey=a')), String(5381 * 33 + 97))
  t.equal(gtkOf(new CookieJar('access_token=a')), String(5381 * 33 + 97))
})
