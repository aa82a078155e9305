import { chmod, mkdir, readdir, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { isOursAlone } from '../../src/cli/compile-cache.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

const COMPILED = '.cache/weiyun-mount/compiled'

/** Of a program that is installed, without a place in a checkout for what was compiled. */
function bareEnv(home: string): NodeJS.ProcessEnv {
  return { ...homeEnv(home), NODE_COMPILE_CACHE: undefined }
}

t.test('what was compiled is kept for the next start, for this user alone', async (t) => {
  const home = await tempDir(t)
  const { code } = await runCli(['--version'], bareEnv(home))
  t.equal(code, 0)
  t.equal((await readdir(join(home, COMPILED))).length, 1, 'a directory for this Node')
  t.ok(isOursAlone(join(home, COMPILED)))
  await chmod(join(home, COMPILED), 0o750)
  t.notOk(isOursAlone(join(home, COMPILED)), 'others can read it')
})

t.test('nothing is kept where somebody else could put something', async (t) => {
  const base = await tempDir(t)
  await mkdir(join(base, 'shared/home'), { recursive: true })
  await chmod(join(base, 'shared'), 0o777)
  const { code, stderr } = await runCli(['--version'], bareEnv(join(base, 'shared/home')))
  t.equal(code, 0)
  t.equal(stderr, '')
  t.strictSame(await readdir(join(base, 'shared/home', COMPILED)), [])

  await rename(join(base, 'shared/home'), join(base, 'shared/moved'))
  await mkdir(join(base, 'home'), { mode: 0o700 })
  await symlink(join(base, 'shared/moved/.cache'), join(base, 'home/.cache'))
  await runCli(['--version'], bareEnv(join(base, 'home')))
  t.strictSame(await readdir(join(base, 'home', COMPILED)), [], 'nor by way of a symlink')
})

t.test('a home that cannot be written does not keep the program from starting', async (t) => {
  const { code, stderr } = await runCli(['--version'], bareEnv('/proc/self'))
  t.equal(code, 0)
  t.equal(stderr, '')
})
