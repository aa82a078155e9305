// The package as npm makes it: complete, and it runs from where it was unpacked. Its dependencies
// are this checkout's, so that no registry is needed; scripts/try-package installs it as users do.
import { execFile } from 'node:child_process'
import { access, mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { homeEnv, tempDir } from './fixtures/cli.ts'
import { noFuse } from './fixtures/mount.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('..', import.meta.url))

t.test('npm pack', { skip: noFuse, timeout: 240_000 }, async (t) => {
  const home = await tempDir(t)
  // Without the loader of tap, which the compiler does not bear.
  const pack = ['-u', 'NODE_OPTIONS', 'npm', 'pack', '--pack-destination', home, '--json']
  const packed = await run('env', pack, { cwd: ROOT })
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n')))
  await run('tar', ['-xzf', join(home, filename), '-C', home])
  const dir = join(home, 'package')
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
  const { bin, man, version } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8'))
  for (const path of [...man, 'scripts/weiyun-mount@.service', 'README.md', 'LICENSE']) {
    await t.resolves(access(join(dir, path)), path)
  }

  const main = join(dir, bin['weiyun-mount'])
  t.match(await readFile(main, 'utf8'), /^#!\/usr\/bin\/env node\n/)
  const env = homeEnv(home)
  const program = (...args: string[]) => run(process.execPath, [main, ...args], { env })
  t.equal((await program('--version')).stdout, `${version}\n`)
  t.match((await program('completions', 'bash')).stdout, '_weiyun_mount')

  const mountpoint = join(home, 'mnt')
  await mkdir(mountpoint)
  t.teardown(() => run('fusermount3', ['-uz', mountpoint]).catch(() => {}))
  await program('--local', join(home, 'drive'), mountpoint)
  await run('cp', [main, join(mountpoint, '微云.js')])
  await program('sync', mountpoint)
  t.match((await program('status')).stdout, 'nothing')
  await program('unmount', mountpoint)

  // What an old Node makes of it.
  const old = "Object.defineProperty(process.versions,'node',{value:'18.19.0'})"
  const disguised = {
    ...env,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(old)}`,
  }
  const failed = await run(process.execPath, [main, '--version'], { env: disguised }).catch(
    (e) => e,
  )
  t.equal(failed.code, 69)
  t.equal(failed.stderr, 'weiyun-mount: Node 18.19.0 is too old: install Node 24 or newer\n')
})
