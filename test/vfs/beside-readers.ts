// A file is written while somebody else has it open for reading.
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { StagingArea } from '../../src/cache/staging.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const SENT_MS = 2_000

t.test('what is written after a flush, as through a mapping, is sent', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'content')
  const vfs = await openVfs(await vfsDir(t), drive, { writeBackMs: 1 })
  t.teardown(() => vfs.close())
  await vfs.getattr('/file')
  const reader = await vfs.open('/file', constants.O_RDONLY)
  const writer = await vfs.open('/file', constants.O_RDWR)
  await vfs.files.flush(writer.fh)
  await vfs.files.write(writer.fh, Buffer.from('CON'), 0)
  await vfs.files.release(writer.fh)
  for (let ms = 0; ms < SENT_MS && drive.tree().get('file') !== 'CONtent'; ms += 10) await sleep(10)
  t.equal(drive.tree().get('file'), 'CONtent')
  await vfs.files.release(reader.fh)
})

t.test('there was no room for its first byte: it can be read, and written later', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'content')
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.getattr('/file')
  const reader = await vfs.open('/file', constants.O_RDONLY)
  const writer = await vfs.open('/file', constants.O_RDWR)
  const { create } = StagingArea.prototype
  t.teardown(() => Object.assign(StagingArea.prototype, { create }))
  StagingArea.prototype.create = async () => {
    throw Object.assign(new Error('full'), { code: 'ENOSPC' })
  }
  await t.rejects(vfs.files.write(writer.fh, Buffer.from('CON'), 0), { code: 'ENOSPC' })
  StagingArea.prototype.create = create
  t.equal(String(await vfs.files.read(reader.fh, 0, 7)), 'content')
  await vfs.files.write(writer.fh, Buffer.from('CON'), 0)
  t.equal(String(await vfs.files.read(reader.fh, 0, 7)), 'CONtent')
  for (const { fh } of [reader, writer]) await vfs.files.release(fh)
})
