// What write-back does with a file that is renamed while it is at work on it.
import { constants, cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Vfs } from '../../src/vfs/vfs.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir, writeNew, writeOver } from '../fixtures/vfs.ts'

async function openDrive(t: Test): Promise<{ drive: MemoryDrive; vfs: Vfs; dir: string }> {
  const dir = await vfsDir(t)
  const drive = new MemoryDrive()
  for (const name of ['one', 'two', 'three']) drive.mkdir('main', name)
  const vfs = await openVfs(dir, drive)
  t.teardown(() => vfs.close())
  for (const name of ['one', 'two', 'three']) await vfs.readdir(`/${name}`)
  return { drive, vfs, dir }
}

/** The same, and the service has /one/file. */
async function openWithFile(t: Test): ReturnType<typeof openDrive> {
  const opened = await openDrive(t)
  await writeNew(opened.vfs, '/one/file', 'ours')
  await opened.vfs.sync()
  return opened
}

function files(drive: MemoryDrive): [string, string][] {
  return [...drive.tree()].flatMap(([path, text]) =>
    text === undefined || path.endsWith('/') ? [] : [[path, text] as [string, string]],
  )
}

t.test('a name that another device took is yielded only by who still has it', async (t) => {
  const { drive, vfs } = await openDrive(t)
  await writeNew(vfs, '/one/file', 'ours')

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
        const { drive, vfs } = await openWithFile(t)
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

for (const [words, [act, left]] of Object.entries(AFTERWARDS)) {
  t.test(`${words} after a crash in the middle of the move`, async (t) => {
    const { drive, vfs, dir } = await openWithFile(t)
    const then = join(await vfsDir(t), 'then')
    let moves = 0
    drive.fault = (command) => {
      if (command !== 'move' || moves++ > 0) return undefined
      cpSync(dir, then, { recursive: true })
      return 'after'
    }
    await vfs.rename('/one/file', '/two/file', 0)
    await vfs.sync()

    const next = await openVfs(then, drive)
    t.teardown(() => next.close())
    await act(next)
    await next.sync()
    t.same(
      files(drive).map(([path]) => path),
      left,
    )
  })
}

t.test('moved on while one looks for it: it is looked for again', async (t) => {
  const { drive, vfs } = await openWithFile(t)
  let moves = 0
  drive.fault = (command) => (command === 'move' && moves++ === 0 ? 'after' : undefined)
  let looks = 0
  const list = drive.list.bind(drive)
  drive.list = async (dir, options) => {
    const listing = await list(dir, options)
    if (moves > 0 && looks++ === 0) await vfs.rename('/two/file', '/one/again', 0)
    return listing
  }
  await vfs.rename('/one/file', '/two/file', 0)
  await vfs.sync()
  t.ok(looks > 0)
  t.same(files(drive), [['one/again', 'ours']])
  t.ok(await vfs.getattr('/one/again'))
})

t.test('a name that one of ours is just leaving is no conflict', async (t) => {
  const { drive, vfs } = await openDrive(t)
  for (const name of ['first', 'second']) await writeNew(vfs, `/one/${name}`, name)
  await vfs.sync()

  // The first has the name, without our having heard, and is to leave it; the second is to get it.
  const [moved, heard] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let refused = 0
  const move = drive.move.bind(drive)
  drive.move = async (item, to, name) => {
    const isFirst = name === 'name' && item.entry.name === 'first'
    await move(item, to, name).catch((error: unknown) => {
      refused++
      sleep(200).then(heard.resolve) // until the place was looked at
      throw error
    })
    if (!isFirst) return
    moved.resolve()
    await heard.promise
  }
  await vfs.rename('/one/first', '/one/name', 0)
  const synced = vfs.sync()
  await moved.promise
  await vfs.rename('/one/name', '/one/elsewhere', 0)
  await vfs.rename('/one/second', '/one/name', 0)
  await synced
  await vfs.sync()
  t.ok(refused > 0, 'the name was taken for a while')
  t.same(files(drive).sort(), [
    ['one/elsewhere', 'first'],
    ['one/name', 'second'],
  ])
})

t.test('a name is refused that nobody has by the time one looks: no conflict', async (t) => {
  const { drive, vfs } = await openWithFile(t)
  const move = drive.move.bind(drive)
  let refusals = 2
  drive.move = async (item, to, name) => {
    if (refusals-- > 0) throw new WeiyunError('EXISTS', 'the name is taken')
    return move(item, to, name)
  }
  await vfs.rename('/one/file', '/one/name', 0)
  await vfs.sync()
  t.same(files(drive), [['one/name', 'ours']])
})

t.test('a name that is refused for ever is given up', async (t) => {
  const { drive, vfs } = await openWithFile(t)
  const move = drive.move.bind(drive)
  drive.move = async (item, to, name) => {
    if (name === 'name') throw new WeiyunError('EXISTS', 'the name is taken')
    return move(item, to, name)
  }
  await vfs.rename('/one/file', '/one/name', 0)
  await vfs.sync()
  const [[path = '', content] = []] = files(drive)
  t.match(path, /^one\/name \(conflict .*\)$/)
  t.equal(content, 'ours')
  t.ok(await vfs.getattr(`/${path}`))
})

t.test('removed while its directory moves: not found there is not gone', async (t) => {
  const { drive, vfs } = await openWithFile(t)
  const remove = drive.remove.bind(drive)
  let misses = 1
  drive.remove = async (items) =>
    misses-- > 0 ? items.map(() => new WeiyunError('NOT_FOUND', 'not there')) : remove(items)
  await vfs.unlink('/one/file')
  await vfs.sync()
  t.ok(misses < 0)
  t.same(files(drive), [])
})

t.test('edited and renamed here, changed there: both are kept, each under its name', async (t) => {
  const drive = new MemoryDrive({ keepsIds: true })
  drive.put('main', 'file', 'old')
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  await writeOver(vfs, '/file', 'ours')
  await vfs.rename('/file', '/name', 0)
  drive.put('main', 'file', 'theirs')
  await vfs.refresh('/')
  const seen = async () => (await vfs.readdir('/')).map(({ name }) => name).sort()
  t.same(await seen(), ['file', 'name'])
  await vfs.sync()
  t.same(files(drive).sort(), [
    ['file', 'theirs'],
    ['name', 'ours'],
  ])
  t.same(await seen(), ['file', 'name'])
})

t.test('an upload that the service takes twice leaves one entry', async (t) => {
  const drive = new MemoryDrive()
  drive.put('main', 'file (old).txt', 'ours')
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  const upload = drive.upload.bind(drive)
  drive.upload = async (dir, name, source, options) => {
    await upload(dir, name, source, options)
    drive.shift('main', name, 'main', 'file2026-11-28 1.0.1.txt')
    const second = await upload(dir, name, source, options)
    drive.shift('main', name, 'main', 'file2026-11-28 1.0.2.txt')
    return { ...second, name: 'file2026-11-28 1.0.2.txt' }
  }
  await writeNew(vfs, '/file.txt', 'ours')
  await vfs.sync()
  t.same(files(drive).sort(), [
    ['file (old).txt', 'ours'],
    ['file.txt', 'ours'],
  ])
})

t.test(
  "another device's file with our bytes, and a name that begins like ours, stays",
  async (t) => {
    const drive = new MemoryDrive()
    const vfs = await openVfs(await vfsDir(t), drive)
    t.teardown(() => vfs.close())
    await vfs.readdir('/')
    drive.put('main', 'file.txt', 'theirs')
    const upload = drive.upload.bind(drive)
    drive.upload = async (dir, name, source, options) => {
      drive.put('main', 'file of theirs.txt', 'ours')
      return upload(dir, name, source, options)
    }
    await writeNew(vfs, '/file.txt', 'ours')
    await vfs.sync()
    t.equal(files(drive).filter(([, content]) => content === 'ours').length, 2)
    t.equal(files(drive).length, 3)
  },
)

t.test('what an upload of its own left under its new name is no conflict', async (t) => {
  const drive = new MemoryDrive()
  const vfs = await openVfs(await vfsDir(t), drive)
  t.teardown(() => vfs.close())
  await writeNew(vfs, '/a', 'one')
  await vfs.sync()
  await vfs.rename('/a', '/b', 0)
  await writeOver(vfs, '/b', 'two')
  const cut = Promise.withResolvers<void>()
  drive.fault = (command) => {
    if (command !== 'upload') return undefined
    cut.resolve()
    return 'after'
  }
  const failing = vfs.sync().catch(() => {})
  await cut.promise
  await vfs.getattr('/b')
  const { fh } = await vfs.open('/b', constants.O_RDWR)
  await vfs.files.write(fh, Buffer.from('three'), 0)
  drive.fault = () => undefined
  await failing
  await vfs.sync()
  await vfs.files.flush(fh)
  await vfs.files.release(fh)
  await vfs.sync()
  t.same(
    (await vfs.readdir('/')).map(({ name }) => name),
    ['b'],
  )
  t.same(files(drive), [['b', 'three']])
})

t.test('a directory is listed while the service moves it', async (t) => {
  const { drive, vfs } = await openDrive(t)
  const key = (path: string): string => drive.dirsByPath().get(path) ?? ''
  drive.mkdir(key('one/'), 'dir')
  drive.put(key('one/dir/'), 'file', 'inside')
  await vfs.refresh('/one')
  const [old, dir] = [key('one/'), key('one/dir/')]
  const performed = Promise.withResolvers<void>()
  const reply = Promise.withResolvers<void>()
  const move = drive.move.bind(drive)
  drive.move = async (...args) => {
    await move(...args)
    performed.resolve()
    await reply.promise
  }
  // The service wants to know where a directory is.
  let misses = 0
  const list = drive.list.bind(drive)
  drive.list = async (ref, options) => {
    if (ref.key === dir && ref.parentKey === old && key('one/dir/') === '') {
      misses++
      throw new WeiyunError('NOT_FOUND', 'not there')
    }
    return list(ref, options)
  }
  await vfs.rename('/one/dir', '/two/dir', 0)
  const sent = vfs.sync()
  await performed.promise
  const names = vfs.readdir('/two/dir').then((items) => items.map(({ name }) => name))
  while (misses === 0) await sleep(5)
  reply.resolve()
  t.same(await names, ['file'])
  await sent
})

t.test(
  "another device's older file with our name and bytes is not what an upload left",
  async (t) => {
    const drive = new MemoryDrive()
    const vfs = await openVfs(await vfsDir(t), drive)
    t.teardown(() => vfs.close())
    await vfs.readdir('/')
    drive.put('main', 'file', 'the same')
    const list = drive.list.bind(drive)
    drive.list = async (dir, options) => {
      const listing = await list(dir, options)
      if (listing === 'unchanged') return listing
      const entries = listing.entries.map((entry) => ({
        ...entry,
        ctimeMs: entry.ctimeMs - 3600_000,
      }))
      return { ...listing, entries }
    }
    const failed = Promise.withResolvers<void>()
    drive.fault = (command) => {
      if (command !== 'upload') return undefined
      failed.resolve()
      return 'before'
    }
    await writeNew(vfs, '/file', 'the same')
    const failing = vfs.sync().catch(() => {})
    await failed.promise
    await vfs.unlink('/file')
    await failing
    drive.fault = () => undefined
    await vfs.sync()
    t.same(files(drive), [['file', 'the same']])
  },
)

t.test('a directory that is not where we ask, and is seen, is shown as it is known', async (t) => {
  const drive = new MemoryDrive()
  drive.mkdir('main', 'dir')
  const key = drive.dirsByPath().get('dir/') ?? ''
  drive.put(key, 'file', 'known')
  const vfs = await openVfs(await vfsDir(t), drive, { dirTtlMs: 1 })
  t.teardown(() => vfs.close())
  await vfs.readdir('/dir')
  await sleep(10)
  drive.list = async (ref) => {
    throw ref.key === key
      ? new WeiyunError('NOT_FOUND', 'not there')
      : new WeiyunError('SERVER', 'nobody can tell')
  }
  t.same(
    (await vfs.readdir('/dir')).map(({ name }) => name),
    ['file'],
  )
})

t.test('what was sent takes its room once', async (t) => {
  const vfs = await openVfs(await vfsDir(t), new MemoryDrive())
  t.teardown(() => vfs.close())
  await writeNew(vfs, '/file', 'x'.repeat(2 ** 20))
  const before = await vfs.statfs()
  await vfs.sync()
  t.same(await vfs.statfs(), before)
})

t.test(
  'renamed again after the service failed once: nobody waits for the quiet time',
  async (t) => {
    const drive = new MemoryDrive()
    drive.mkdir('main', 'dir')
    const dir = await vfsDir(t)
    const first = await openVfs(dir, drive, { writeBackMs: 3_600_000 })
    await first.readdir('/')
    await first.rename('/dir', '/other', 0)
    await first.close()
    const move = drive.move.bind(drive)
    let failures = 0
    drive.move = async (...args) => {
      if (failures++ === 0) throw new WeiyunError('SERVER', 'busy')
      return move(...args)
    }
    const vfs = await openVfs(dir, drive, { writeBackMs: 3_600_000 })
    t.teardown(() => vfs.close())
    while (failures === 0) await sleep(10)
    await vfs.rename('/other', '/third', 0)
    const rested = new AbortController()
    const stuck = sleep(10_000, undefined, rested).then(() => {
      throw new Error('sync waits')
    })
    stuck.catch(() => {})
    await Promise.race([vfs.sync(), stuck])
    rested.abort()
    t.same([...drive.dirsByPath().keys()].sort(), ['', 'third/'])
  },
)

t.test('renamed to a name that is not sent, while it is sent', async (t) => {
  const drive = new MemoryDrive()
  const options = { localOnly: ['*~'], writeBackMs: 1 }
  const vfs = await openVfs(await vfsDir(t), drive, options)
  t.teardown(() => vfs.close())
  await vfs.readdir('/')
  const [sent, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const upload = drive.upload.bind(drive)
  let uploads = 0
  drive.upload = async (...args) => {
    const entry = await upload(...args)
    if (uploads++ > 0) return entry
    sent.resolve()
    await goOn.promise
    return entry
  }
  await writeNew(vfs, '/file', 'first')
  await sent.promise
  await vfs.rename('/file', '/file~', 0)
  await writeNew(vfs, '/file', 'second')
  goOn.resolve()
  await vfs.sync()
  await vfs.refresh('/')
  await vfs.sync()
  const seen = (await vfs.readdir('/')).map(({ name }) => name)
  t.same(seen.sort(), ['file', 'file~'])
  t.equal(drive.tree().get('file'), 'second')
})

t.test("what an upload made, unheard, is another device's file elsewhere by now", async (t) => {
  const drive = new MemoryDrive()
  drive.mkdir('main', 'theirs')
  const elsewhere = drive.dirsByPath().get('theirs/') ?? ''
  const vfs = await openVfs(await vfsDir(t), drive, { writeBackMs: 1 })
  t.teardown(() => vfs.close())
  await vfs.readdir('/theirs')
  const upload = drive.upload.bind(drive)
  const failed = Promise.withResolvers<void>()
  let made: Awaited<ReturnType<typeof upload>> | undefined
  drive.upload = async (dir, name, source, options) => {
    // The token leads back to what it began, wherever that is.
    if (made !== undefined) return options?.resume ? made : upload(dir, name, source, options)
    options?.onResumable?.('token')
    made = await upload(dir, name, source)
    drive.shift('main', name, elsewhere, 'moved')
    await vfs.refresh('/theirs')
    failed.resolve()
    throw new WeiyunError('SERVER', 'busy')
  }
  await writeNew(vfs, '/file', 'ours')
  await failed.promise
  await vfs.sync()
  t.same(files(drive).sort(), [
    ['file', 'ours'],
    ['theirs/moved', 'ours'],
  ])
})
