import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { lockCacheDir, openCacheDir } from '../../src/cache/cachedir.ts'

const MODULE = new URL('../../src/cache/cachedir.ts', import.meta.url).href

t.test('makes what is missing, private', async (t) => {
  const dir = join(t.testdir({}), 'deep', 'cache')
  await openCacheDir({ dir })
  await openCacheDir({ dir })
  for (const name of ['', 'blocks', 'staging']) {
    t.equal((await stat(join(dir, name))).mode & 0o777, 0o700)
  }
  t.same(JSON.parse(await readFile(join(dir, 'format.json'), 'utf8')), { version: 1 })
  await chmod(dir, 0o755)
  await openCacheDir({ dir })
  t.equal((await stat(dir)).mode & 0o777, 0o700)
})

t.test('refuses a directory that is something else', async (t) => {
  const dir = t.testdir({ 'letter.txt': 'dear' })
  await chmod(dir, 0o755)
  await t.rejects(openCacheDir({ dir }), { code: 'UNSAFE' })
  await t.rejects(lockCacheDir(dir), { code: 'UNSAFE' })
  t.equal((await stat(dir)).mode & 0o777, 0o755, 'and leaves it as it is')
  t.same(await readdir(dir), ['letter.txt'])
})

t.test('refuses the directory of another user', async (t) => {
  const isRoot = process.getuid?.() === 0
  const dir = isRoot ? t.testdir({}) : '/'
  if (isRoot) await chown(dir, 65534, 65534)
  await t.rejects(openCacheDir({ dir }), { code: 'UNSAFE', message: /another user/ })
})

t.test('refuses what a later version wrote, and changes nothing', async (t) => {
  const dir = t.testdir({ 'format.json': '{"version": 2}' })
  await t.rejects(openCacheDir({ dir }), {
    code: 'TOO_NEW',
    message: /newer weiyun-mount \(version 2/,
  })
  t.same(await readdir(dir), ['format.json'])
})

t.test('a damaged or lost version is taken for the current one', async (t) => {
  const dir = t.testdir({ staging: { file: 'unsaved' }, 'format.json': '{"vers' })
  await openCacheDir({ dir })
  t.equal(await readFile(join(dir, 'format.json'), 'utf8'), '{"version":1}\n')
  await rm(join(dir, 'format.json'))
  await openCacheDir({ dir })
  t.equal(await readFile(join(dir, 'staging', 'file'), 'utf8'), 'unsaved')
})

t.test('migrates step by step, and goes on where it was interrupted', async (t) => {
  const dir = t.testdir({ 'format.json': '{"version": 1}', staging: { file: 'unsaved' } })
  const ran: string[] = []
  let power = false
  const migrations = [
    async () => void ran.push('1 to 2'),
    async () => {
      ran.push('2 to 3')
      if (!power) throw new Error('power cut')
    },
    async (given: string) => void ran.push(`3 to 4 in ${given === dir}`),
  ]
  await t.rejects(openCacheDir({ dir, migrations }), /power cut/)
  power = true
  await openCacheDir({ dir, migrations })
  t.same(ran, ['1 to 2', '2 to 3', '2 to 3', '3 to 4 in true'])
  await openCacheDir({ dir, migrations })
  t.equal(ran.length, 4)
  t.same(JSON.parse(await readFile(join(dir, 'format.json'), 'utf8')), { version: 4 })
  t.equal(await readFile(join(dir, 'staging', 'file'), 'utf8'), 'unsaved')
  await t.rejects(openCacheDir({ dir }), { code: 'TOO_NEW' })
})

t.test('a new directory has the current version without migrating', async (t) => {
  const dir = join(t.testdir({}), 'new')
  await openCacheDir({ dir, migrations: [() => t.fail('nothing to migrate') as never] })
  t.same(JSON.parse(await readFile(join(dir, 'format.json'), 'utf8')), { version: 2 })
})

t.test('one process at a time, even after a kill', async (t) => {
  const dir = join(t.testdir({}), 'cache')
  const program = `
    const { lockCacheDir } = await import('${MODULE}')
    globalThis.lock = await lockCacheDir(process.argv[1])
    console.log('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  await once(child.stdout, 'data')
  await t.rejects(lockCacheDir(dir), { code: 'IN_USE', message: new RegExp(`pid ${child.pid}\\b`) })
  child.kill('SIGKILL')
  await ended
  const lock = await lockCacheDir(dir)
  await t.rejects(lockCacheDir(dir), {
    code: 'IN_USE',
    message: new RegExp(`pid ${process.pid}\\b`),
  })
  await openCacheDir({ dir })
  lock.release()
  const again = await lockCacheDir(dir)
  again.release()
})

t.test('a path that is no directory is an error', async (t) => {
  const dir = t.testdir({ file: 'x' })
  await t.rejects(openCacheDir({ dir: join(dir, 'file') }), { code: 'EEXIST' })
  await mkdir(join(dir, 'real'))
  await symlink('real', join(dir, 'link'))
  await openCacheDir({ dir: join(dir, 'link') })
  await writeFile(join(dir, 'real', 'format.json'), '{"version": 9}')
  await t.rejects(openCacheDir({ dir: join(dir, 'link') }), { code: 'TOO_NEW' })
})
