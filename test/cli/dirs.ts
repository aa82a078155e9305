import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import * as dirs from '../../src/cli/dirs.ts'
import { CliError } from '../../src/cli/exit.ts'
import { tempDir } from '../fixtures/cli.ts'

t.test('XDG directories, and their fallbacks', async (t) => {
  const xdg = {
    HOME: '/h',
    XDG_CONFIG_HOME: '/c',
    XDG_STATE_HOME: '/s',
    XDG_CACHE_HOME: '/k',
    XDG_DATA_HOME: '/d',
    XDG_RUNTIME_DIR: '/r',
  }
  t.equal(dirs.configDir(xdg), '/c/weiyun-mount')
  t.equal(dirs.stateDir(xdg), '/s/weiyun-mount')
  t.equal(dirs.cacheDir(xdg), '/k/weiyun-mount')
  t.equal(dirs.dataDir(xdg), '/d/weiyun-mount')
  t.equal(dirs.runtimeDir(xdg), '/r/weiyun-mount')
  const home = { HOME: '/h', XDG_CACHE_HOME: 'relative', XDG_STATE_HOME: '' }
  t.equal(dirs.configDir(home), '/h/.config/weiyun-mount')
  t.equal(dirs.cacheDir(home), '/h/.cache/weiyun-mount')
  t.equal(dirs.stateDir(home), '/h/.local/state/weiyun-mount')
  t.match(dirs.runtimeDir(home), new RegExp(`/weiyun-mount-${process.getuid?.()}$`))
})

t.test('one name for each account and service', async (t) => {
  const name = dirs.accountDirName
  t.equal(name('10001', {}), '10001')
  t.equal(name('10001', { service: 'http://127.0.0.1:4000' }), '10001@127.0.0.1')
  t.equal(
    name('10001', { service: 'http://127.0.0.1:4000' }),
    name('10001', { service: 'http://127.0.0.1:5000' }),
    'a port is no identity',
  )
  const local = name('10001', { local: '/a', service: 'http://127.0.0.1:4000' })
  t.match(local, /^10001@local-[\da-f]{8}$/)
  t.equal(local, name('10001', { local: '/a', service: 'http://127.0.0.1:5000' }))
  t.not(local, name('10001', { local: '/b' }))
  t.match(name('10001', { root: '/docs' }), /^10001\+[\da-f]{8}$/)
  t.not(name('10001', { root: '/docs' }), name('10001', { root: '/Docs' }), 'one for each folder')
  t.equal(name('10001', { root: '/' }), '10001')
  t.equal(name('../x/y', {}), '.._x_y', 'no way out of the directory')
})

t.test('private directories', async (t) => {
  const base = await tempDir(t)
  const mode = async (path: string) => (await stat(path)).mode & 0o777
  await dirs.makePrivateDir(join(base, 'a/b'))
  t.equal(await mode(join(base, 'a/b')), 0o700)
  await mkdir(join(base, 'open'))
  await chmod(join(base, 'open'), 0o755)
  await dirs.makePrivateDir(join(base, 'open'))
  t.equal(await mode(join(base, 'open')), 0o700, 'closed when it was ours and open')
  await symlink(base, join(base, 'link'))
  await t.rejects(dirs.makePrivateDir(join(base, 'link')), CliError, 'no planted symlink')
  await writeFile(join(base, 'file'), '')
  await t.rejects(dirs.makePrivateDir(join(base, 'file')), CliError)
})
