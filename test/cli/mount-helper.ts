import t from 'tap'
import { fromMountHelper } from '../../src/cli/mount-helper.ts'

t.test('other names change nothing', async (t) => {
  t.same(fromMountHelper('main.js', ['-f', '/mnt']), ['-f', '/mnt'])
})

t.test('what mount(8) says', async (t) => {
  for (const name of ['mount.weiyun-mount', 'mount.fuse.weiyun-mount']) {
    t.same(fromMountHelper(name, ['weiyun', '/mnt', '-o', 'rw,dir_ttl=5s']), [
      'weiyun',
      '/mnt',
      '-o',
      'rw,dir_ttl=5s',
    ])
    t.same(
      fromMountHelper(name, ['weiyun', '/mnt', '-sn', '-v', '-t', 'fuse.weiyun-mount']),
      ['weiyun', '/mnt', '-o', ''],
      'two words are a source and a mount point, with options or without',
    )
    t.equal(fromMountHelper(name, ['weiyun', '/mnt', '-f']), undefined, 'only pretending')
    t.throws(() => fromMountHelper(name, ['/mnt']), /calls this as/)
    t.throws(() => fromMountHelper(name, ['weiyun', '/mnt', '--frobnicate']), /calls this as/)
  }
})
