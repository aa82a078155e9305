// A file that somebody has open for writing, and has not written to yet, when another device takes
// it away: what is written then is kept or refused, and never dropped without a word.
import { constants } from 'node:fs'
import t, { type Test } from 'tap'
import { StagingArea } from '../../src/cache/staging.ts'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const TAKEN: Record<string, [take: (drive: MemoryDrive) => void, left: [string, string][]]> = {
  replaced: [(drive) => drive.put('main', 'file', 'theirs'), [['file', 'theirs']]],
  removed: [(drive) => drive.drop('main', 'file'), []],
}

async function open(t: Test): Promise<{ drive: MemoryDrive; vfs: Vfs }> {
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'old')
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.getattr('/file')
  return { drive, vfs }
}

/** Another device acts, and the mount hears of it, when the first staged file is to be made. */
function takeWhileStaging(t: Test, take: () => Promise<void>): void {
  const { create } = StagingArea.prototype
  const restore = (): void => {
    StagingArea.prototype.create = create
  }
  t.teardown(restore)
  StagingArea.prototype.create = async function (options) {
    restore()
    const staged = await this.create(options)
    await take()
    return staged
  }
}

for (const [how, [take, left]] of Object.entries(TAKEN)) {
  const takeAndHear = async (drive: MemoryDrive, vfs: Vfs): Promise<void> => {
    take(drive)
    await vfs.refresh('/')
  }

  for (const isLate of [false, true]) {
    for (const [words, write] of Object.entries({
      written: (vfs: Vfs, fh: number) => vfs.files.write(fh, Buffer.from('ours'), 0),
      emptied: (vfs: Vfs, fh: number) => vfs.files.truncate(fh, 0),
    })) {
      t.test(`${how}, then ${words}${isLate ? ', both at once' : ''}`, async (t) => {
        const { drive, vfs } = await open(t)
        const { fh } = await vfs.open('/file', constants.O_RDWR)
        if (isLate) takeWhileStaging(t, () => takeAndHear(drive, vfs))
        else await takeAndHear(drive, vfs)
        await t.rejects(write(vfs, fh), { code: 'ESTALE' })
        await t.rejects(vfs.files.flush(fh), { code: 'ESTALE' })
        await vfs.files.release(fh)
        await vfs.sync()
        t.same([...drive.tree()], left)
      })
    }
  }

  t.test(`${how}: who reads it is not stopped by who writes to it`, async (t) => {
    const { drive, vfs } = await open(t)
    const reader = await vfs.open('/file', constants.O_RDONLY)
    const writer = await vfs.open('/file', constants.O_RDWR)
    await takeAndHear(drive, vfs)
    await t.rejects(vfs.files.write(writer.fh, Buffer.from('ours'), 0), { code: 'ESTALE' })
    t.equal(String(await vfs.files.read(reader.fh, 0, 10)), 'old')
    await vfs.files.release(writer.fh)
    await vfs.files.release(reader.fh)
  })

  t.test(`${how} while it is cut, by its path`, async (t) => {
    const { drive, vfs } = await open(t)
    takeWhileStaging(t, () => takeAndHear(drive, vfs))
    await t.rejects(vfs.truncate('/file', 1), { code: 'ESTALE' })
    await vfs.sync()
    t.same([...drive.tree()], left)
  })

  t.test(`${how} when it was written already`, async (t) => {
    const { drive, vfs } = await open(t)
    const { fh } = await vfs.open('/file', constants.O_RDWR)
    await vfs.files.write(fh, Buffer.from('ours'), 0)
    await takeAndHear(drive, vfs)
    await vfs.files.write(fh, Buffer.from('!'), 4)
    await vfs.files.flush(fh)
    await vfs.files.release(fh)
    await vfs.sync()
    const contents = [...drive.tree().values()].sort()
    t.same(contents, ['ours!', ...left.map(([, content]) => content)])
  })
}
