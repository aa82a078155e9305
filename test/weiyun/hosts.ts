import t from 'tap'
import { HOSTS, ServiceHosts } from '../../src/weiyun/hosts.ts'

t.test('where things are', async (t) => {
  const real = new ServiceHosts({})
  t.equal(real.url('web', '/x.fcg').href, `${HOSTS.web}/x.fcg`)
  t.ok(
    Object.values(HOSTS).every((base) => base.startsWith('https://')),
    'the session goes over TLS',
  )
  const local = new ServiceHosts({ service: 'http://127.0.0.1:8080/' })
  for (const host of ['web', 'download', 'user', 'avatar'] as const) {
    t.equal(local.url(host, '/x').href, 'http://127.0.0.1:8080/x')
  }
  const mixed = new ServiceHosts({ hosts: { avatar: 'http://faces.example' } })
  t.equal(mixed.url('avatar', '/getface').href, 'http://faces.example/getface')
  t.equal(mixed.url('user', '/x').href, `${HOSTS.user}/x`)
  t.throws(() => new ServiceHosts({ service: 'ftp://x' }), { code: 'INVALID' })
  t.throws(() => new ServiceHosts({ service: 'localhost' }), { code: 'INVALID' })
})

t.test('data servers: TLS exactly on 443', async (t) => {
  const hosts = new ServiceHosts({})
  t.equal(hosts.dataServer('sz.ftn.qq.com', 443, '/a?b').href, 'https://sz.ftn.qq.com/a?b')
  t.equal(hosts.dataServer('sz.ftn.qq.com', 80, '/a').href, 'http://sz.ftn.qq.com/a')
  t.equal(hosts.dataServer('1.2.3.4', 8443, '/a').href, 'http://1.2.3.4:8443/a')
  t.throws(() => hosts.dataServer('a b', 80, '/'), { code: 'BAD_REPLY' })
})

t.test('old names of data servers have no certificates', async (t) => {
  const hosts = new ServiceHosts({})
  const old = 'sh-btfs-v2.yun.ftn.qq.com'
  const renamed = 'https://sh-btfs-v2-yun-ftn.weiyun.com/a?b'
  t.equal(hosts.dataServer(old, 443, '/a?b').href, renamed)
  t.equal(hosts.named(`https://${old}/a?b`).href, renamed)
  t.equal(hosts.named(`http://${old}/a`).href, `http://${old}/a`, 'over http they are good')
  for (const other of ['https://a.b.ftn.example/x', 'https://sz.ftn.qq.com/x']) {
    t.equal(hosts.named(other).href, other)
  }
})

t.test('a local service stays on this machine', async (t) => {
  const hosts = new ServiceHosts({ service: 'http://localhost:1' })
  for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '[::1]']) {
    t.equal(hosts.dataServer(host, 99, '/').host, `${host}:99`)
  }
  for (const address of ['http://10.0.0.1/', 'https://weiyun.com/', 'http://localhost.evil.com/']) {
    t.throws(() => hosts.named(address), { code: 'BAD_REPLY' }, address)
  }
  t.equal(hosts.named('/x', new URL('http://127.0.0.1:5/y')).href, 'http://127.0.0.1:5/x')
})

t.test('addresses in replies', async (t) => {
  const hosts = new ServiceHosts({})
  t.equal(hosts.named('http://anywhere.example/a').host, 'anywhere.example')
  for (const address of ['file:///etc/passwd', 'data:,x', 'javascript:1', 'nothing', '//x']) {
    t.throws(() => hosts.named(address), { code: 'BAD_REPLY' }, address)
  }
})

t.test('cookies go to our own hosts only', async (t) => {
  const hosts = new ServiceHosts({ hosts: { web: 'http://proxy.example' } })
  const isOurs = (address: string) => hosts.isOurs(new URL(address))
  t.ok(isOurs('http://proxy.example:99/'))
  t.ok(isOurs('https://sh-btfs-v2-yun-ftn.weiyun.com/'))
  t.ok(isOurs('http://sz.ftn.qq.com/'))
  for (const address of [
    'http://qq.com.evil.example/',
    'http://evilqq.com/',
    'http://127.0.0.1/',
  ]) {
    t.notOk(isOurs(address), address)
  }
  t.ok(new ServiceHosts({ service: 'http://127.0.0.1:1' }).isOurs(new URL('http://localhost:2')))
})
