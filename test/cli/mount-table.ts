import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { isBelow, isOurs, readMounts } from '../../src/cli/mount-table.ts'
import { tempDir } from '../fixtures/cli.ts'

const TABLE = String.raw`22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
45 22 0:44 / /home/me/my\040drive\134x rw shared:9 master:1 - fuse.weiyun-mount weiyun rw
46 22 0:45 / /home/me/微云 rw - fuse.sshfs weiyun rw,user_id=0
47 22 0:46 / /mnt/other rw - fuse.sshfs me@host:/ rw
48 22 0:47 / /mnt/new\012line rw - fuse weiyun-mount rw
`

t.test('the kernel’s table', async (t) => {
  const path = join(await tempDir(t), 'mountinfo')
  await writeFile(path, TABLE)
  const mounts = await readMounts(path)
  t.same(mounts.slice(0, 2), [
    { mountpoint: '/', type: 'ext4', source: '/dev/vda1' },
    { mountpoint: '/proc', type: 'proc', source: 'proc' },
  ])
  t.same(
    mounts.filter(isOurs).map(({ mountpoint }) => mountpoint),
    ['/home/me/my drive\\x', '/home/me/微云', '/mnt/new\nline'],
  )
})

t.test('the table of this machine has a root', async (t) => {
  t.ok((await readMounts()).some(({ mountpoint }) => mountpoint === '/'))
})

t.test('below', async (t) => {
  const below: [string, string, boolean][] = [
    ['/a/b', '/a', true],
    ['/a', '/a', true],
    ['/ab', '/a', false],
    ['/a/..b', '/a', true],
    ['/', '/a', false],
    ['/a', '/', true],
  ]
  for (const [path, dir, is] of below) t.equal(isBelow(path, dir), is, `${path} ${dir}`)
})
