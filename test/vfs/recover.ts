// Staged files and a state file that do not fit each other, as a power cut leaves them: the state
// is older than the bytes.
import { cpSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
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
