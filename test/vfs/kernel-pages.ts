import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Checker } from '../../src/vfs/checker.ts'
import { FileInode, type RemoteFile } from '../../src/vfs/inode.ts'
import { KernelPages } from '../../src/vfs/kernel-pages.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { openVfs, vfsDir } from '../fixtures/vfs.ts'

const KEEP = { keepCache: true, directIo: false }
const DROP = { keepCache: false, directIo: false }
const BESIDE = { keepCache: false, directIo: true }

function version(sha1: string, size: number): RemoteFile {
  return { parent: 1, name: 'file', id: 'id', version: sha1, size, sha1, md5: '' }
}

let lastIno = 1

function fileOf(remote: RemoteFile): FileInode {
  const file = new FileInode(++lastIno, 1, 'file', {})
  file.remote = remote
  return file
}

class Kernel {
  spoiled = 0
  readonly wrong: string[] = []
  readonly pages = new KernelPages({ spoiledSoFar: () => this.spoiled } as unknown as Checker)

  constructor() {
    this.pages.onWrongSize = (path) => this.wrong.push(path)
  }

  open(path: string, file: FileInode) {
    const { pages, policy } = this.pages.open(path, file, file.remote)
    return { pages, policy, close: () => this.pages.release(pages) }
  }

  /** As a program does that opens, reads and closes. */
  visit(path: string, file: FileInode): unknown {
    const { policy, close } = this.open(path, file)
    if (!policy.directIo) close()
    return policy
  }
}

t.test('pages are kept for the version that they are of', async (t) => {
  const kernel = new Kernel()
  const file = fileOf(version('a', 10))
  t.same(kernel.visit('/file', file), DROP, 'nothing is known of what the kernel has')
  t.same(kernel.visit('/file', file), KEEP)
  file.remote = version('b', 10)
  t.same(kernel.visit('/file', file), DROP, 'another version')
  kernel.spoiled++
  t.same(kernel.visit('/file', file), DROP, 'the same, of which bytes proved wrong')
  t.same(kernel.visit('/file', fileOf(version('c', 10))), DROP, 'another file at the path')
  kernel.visit('/file', fileOf({ ...version('', 10), id: 'one' }))
  t.same(kernel.visit('/file', fileOf({ ...version('', 10), id: 'two' })), DROP, 'without hashes')
  t.same(kernel.visit('/other', file), DROP, 'the file at another path, as another device moved it')
})

t.test(
  'pages go with a path that is renamed here, and end with what takes its place',
  async (t) => {
    const kernel = new Kernel()
    const file = fileOf(version('a', 10))
    const other = fileOf(version('b', 10))
    kernel.visit('/dir/file', file)
    kernel.visit('/to', other)
    kernel.pages.rename('/dir/file', '/to', false)
    t.same(kernel.visit('/to', file), KEEP)
    t.same(kernel.visit('/dir/file', file), DROP)
    kernel.pages.rename('/dir', '/new', true)
    t.same(kernel.visit('/new/file', file), KEEP)
    const replaced = kernel.open('/other', other)
    kernel.pages.rename('/new/file', '/other', false)
    replaced.close()
    t.same(kernel.visit('/other', file), KEEP, 'who has the replaced one open does not count')
    kernel.visit('/full/left', other)
    kernel.pages.rename('/new', '/full', true)
    t.same(kernel.visit('/full/left', other), DROP)
  },
)

t.test('a file that was just made has left nothing to another', async (t) => {
  const kernel = new Kernel()
  const made = (): FileInode => new FileInode(++lastIno, 1, 'file', {})
  kernel.visit('/made', made())
  const second = made()
  t.same(kernel.visit('/made', second), DROP, 'nothing is on the service of either')
  t.same(kernel.visit('/made', second), KEEP)
})

t.test('two versions, and two files, do not share pages', async (t) => {
  for (const isOther of [false, true]) {
    const kernel = new Kernel()
    const file = fileOf(version('a', 10))
    const old = kernel.open('/file', file)
    const now = isOther ? fileOf(version('b', 5)) : file
    now.remote = version('b', 5)
    t.same(kernel.visit('/file', now), BESIDE)
    t.equal(kernel.pages.shownSize('/file', now), 10, 'nobody is cut')
    old.close()
    t.same(kernel.wrong, ['/file'], 'the kernel was shown a size that is none any more')
    t.ok(now.unseen)
    t.same(kernel.visit('/file', now), DROP)
    t.equal(kernel.pages.shownSize('/file', now), 5)
  }
})

t.test(
  'who writes shares pages with who has the same file open, and with nobody else',
  async (t) => {
    const kernel = new Kernel()
    const file = fileOf(version('a', 10))
    kernel.open('/file', file)
    file.stagedId = 'staged'
    file.stagedSize = 20
    t.same(kernel.visit('/file', file), DROP)
    t.same(kernel.visit('/file', file), KEEP)
    file.stagedId = undefined
    file.remote = version('b', 20)
    kernel.pages.sent(file, { id: 'staged', base: version('a', 10) })
    t.same(kernel.visit('/file', file), KEEP, 'what was read, written and sent is one version')
    kernel.pages.sent(file, { id: 'later', base: version('theirs', 20) })
    t.same(kernel.visit('/file', file), BESIDE, 'what was read is not what was written over')
    const made = fileOf(version('c', 3))
    made.stagedId = 'other'
    t.same(kernel.visit('/file', made), BESIDE)
  },
)

t.test('an end, and a size beyond it, are not told within a second', async (t) => {
  const kernel = new Kernel()
  const file = fileOf(version('a', 10))
  const { pages } = kernel.open('/file', file)
  await kernel.pages.end(pages)
  t.same(kernel.wrong, [], 'nobody was shown more')
  file.remote = version('b', 20)
  const told: string[] = []
  const size = async (): Promise<void> => {
    await kernel.pages.showable('/file', file)
    told.push(`${kernel.pages.shownSize('/file', file)}`)
  }
  const end = (): Promise<unknown> =>
    kernel.pages.end(pages).then(
      () => told.push('end'),
      (error) => told.push(error.code),
    )
  const shown = size()
  await end()
  await shown
  t.same(told.splice(0), ['end', '20'], 'the size waits for the end')
  const crossed = end()
  let isOver = false
  const askers = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      await size()
      await sleep(10)
    }
  })
  await crossed
  t.same(told.splice(0), ['ESTALE'], 'an end that may have crossed it is asked for again')
  await end()
  t.same(told.splice(0), ['end'], 'and is told then, whoever asks for the size meanwhile')
  t.same(kernel.wrong, ['/file'])
  isOver = true
  await Promise.all(askers)
})

t.test(
  'whoever opens a changed file is sent to its attributes first, two at once too',
  async (t) => {
    const drive = new MemoryDrive({ keepsIds: true })
    drive.put('main', 'file', 'old')
    const vfs = await openVfs(await vfsDir(t), drive)
    t.teardown(() => vfs.close())
    t.equal((await vfs.getattr('/file')).size, 3)
    drive.put('main', 'file', 'new and longer')
    await vfs.refresh('/')
    const opened = await Promise.allSettled([vfs.open('/file', 0), vfs.open('/file', 0)])
    for (const one of opened) t.match(one, { status: 'rejected', reason: { code: 'ESTALE' } })
    t.equal((await vfs.getattr('/file')).size, 14)
    const { fh } = await vfs.open('/file', 0)
    await vfs.files.release(fh)
  },
)
