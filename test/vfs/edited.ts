// A file that was edited in place, of whose bytes most are those of the version underneath.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeOver } from '../fixtures/vfs.ts'

t.test('once it was about to be sent, it needs neither the old version nor a record', async (t) => {
  const dir = await vfsDir(t)
  const drive = new MemoryDrive()
  drive.mkdir('main', 'dir')
  const key = drive.dirsByPath().get('dir/') ?? ''
  drive.put(key, 'file', 'what was there before')
  const vfs = await openVfs(dir, drive)
  await writeOver(vfs, '/dir/file', 'THAT')
  const tried = Promise.withResolvers<void>()
  drive.fault = (command) => {
    if (command !== 'upload') return undefined
    tried.resolve()
    return 'before'
  }
  vfs.sync('/dir/file').catch(() => {})
  await tried.promise
  await vfs.close()

  drive.fault = () => undefined
  drive.drop(key, 'file')
  drive.read = async function* () {
    yield* []
    throw new WeiyunError('NOT_FOUND', 'the old version is gone')
  }
  for (const name of ['state.db', 'cache/blocks', 'cache/blocks.db'])
    await rm(join(dir, name), { recursive: true, force: true })
  const again = await openVfs(dir, drive)
  await again.sync('/dir/file')
  t.equal(drive.tree().get('dir/file'), 'THAT was there before')
  await again.close()
})

t.test('after the state file was lost it still stands for the old version', async (t) => {
  const dir = await vfsDir(t)
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'what was there before')
  const vfs = await openVfs(dir, drive)
  await writeOver(vfs, '/file', 'THAT')
  await vfs.close()
  await rm(join(dir, 'state.db'))

  const again = await openVfs(dir, drive)
  await again.readdir('/')
  await again.rename('/file', '/other', 0)
  await again.sync()
  t.same([...drive.tree()], [['other', 'THAT was there before']])
  t.same(
    (await again.readdir('/')).map(({ name }) => name),
    ['other'],
  )
  await again.close()
})
