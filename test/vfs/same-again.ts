// A file that is removed and written anew with the same bytes: what the service has of the old one,
// or of an upload that was given up, is no copy of the new one while it may still be removed.
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew } from '../fixtures/vfs.ts'

const SAME = 'the same'

async function openEmpty(t: Test): Promise<{ drive: MemoryDrive; vfs: Vfs }> {
  const drive = new MemoryDrive()
  const vfs = await openVfs(await vfsDir(t), drive, { fsync: 'remote' })
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  return { drive, vfs }
}

/** Holds the reply of the next upload back until `meanwhile` is done. */
function holdUpload(drive: MemoryDrive, meanwhile: () => Promise<void>): void {
  const upload = drive.upload.bind(drive)
  drive.upload = async (dir, name, source, options) => {
    drive.upload = upload
    const entry = await upload(dir, name, source, options)
    await meanwhile()
    return entry
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(10)
}

t.test('while the old one is being removed', async (t) => {
  const { drive, vfs } = await openEmpty(t)
  await writeNew(vfs, '/a', SAME)
  await vfs.sync()
  const isAsked = Promise.withResolvers<void>()
  const isSent = Promise.withResolvers<void>()
  const isGone = Promise.withResolvers<void>()
  const remove = drive.remove.bind(drive)
  drive.remove = async (items) => {
    isAsked.resolve()
    await Promise.race([isSent.promise, sleep(500)])
    return remove(items).finally(isGone.resolve)
  }
  holdUpload(drive, async () => {
    isSent.resolve()
    await isGone.promise
    await sleep(50)
  })
  await vfs.unlink('/a')
  const removed = vfs.sync()
  await isAsked.promise
  await writeNew(vfs, '/a', SAME)
  let uploads = 0
  drive.fault = (command) => {
    if (command === 'upload') uploads++
    return undefined
  }
  await Promise.all([removed, vfs.sync()])
  t.same([...drive.tree()], [['a', SAME]])
  t.equal(uploads, 1)
})

for (const fault of [undefined, 'after'] as const)
  t.test(`the old one goes while it is sent${fault ? ', unheard' : ''}`, async (t) => {
    const { drive, vfs } = await openEmpty(t)
    await writeNew(vfs, '/a', SAME)
    await vfs.sync()
    await vfs.unlink('/a')
    await writeNew(vfs, '/a', SAME)
    let removals = 0
    drive.fault = (command) => (command === 'remove' && removals++ === 0 ? fault : undefined)
    // Under another name it does not keep the old one from going.
    holdUpload(drive, async () => {
      await vfs.rename('/a', '/b', 0)
      await until(() => !drive.tree().has('a'))
      await sleep(50)
      await vfs.rename('/b', '/a', 0)
    })
    await vfs.sync()
    t.same([...drive.tree()], [['a', SAME]])
  })

/** /a was sent under another name, and refused all the same, as its reply told. */
async function openWithDoubt(t: Test): Promise<{ drive: MemoryDrive; vfs: Vfs; sent: string[] }> {
  const { drive, vfs } = await openEmpty(t)
  drive.put('main', 'a', 'theirs')
  const sent: string[] = []
  const upload = drive.upload.bind(drive)
  drive.upload = async (...call) => {
    const entry = await upload(...call)
    if (sent.push(entry.name) === 1) throw new WeiyunError('FORBIDDEN', 'not done, it says')
    return entry
  }
  await writeNew(vfs, '/a', SAME)
  await vfs.drain({ timeoutMs: 10_000, onProgress: () => {} })
  return { drive, vfs, sent }
}

/** Sends it at once, and nothing else. */
async function sendNew(vfs: Vfs, path: string): Promise<void> {
  const { fh } = await vfs.create(path, 0o644, constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from(SAME), 0)
  await vfs.files.fsync(fh)
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
}

/** The rest is to be sent while the service has it already and has not said so. */
async function sendDuringSync(drive: MemoryDrive, vfs: Vfs, path: string): Promise<void> {
  let synced: Promise<void> | undefined
  holdUpload(drive, async () => {
    synced = vfs.sync()
    await sleep(800)
  })
  await sendNew(vfs, path)
  await synced
}

t.test('an upload that was given up does not take what another one makes', async (t) => {
  const { drive, vfs, sent } = await openWithDoubt(t)
  await vfs.unlink('/a')
  await sendDuringSync(drive, vfs, '/a')
  t.same([...drive.tree().values()].sort(), [SAME, 'theirs'])
  t.equal(sent.length, 2)
})

t.test('nor does one that goes on elsewhere', async (t) => {
  const { drive, vfs, sent } = await openWithDoubt(t)
  await vfs.rename('/a', '/b', 0)
  await sendDuringSync(drive, vfs, '/a')
  t.same([...drive.tree().values()].sort(), [SAME, SAME, 'theirs'])
  t.equal(sent.length, 2)
})

t.test('and none begins while that one looks what it has made', async (t) => {
  const { drive, vfs, sent } = await openWithDoubt(t)
  await vfs.rename('/a', '/b', 0)
  holdUpload(drive, () => sleep(800))
  const synced = vfs.sync()
  await sleep(100)
  await sendNew(vfs, '/a')
  await synced
  t.same([...drive.tree().values()].sort(), [SAME, SAME, 'theirs'])
  t.equal(sent.length, 2)
})
