// A service that takes requests and says nothing. One system call is several calls of ours, and
// each of them may wait: together they are to wait about as long as one.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const TIMEOUT_MS = 3_000

/** Whether `work` ends, in whatever way, before a wait of the whole timeout would. */
async function isShort(work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(
    () => true,
    () => true,
  )
  return Promise.race([ended, sleep(TIMEOUT_MS, false)])
}

t.test('who has waited in vain does not wait as long again', async (t) => {
  const dir = await vfsDir(t)
  const drive = new MemoryDrive()
  drive.mkdir('main', 'dir')
  drive.put(drive.dirsByPath().get('dir/') ?? '', 'file', 'never read')
  const vfs = await openVfs(dir, drive, { dirTtlMs: 1, timeoutMs: TIMEOUT_MS })
  await vfs.getattr('/dir/file')
  const { fh } = await vfs.open('/dir/file', 0)
  const silence = Promise.withResolvers<never>()
  silence.promise.catch(() => {})
  t.teardown(async () => {
    silence.reject(new Error('the end'))
    await vfs.close()
  })
  drive.list = () => silence.promise
  drive.read = async function* () {
    yield await silence.promise
  }
  // Until what was listed above is out of date.
  await sleep(10)

  t.ok(await vfs.getattr('/dir'), 'a lookup of one directory')
  const inside = vfs.getattr('/dir/file')
  t.ok(await isShort(inside), 'then of what is in it')
  t.ok(await inside, 'both are shown as they are known')

  await t.rejects(vfs.files.read(fh, 0, 10), { code: 'ETIMEDOUT' })
  const again = vfs.files.read(fh, 0, 10)
  t.ok(await isShort(again), 'the kernel asks once more')
  await t.rejects(again, { code: 'ETIMEDOUT' })
})
