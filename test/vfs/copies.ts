// Copies that are made inside the mount: until they are sent, their bytes are those of their
// source.
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { StagedFile } from '../../src/cache/staged-file.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew, writeOver } from '../fixtures/vfs.ts'

const CONTENT = 'content of a'
const OTHER = 'other content, and longer'

/** As cp(1) does it: without a byte where that is possible. */
async function copy(vfs: Vfs, from: string, to: string): Promise<void> {
  await vfs.getattr(from)
  const source = (await vfs.open(from, constants.O_RDONLY)).fh
  const target = (await vfs.create(to, 0o644, constants.O_RDWR)).fh
  const { files } = vfs
  if ((await files.clone(source, target, 2 ** 20)) === undefined)
    await files.write(target, await files.read(source, 0, 2 ** 20), 0)
  await files.flush(target)
  await files.release(target)
  await files.release(source)
}

async function append(vfs: Vfs, path: string, text: string): Promise<void> {
  const { size } = await vfs.getattr(path)
  const { fh } = await vfs.open(path, constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from(text), size)
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
}

t.test('read in the moment in which it is sent', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'a', CONTENT)
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  await copy(vfs, '/a', '/b')
  const { fh } = await vfs.open('/b', constants.O_RDONLY)
  const [isReading, isSent] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { read } = StagedFile.prototype
  let reads = 0
  t.intercept(StagedFile.prototype, 'read', {
    async value(this: StagedFile, offset: number, length: number) {
      const isFirst = reads++ === 0
      const bytes = await read.call(this, offset, length)
      if (isFirst) {
        isReading.resolve()
        await isSent.promise
      }
      return bytes
    },
  })
  const reading = vfs.files.read(fh, 0, 100)
  await isReading.promise
  await vfs.sync()
  isSent.resolve()
  t.equal((await reading).toString(), CONTENT)
  await vfs.files.release(fh)
})

/** A drive on which nothing can be read of what was replaced or removed; `a` is copied to `b`. */
async function openWithCopy(t: Test, uploadsByHash: boolean) {
  const drive = new MemoryDrive({ keepsIds: true })
  drive.features.uploadsByHash = uploadsByHash
  drive.put('main', 'a', CONTENT)
  const dir = await vfsDir(t)
  let vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  const reopen = async () => {
    await vfs.close()
    vfs = await openVfs(dir, drive)
    return vfs
  }
  await vfs.readdir('/')
  await copy(vfs, '/a', '/b')
  return { drive, vfs, reopen }
}

const WAYS = {
  'as it is': { change: async () => {}, content: CONTENT },
  'with more written to it': {
    change: (vfs: Vfs) => append(vfs, '/b', ', and more'),
    content: `${CONTENT}, and more`,
  },
}
const ENDS = {
  removed: { end: (vfs: Vfs) => vfs.unlink('/a'), left: [] },
  'written over': { end: (vfs: Vfs) => writeOver(vfs, '/a', OTHER), left: [['a', OTHER]] },
  'replaced by another file': {
    end: async (vfs: Vfs) => {
      await writeNew(vfs, '/c', OTHER)
      await vfs.rename('/c', '/a', 0)
    },
    left: [['a', OTHER]],
  },
  'replaced by the copy': { end: (vfs: Vfs) => vfs.rename('/b', '/a', 0), left: undefined },
}

/**
 * Until it was asked twice, or for a moment, nothing can be read; what can be done then is done.
 */
async function withoutReading(drive: MemoryDrive, work: () => Promise<void>): Promise<void> {
  const isAsked = Promise.withResolvers<void>()
  let reads = 0
  drive.fault = (command) => {
    if (command === 'read' && ++reads === 2) isAsked.resolve()
    return ['read', 'list'].includes(command) ? 'before' : undefined
  }
  await work()
  await Promise.race([isAsked.promise, sleep(1500)])
  drive.fault = () => undefined
}

for (const { uploadsByHash, ways, restarts } of [
  { uploadsByHash: true, ways: Object.entries(WAYS), restarts: ['', ', after a restart'] },
  {
    uploadsByHash: false,
    ways: Object.entries(WAYS).slice(0, 1),
    restarts: [', hashes are not enough'],
  },
])
  for (const [way, { change, content }] of ways)
    for (const restart of restarts)
      for (const [fate, { end, left }] of Object.entries(ENDS))
        t.test(`a copy ${way} outlives its source: ${fate}${restart}`, async (t) => {
          const { drive, vfs, reopen } = await openWithCopy(t, uploadsByHash)
          let running = vfs
          await withoutReading(drive, async () => {
            await change(vfs)
            await end(vfs)
            if (restart.includes('restart')) {
              running = await reopen()
              // Removals come first, before anybody has looked into the copy.
              await sleep(200)
            }
            running.sync().catch(() => {})
          })
          await running.sync()
          const copied = left === undefined ? [['a', content]] : [...left, ['b', content]]
          t.same([...drive.tree()].sort(), copied)
        })

for (const isRestarted of [false, true])
  t.test(`no byte is fetched${isRestarted ? ', after a restart' : ''}`, async (t) => {
    const { drive, vfs, reopen } = await openWithCopy(t, true)
    const upload = drive.upload.bind(drive)
    drive.upload = async (dir, name, source, options) =>
      (await drive.uploadByHash(dir, name, source)) ?? upload(dir, name, source, options)
    const asked: string[] = []
    drive.fault = (command) => {
      asked.push(command)
      // So that the removal could go first.
      return command === 'uploadByHash' && !asked.slice(0, -1).includes(command)
        ? 'before'
        : undefined
    }
    await vfs.unlink('/a')
    const running = isRestarted ? await reopen() : vfs
    // Nobody has looked into the copy yet when its source is to be removed.
    if (isRestarted) await sleep(200)
    await running.sync()
    t.same([...drive.tree()], [['b', CONTENT]])
    t.notOk(asked.includes('read'))
  })

t.test('a copy that is refused does not keep its source for ever', async (t) => {
  const { drive, vfs } = await openWithCopy(t, true)
  const upload = drive.upload.bind(drive)
  drive.upload = async () => {
    throw new WeiyunError('QUOTA', 'the drive is full')
  }
  await vfs.unlink('/a')
  await t.rejects(vfs.sync(), /full/)
  const endMs = performance.now() + 5_000
  while (drive.tree().has('a') && performance.now() < endMs) await sleep(10)
  t.notOk(drive.tree().has('a'))
  drive.upload = upload
  await vfs.sync()
  t.same([...drive.tree()], [['b', CONTENT]])
})

t.test('bytes are copied where the hashes of the service do not tell them', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'a', CONTENT)
  const vfs = await openVfs(await vfsDir(t), drive, { localOnly: ['*.swp'] })
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  await vfs.getattr('/a')
  const source = (await vfs.open('/a', constants.O_RDONLY)).fh
  const cloneTo = async (path: string): Promise<number | undefined> => {
    const { fh } = await vfs.create(path, 0o644, constants.O_RDWR)
    const cloned = await vfs.files.clone(source, fh, 100)
    await vfs.files.release(fh)
    return cloned
  }
  t.equal(await cloneTo('/b'), CONTENT.length)
  t.equal(await cloneTo('/b.swp'), undefined, 'what stays here')
  drive.put('main', 'a', OTHER)
  await vfs.refresh('/')
  t.equal(await cloneTo('/c'), undefined, 'from an old version')
})
