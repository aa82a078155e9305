// A file that was edited in place, of whose bytes most are those of the version underneath.
import { constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { Vfs } from '../../src/vfs/vfs.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'

const OPTIONS = {
  dirTtlMs: 60_000,
  writeBackMs: 60_000,
  fsync: 'local',
  root: '/',
  readOnly: false,
  localOnly: [],
  cacheSize: 2 ** 30,
  timeoutMs: 15_000,
  uid: 0,
  gid: 0,
  umask: 0o022,
} as const

t.test('once it was about to be sent, it needs neither the old version nor a record', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'wm-edited-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const drive = new MemoryDrive()
  drive.mkdir('main', 'dir')
  const key = drive.dirsByPath().get('dir/') ?? ''
  drive.put(key, 'file', 'what was there before')
  const cacheDir = join(dir, 'cache')
  const parts = { drive, stateDir: dir, cacheDir, log: silentLogger, options: OPTIONS }

  const vfs = await Vfs.open(parts)
  await vfs.readdir('/dir')
  await vfs.getattr('/dir/file')
  const { fh } = await vfs.open('/dir/file', constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from('THAT'), 0)
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
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
  const again = await Vfs.open(parts)
  await again.sync('/dir/file')
  t.equal(drive.tree().get('dir/file'), 'THAT was there before')
  await again.close()
})

t.test('after the state file was lost it still stands for the old version', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'wm-edited-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'what was there before')
  const cacheDir = join(dir, 'cache')
  const parts = { drive, stateDir: dir, cacheDir, log: silentLogger, options: OPTIONS }
  const vfs = await Vfs.open(parts)
  await vfs.getattr('/file')
  const { fh } = await vfs.open('/file', constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from('THAT'), 0)
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
  await vfs.close()
  await rm(join(dir, 'state.db'))

  const again = await Vfs.open(parts)
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
