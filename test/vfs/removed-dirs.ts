// A directory is removed here while something of ours is still on its way into it: what has moved
// on meanwhile must not go with it.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew } from '../fixtures/vfs.ts'

const DIRS = ['one', 'two', 'three']
/** Longer than a batch of removals is gathered, and than it takes. */
const REMOVAL_MS = 300
const STUCK_MS = 5_000

interface Rig {
  drive: MemoryDrive
  vfs: Vfs
  /** Key of a directory. */
  key: (path: string) => string
}

async function open(t: Test, drive = new MemoryDrive()): Promise<Rig> {
  for (const name of DIRS) drive.mkdir('main', name)
  const key = (path: string): string => drive.dirsByPath().get(`${path}/`) ?? ''
  drive.put(key('one'), 'file', 'precious')
  const vfs = await openVfs(await vfsDir(t), drive)
  // A pause of write-back does not keep a process alive, which a mount does.
  const alive = setInterval(() => {}, 1000)
  t.teardown(async () => {
    clearInterval(alive)
    await vfs.close()
  })
  for (const name of DIRS) await vfs.readdir(`/${name}`)
  return { drive, vfs, key }
}

type Command = 'move' | 'upload' | 'makeDir' | 'uploadByHash'

/** The first such command has its effect; what it answers comes only when told to. */
function hold(drive: MemoryDrive, command: Command): { done: Promise<void>; reply: () => void } {
  const [done, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const perform = drive[command].bind(drive) as (...args: unknown[]) => Promise<unknown>
  let count = 0
  const held = async (...args: unknown[]): Promise<unknown> => {
    const isFirst = count++ === 0
    const result = await perform(...args)
    if (!isFirst) return result
    done.resolve()
    await told.promise
    return result
  }
  Object.assign(drive, { [command]: held })
  return { done: done.promise, reply: told.resolve }
}

async function synced(vfs: Vfs): Promise<void> {
  const rested = new AbortController()
  const stuck = sleep(STUCK_MS, undefined, rested).then(() => {
    throw new Error(`does not come to rest: ${JSON.stringify(vfs.status().pending)}`)
  })
  stuck.catch(() => {})
  try {
    await Promise.race([vfs.sync(), stuck])
  } finally {
    rested.abort()
  }
}

async function shown(vfs: Vfs, path: string): Promise<string[]> {
  return (await vfs.readdir(path)).map(({ name }) => name)
}

/** What the service has in /three. */
function inThree(drive: MemoryDrive): [string, string][] {
  return [...drive.tree()].filter(([path]) => /^three\/./u.test(path))
}

interface Way {
  command: Command
  /** Begins to bring something to /two. */
  begin: (vfs: Vfs) => Promise<void>
  name: string
  /** What the service has in /three in the end. */
  left: (name: string) => [string, string][]
  /** The same, if another device has removed /two with what it got. */
  leftByOther?: []
  nativeRename?: boolean
}

const file = (name: string): [string, string][] => [[`three/${name}`, 'precious']]
const WAYS: Record<string, Way> = {
  'a file that is moved': {
    command: 'move',
    begin: (vfs) => vfs.rename('/one/file', '/two/file', 0),
    name: 'file',
    left: file,
    leftByOther: [],
  },
  'a file that is moved by its hash': {
    command: 'uploadByHash',
    begin: (vfs) => vfs.rename('/one/file', '/two/file', 0),
    name: 'file',
    left: file,
    nativeRename: false,
  },
  'a file that is sent': {
    command: 'upload',
    begin: (vfs) => writeNew(vfs, '/two/big', 'precious'),
    name: 'big',
    left: file,
  },
  'a directory that is made': {
    command: 'makeDir',
    begin: async (vfs) => {
      await vfs.mkdir('/two/dir', 0o755)
      await writeNew(vfs, '/two/dir/file', 'precious')
    },
    name: 'dir',
    left: (name) => [[`three/${name}/`, ''], ...file(`${name}/file`)],
  },
}

for (const [what, { command, begin, name, left, leftByOther, ...rest }] of Object.entries(WAYS)) {
  const { nativeRename = true } = rest
  for (const next of [name, 'renamed']) {
    t.test(`${what} into it and on to ${next} elsewhere`, async (t) => {
      const { drive, vfs } = await open(t, new MemoryDrive({ nativeRename }))
      const { done, reply } = hold(drive, command)
      await begin(vfs)
      const sent = vfs.sync().catch(() => {})
      await done
      await vfs.rename(`/two/${name}`, `/three/${next}`, 0)
      await vfs.rmdir('/two')
      await sleep(REMOVAL_MS)
      t.ok(drive.dirsByPath().has('two/'), 'it waits for what is on its way there')
      reply()
      await synced(vfs)
      await sent
      t.same(inThree(drive), left(next))
      t.notOk(drive.tree().has('two/'), 'and goes in the end')
      await vfs.refresh('/three')
      t.same(await shown(vfs, '/three'), [next])
    })
  }

  t.test(`${what} into it and on, and another device removes it too`, async (t) => {
    const { drive, vfs } = await open(t, new MemoryDrive({ nativeRename }))
    const { done, reply } = hold(drive, command)
    await begin(vfs)
    const sent = vfs.sync().catch(() => {})
    await done
    await vfs.rename(`/two/${name}`, `/three/${name}`, 0)
    await vfs.rmdir('/two')
    drive.drop('main', 'two')
    await vfs.refresh('/')
    reply()
    await synced(vfs)
    await sent
    t.same(inThree(drive), leftByOther ?? left(name))
    t.same(await shown(vfs, '/three'), leftByOther ?? [name])
  })
}

t.test('another device removes it while a file is sent there: ours is sent anew', async (t) => {
  const { drive, vfs } = await open(t)
  const { done, reply } = hold(drive, 'upload')
  await writeNew(vfs, '/two/big', 'precious')
  const sent = vfs.sync().catch(() => {})
  await done
  drive.drop('main', 'two')
  await vfs.refresh('/')
  reply()
  await synced(vfs)
  await sent
  t.equal(drive.tree().get('two/big'), 'precious')
})

t.test('a directory that goes under an upload stops that one alone', async (t) => {
  const { drive, vfs, key } = await open(t)
  const two = key('two')
  let uploads = 0
  drive.fault = (command) => (command === 'upload' && uploads++ === 0 ? 'before' : undefined)
  // The second attempt begins with a look at what the first has left.
  const list = drive.list.bind(drive)
  drive.list = async (dir, options) => {
    if (uploads > 0 && dir.key === two && drive.dirsByPath().has('two/')) {
      drive.drop('main', 'two')
      await vfs.refresh('/')
    }
    return list(dir, options)
  }
  const { done, reply } = hold(drive, 'makeDir')
  await writeNew(vfs, '/two/big', 'precious')
  const sent = vfs.sync()
  await done
  await sleep(REMOVAL_MS)
  t.equal(vfs.status().session, 'ok', 'the service was not found unreachable')
  reply()
  await synced(vfs)
  await sent
  t.equal(drive.tree().get('two/big'), 'precious')
})

t.test('another device moves a file into it that write-back is at work on', async (t) => {
  const { drive, vfs, key } = await open(t)
  const [asked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const move = drive.move.bind(drive)
  drive.move = async (...args) => {
    asked.resolve()
    await go.promise
    return move(...args)
  }
  await vfs.rename('/one/file', '/three/file', 0)
  const sent = vfs.sync().catch(() => {})
  await asked.promise
  drive.shift(key('one'), 'file', key('two'), 'file')
  await vfs.rmdir('/two')
  await sleep(REMOVAL_MS)
  go.resolve()
  await synced(vfs)
  await sent
  t.equal(drive.tree().get('two/file'), 'precious')
  t.same(await shown(vfs, '/two'), ['file'])
})
