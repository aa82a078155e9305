// A service that takes requests and says nothing. One system call is several calls of ours, and
// each of them may wait: together they are to wait about as long as one.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { Vfs } from '../../src/vfs/vfs.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'

const TIMEOUT_MS = 3_000
const OPTIONS = {
  dirTtlMs: 1,
  writeBackMs: 60_000,
  fsync: 'local',
  root: '/',
  readOnly: false,
  localOnly: [],
  cacheSize: 2 ** 30,
  timeoutMs: TIMEOUT_MS,
  uid: 0,
  gid: 0,
  umask: 0o022,
} as const

/** Whether `work` ends, in whatever way, before a wait of the whole timeout would. */
async function isShort(work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(
    () => true,
    () => true,
  )
  return Promise.race([ended, sleep(TIMEOUT_MS, false)])
}

t.test('who has waited in vain does not wait as long again', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'wm-silence-'))
  const drive = new MemoryDrive()
  drive.mkdir('main', 'dir')
  drive.put(drive.dirsByPath().get('dir/') ?? '', 'file', 'never read')
  const parts = { stateDir: dir, cacheDir: join(dir, 'cache'), log: silentLogger, options: OPTIONS }
  const vfs = await Vfs.open({ drive, ...parts })
  await vfs.getattr('/dir/file')
  const { fh } = await vfs.open('/dir/file', 0)
  const silence = Promise.withResolvers<never>()
  silence.promise.catch(() => {})
  t.teardown(async () => {
    silence.reject(new Error('the end'))
    await vfs.close()
    await rm(dir, { recursive: true })
  })
  drive.list = () => silence.promise
  drive.read = async function* () {
    yield await silence.promise
  }

  t.ok(await vfs.getattr('/dir'), 'a lookup of one directory')
  const inside = vfs.getattr('/dir/file')
  t.ok(await isShort(inside), 'then of what is in it')
  t.ok(await inside, 'both are shown as they are known')

  await t.rejects(vfs.files.read(fh, 0, 10), { code: 'ETIMEDOUT' })
  const again = vfs.files.read(fh, 0, 10)
  t.ok(await isShort(again), 'the kernel asks once more')
  await t.rejects(again, { code: 'ETIMEDOUT' })
})
