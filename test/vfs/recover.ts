// Staged files and a state file that do not fit each other, as a power cut leaves them: the state
// is older than the bytes.
import { cpSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { type FileEntry, WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew, writeOver } from '../fixtures/vfs.ts'

const stagingOf = (dir: string): string => join(dir, 'cache/staging')

async function stagedIn(dir: string): Promise<string[]> {
  return (await readdir(stagingOf(dir))).filter((name) => name !== 'recovered')
}

/**
 * The state of a moment in which the file was about to be sent, with the staged files of `later`,
 * when it had been written anew.
 */
async function reverted(
  t: Test,
  drive: MemoryDrive,
  first: (vfs: Vfs) => Promise<void>,
  later: (vfs: Vfs) => Promise<void>,
): Promise<Vfs> {
  const dir = await vfsDir(t)
  const then = join(await vfsDir(t), 'then')
  const vfs = await openVfs(dir, drive)
  await first(vfs)
  const begun = Promise.withResolvers<void>()
  drive.fault = (command) => {
    if (command !== 'upload') return undefined
    cpSync(dir, then, { recursive: true })
    begun.resolve()
    drive.fault = () => 'before'
    return 'before'
  }
  vfs.sync().catch(() => {})
  await begun.promise
  await later(vfs)
  for (const id of await stagedIn(then)) rmSync(join(stagingOf(then), id))
  for (const id of await stagedIn(dir)) cpSync(join(stagingOf(dir), id), join(stagingOf(then), id))
  await vfs.close()
  drive.fault = () => undefined
  const next = await openVfs(then, drive)
  t.teardown(() => next.close())
  return next
}

t.test('bytes of a later life of a file whose own are lost', async (t) => {
  const drive = new MemoryDrive()
  const vfs = await reverted(
    t,
    drive,
    async (vfs) => {
      await writeNew(vfs, '/file', 'zero')
      await vfs.sync()
      await writeOver(vfs, '/file', 'once')
    },
    async (vfs) => {
      await vfs.unlink('/file')
      await writeNew(vfs, '/file', 'twice')
    },
  )
  await vfs.sync()
  t.same([...drive.tree()], [['file', 'twice']])
})

t.test('bytes that were never to replace what has their name by now', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'file', 'theirs')
  const vfs = await reverted(
    t,
    drive,
    async (vfs) => {
      await vfs.readdir('/')
      await writeNew(vfs, '/other', 'other')
    },
    async (vfs) => {
      await vfs.unlink('/file')
      await writeNew(vfs, '/file', 'ours')
    },
  )
  await vfs.unlink('/other')
  await vfs.sync()
  t.same([...drive.tree().values()].sort(), ['ours', 'theirs'])
  t.equal(drive.tree().get('file'), 'theirs')
})

t.test(
  'an empty file whose staged file is gone, and of which the service has got more',
  async (t) => {
    const drive = new MemoryDrive()
    const vfs = await reverted(
      t,
      drive,
      (vfs) => writeNew(vfs, '/file', ''),
      async (vfs) => {
        await vfs.unlink('/file')
        drive.put('main', 'file', 'grown')
      },
    )
    await vfs.sync()
    t.same([...drive.tree()], [['file', 'grown']])
  },
)

async function writeOverOld(drive: MemoryDrive, vfs: Vfs): Promise<void> {
  drive.put('main', 'file', 'old')
  await vfs.refresh('/')
  await writeOver(vfs, '/file', 'promised')
}

/**
 * As a power cut leaves it in the middle of a replacement: what the service did is not on record,
 * the staged file that it made needless is gone. `meanwhile`: what it did since the upload began.
 */
async function cutOff(
  t: Test,
  drive: MemoryDrive,
  meanwhile: (upload: () => Promise<FileEntry>) => Promise<unknown>,
  prepare = writeOverOld,
): Promise<string> {
  const dir = await vfsDir(t)
  const then = join(await vfsDir(t), 'then')
  const upload = drive.upload.bind(drive)
  const vfs = await openVfs(dir, drive)
  await prepare(drive, vfs)
  const cut = Promise.withResolvers<void>()
  drive.upload = async (...args) => {
    drive.upload = upload
    cpSync(dir, then, { recursive: true })
    await meanwhile(() => upload(...args))
    drive.fault = () => 'before'
    cut.resolve()
    throw new WeiyunError('SERVER', 'the power is cut')
  }
  vfs.sync().catch(() => {})
  await cut.promise
  await vfs.close()
  drive.fault = () => undefined
  for (const id of await stagedIn(then)) rmSync(join(stagingOf(then), id))
  return then
}

/** The new version is whole, the old one is gone, and its name is the new one's. */
async function replaced(drive: MemoryDrive, upload: () => Promise<FileEntry>): Promise<void> {
  const { name } = await upload()
  drive.drop('main', 'file')
  drive.shift('main', name, 'main', 'file')
}

/** What both sides have when all has been looked at. */
async function outcome(t: Test, drive: MemoryDrive, vfs: Vfs): Promise<[string, string][]> {
  await vfs.sync()
  await vfs.refresh('/')
  await vfs.sync()
  const there = [...drive.tree()].sort()
  const seen = (await vfs.readdir('/')).map(({ name }) => name).sort()
  t.same(
    seen,
    there.flatMap(([path]) => (/.\/./u.test(path) ? [] : [path.replace('/', '')])).sort(),
    'both sides see the same',
  )
  return there
}

/** The first look at what an upload has left fails, and before the second a user looks. */
function seeBeforeSettled(drive: MemoryDrive, vfs: Vfs): { seen: () => [string, number][] } {
  const list = drive.list.bind(drive)
  let seen: [string, number][] = []
  const see = async (): Promise<void> => {
    await vfs.refresh('/')
    seen = (await vfs.readdir('/')).map(({ name, stat }) => [name, stat.size])
  }
  drive.list = async (dir, options) => {
    if (options?.priority !== 'background') return list(dir, options)
    drive.list = list
    setTimeout(see, 20) // when the step has ended
    throw new WeiyunError('SERVER', 'not now')
  }
  return { seen: () => seen }
}

t.test('replaced on the service, and the staged file is gone: nothing is removed', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, (upload) => replaced(drive, upload))
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  t.same(await outcome(t, drive, vfs), [['file', 'promised']])
})

t.test('the same, after a start at which the service could not be asked', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, (upload) => replaced(drive, upload))
  drive.fault = () => 'before'
  await (await openVfs(dir, drive)).close()
  drive.fault = () => undefined
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  t.same(await outcome(t, drive, vfs), [['file', 'promised']])
})

t.test('the same, and a listing comes first', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, (upload) => replaced(drive, upload))
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  const { seen } = seeBeforeSettled(drive, vfs)
  t.same(await outcome(t, drive, vfs), [['file', 'promised']])
  t.same(seen(), [['file', 3]], 'the old version')
})

t.test('the same, when another device has put its own in the place', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, async (upload) => {
    await upload()
    drive.drop('main', 'file')
    drive.put('main', 'file', 'theirs')
  })
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  const { seen } = seeBeforeSettled(drive, vfs)
  const contents = (await outcome(t, drive, vfs)).map(([, content]) => content)
  t.same(contents.sort(), ['promised', 'theirs'])
  t.same(seen(), [['file', 3]], 'the old version')
})

t.test('the same, and written anew before the service could be asked', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, (upload) => replaced(drive, upload))
  drive.fault = () => 'before'
  const first = await openVfs(dir, drive)
  await writeOver(first, '/file', 'newer!!!')
  await first.close()
  drive.fault = () => undefined
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  t.equal(new Map(await outcome(t, drive, vfs)).get('file'), 'newer!!!')
})

t.test('removed there, and the staged file is gone: so is the file', async (t) => {
  const drive = new MemoryDrive()
  const dir = await cutOff(t, drive, async () => drive.drop('main', 'file'))
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  const { seen } = seeBeforeSettled(drive, vfs)
  t.same(await outcome(t, drive, vfs), [])
  t.same(seen(), [['file', 3]], 'the old version')
})

for (const [words, isSent] of [
  ['is safe', true],
  ['never got there', false],
] as const) {
  t.test(`the directory of the old version is gone, and the new one ${words}`, async (t) => {
    const drive = new MemoryDrive()
    const act = async (upload: () => Promise<FileEntry>): Promise<void> => {
      if (isSent) await upload()
      drive.drop('main', 'one')
    }
    const dir = await cutOff(t, drive, act, async (_, vfs) => {
      for (const name of ['one', 'two']) drive.mkdir('main', name)
      drive.put(drive.dirsByPath().get('one/') ?? '', 'file', 'old')
      await vfs.readdir('/two')
      await writeOver(vfs, '/one/file', 'promised')
      await vfs.rename('/one/file', '/two/file', 0)
    })
    const vfs = await openVfs(dir, drive)
    t.teardown(() => vfs.close())
    const { seen } = seeBeforeSettled(drive, vfs)
    await outcome(t, drive, vfs)
    t.same(
      seen().map(([name]) => name),
      ['two'],
    )
    t.equal(drive.tree().get('two/file'), isSent ? 'promised' : undefined)
    t.same(
      (await vfs.readdir('/two')).map(({ name }) => name),
      isSent ? ['file'] : [],
    )
  })
}
