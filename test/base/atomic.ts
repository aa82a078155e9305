import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeFileAtomic } from '../../src/base/atomic.ts'

t.test('replaces a file, private by default', async (t) => {
  const dir = t.testdir({ there: 'old' })
  await writeFileAtomic(join(dir, 'there'), 'new')
  await writeFileAtomic(join(dir, 'public'), Buffer.from([1, 2]), 0o644)
  t.equal(await readFile(join(dir, 'there'), 'utf8'), 'new')
  t.equal((await stat(join(dir, 'there'))).mode & 0o777, 0o600)
  t.equal((await stat(join(dir, 'public'))).mode & 0o777, 0o644)
  t.same((await readdir(dir)).sort(), ['public', 'there'])
})

t.test('leaves the old file and nothing else when it fails', async (t) => {
  const dir = t.testdir({ target: {} })
  await writeFile(join(dir, 'target', 'x'), 'in the way')
  await t.rejects(writeFileAtomic(join(dir, 'target'), 'new'))
  t.same(await readdir(dir), ['target'])
})

t.test('one of many writers wins whole', async (t) => {
  const dir = t.testdir({})
  await mkdir(join(dir, 'sub'))
  const path = join(dir, 'sub', 'file')
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(5000))
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)))
  t.ok(contents.includes(await readFile(path, 'utf8')))
})
