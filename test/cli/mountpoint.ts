import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { EXIT } from '../../src/cli/exit.ts'
import { prepareMountpoint } from '../../src/cli/mountpoint.ts'
import { tempDir } from '../fixtures/cli.ts'

t.test('an empty directory will do, by its real path', async (t) => {
  const dir = await tempDir(t)
  await mkdir(join(dir, 'mnt'))
  await symlink('mnt', join(dir, 'link'))
  t.equal(await prepareMountpoint(join(dir, 'mnt'), []), join(dir, 'mnt'))
  t.equal(await prepareMountpoint(join(dir, 'link'), []), join(dir, 'mnt'))
  t.equal(await prepareMountpoint(join(dir, 'mnt/../mnt/'), []), join(dir, 'mnt'))
})

t.test('nothing else will', async (t) => {
  const dir = await tempDir(t)
  await writeFile(join(dir, 'file'), '')
  await mkdir(join(dir, 'full/x'), { recursive: true })
  await mkdir(join(dir, 'mnt'))
  const refused: [string, string, RegExp][] = [
    ['missing', '', /no such directory/],
    ['file', '', /not a directory/],
    ['file/x', '', /not a directory/],
    ['full', '', /not empty/],
    ['mnt', 'mnt/cache', /mnt\/cache must not lie inside the mount/],
    ['mnt', 'mnt', /must not lie inside/],
  ]
  for (const [name, inside, message] of refused) {
    const keptApart = inside === '' ? [] : [join(dir, inside)]
    const prepared = prepareMountpoint(join(dir, name), keptApart)
    await t.rejects(prepared, { exitCode: EXIT.NO_INPUT, message }, name)
  }
  t.equal(await prepareMountpoint(join(dir, 'mnt'), [dir, join(dir, 'mnt2')]), join(dir, 'mnt'))
})
