// What write-back does with a file that is renamed while it is at work on it.
import { constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/log.ts'
import { Vfs } from '../../src/vfs/vfs.ts'
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

async function write(vfs: Vfs, path: string, text: string): Promise<void> {
  const { fh } = await vfs.create(path, 0o644, constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from(text), 0)
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
}

async function openDrive(t: Test): Promise<{ drive: MemoryDrive; vfs: Vfs }> {
  const dir = await mkdtemp(join(tmpdir(), 'wm-renamed-'))
  const drive = new MemoryDrive()
  for (const name of ['one', 'two', 'three']) drive.mkdir('main', name)
  const parts = { stateDir: dir, cacheDir: join(dir, 'cache'), log: silentLogger, options: OPTIONS }
  const vfs = await Vfs.open({ drive, ...parts })
  t.teardown(async () => {
    await vfs.close()
    await rm(dir, { recursive: true })
  })
  for (const name of ['one', 'two', 'three']) await vfs.readdir(`/${name}`)
  return { drive, vfs }
}

function files(drive: MemoryDrive): [string, string][] {
  return [...drive.tree()].flatMap(([path, text]) =>
    text === undefined || path.endsWith('/') ? [] : [[path, text] as [string, string]],
  )
}

t.test('a name that another device took is yielded only by who still has it', async (t) => {
  const { drive, vfs } = await openDrive(t)
  await write(vfs, '/one/file', 'ours')

  // The first attempt fails, and another device's file is seen. The second looks for what the first
  // has left, and meanwhile the user renames his own.
  const one = drive.dirsByPath().get('one/') ?? ''
  let seen: Promise<unknown> | undefined
  const see = async (): Promise<void> => {
    await sleep(20) // until the first has ended
    drive.put(one, 'file', 'theirs')
    await vfs.refresh('/one')
  }
  drive.fault = (command) => {
    if (command !== 'upload' || seen !== undefined) return undefined
    seen = see()
    return 'before'
  }
  let renaming: Promise<void> | undefined
  const list = drive.list.bind(drive)
  drive.list = async (dir, options) => {
    if (seen !== undefined && options?.priority === 'background') {
      renaming ??= vfs.rename('/one/file', '/two/file', 0)
      await renaming
    }
    return list(dir, options)
  }
  await vfs.sync()
  t.ok(renaming, 'it was renamed in the middle')
  t.same(files(drive).sort(), [
    ['one/file', 'theirs'],
    ['two/file', 'ours'],
  ])
})

const AFTERWARDS: Record<string, [act: (vfs: Vfs) => Promise<void>, left: string[]]> = {
  removed: [(vfs) => vfs.unlink('/two/file'), []],
  'moved back': [(vfs) => vfs.rename('/two/file', '/one/file', 0), ['one/file']],
  'moved on': [(vfs) => vfs.rename('/two/file', '/three/name', 0), ['three/name']],
}

for (const [words, [act, left]] of Object.entries(AFTERWARDS)) {
  for (const looks of [false, true]) {
    t.test(
      `${words} before anybody heard that it was moved${looks ? ', and seen' : ''}`,
      async (t) => {
        const { drive, vfs } = await openDrive(t)
        await write(vfs, '/one/file', 'ours')
        await vfs.sync()
        let acting: Promise<unknown> | undefined
        const change = async (): Promise<void> => {
          await sleep(5) // until the reply is lost
          await act(vfs)
          if (looks) for (const name of ['one', 'two', 'three']) await vfs.refresh(`/${name}`)
        }
        drive.fault = (command) => {
          if (command !== 'move' || acting !== undefined) return undefined
          acting = change()
          return 'after'
        }
        await vfs.rename('/one/file', '/two/file', 0)
        await vfs.sync()
        await acting
        await vfs.sync()
        t.same(
          files(drive).map(([path]) => path),
          left,
        )
        for (const path of left) t.ok(await vfs.getattr(`/${path}`), 'and seen there')
        const seen = await Promise.all(
          ['one', 'two', 'three'].map(async (name) =>
            (await vfs.readdir(`/${name}`)).map((item) => `${name}/${item.name}`),
          ),
        )
        t.same(seen.flat(), left)
      },
    )
  }
}
