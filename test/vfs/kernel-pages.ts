import t from 'tap'
import type { Checker } from '../../src/vfs/checker.ts'
import { FileInode, type RemoteFile } from '../../src/vfs/inode.ts'
import { KernelPages } from '../../src/vfs/kernel-pages.ts'

const KEEP = { keepCache: true, directIo: false }
const DROP = { keepCache: false, directIo: false }
const BESIDE = { keepCache: false, directIo: true }

function version(sha1: string, size: number): RemoteFile {
  return { parent: 1, name: 'file', id: 'id', version: sha1, size, sha1, md5: '' }
}

class Case {
  readonly file = new FileInode(2, 1, 'file', {})
  spoiled = 0
  readonly pages = new KernelPages({ spoiledSoFar: () => this.spoiled } as unknown as Checker)

  constructor(remote: RemoteFile) {
    this.file.remote = remote
  }

  open(): unknown {
    this.file.opens++
    return this.pages.open(this.file, this.file.remote)
  }

  close(): boolean {
    this.file.opens--
    return this.pages.release(this.file)
  }
}

t.test('pages are kept for the version that they are of', async (t) => {
  const one = new Case(version('a', 10))
  t.same(one.open(), DROP, 'nothing is known of what the kernel has')
  t.same(one.open(), KEEP)
  one.close()
  one.close()
  t.same(one.open(), KEEP, 'after the last close too')
  one.close()
  one.file.remote = version('b', 10)
  t.same(one.open(), DROP, 'another version')
  one.close()
  one.spoiled++
  t.same(one.open(), DROP, 'the same, of which bytes proved wrong')
  one.close()
  one.pages.forget(one.file)
  t.same(one.open(), DROP, 'another file under the name')
})

t.test('two versions at once do not share pages', async (t) => {
  const one = new Case(version('a', 10))
  one.open()
  one.file.remote = version('b', 5)
  t.same(one.open(), BESIDE)
  t.equal(one.pages.shownSize(one.file), 10, 'nobody is cut')
  t.equal(one.close(), true, 'and the kernel was shown a size that is none any more')
  t.same(one.open(), DROP)
  t.equal(one.pages.shownSize(one.file), 5)
  t.equal(one.close(), false)
})

t.test('what was read, written and sent is one version', async (t) => {
  const one = new Case(version('a', 10))
  one.file.stagedId = 'staged'
  one.file.stagedSize = 20
  t.same(one.open(), DROP)
  t.same(one.open(), KEEP)
  one.file.stagedId = undefined
  one.file.remote = version('b', 20)
  one.pages.sent(one.file)
  t.same(one.open(), KEEP)
})

t.test('an end, and a size beyond it, are not told within a second', async (t) => {
  const one = new Case(version('a', 10))
  one.open()
  t.equal(await one.pages.end(one.file), false, 'nobody was shown more')
  one.file.remote = version('b', 20)
  const told: string[] = []
  const showable = one.pages.showable(one.file).then(() => told.push('size'))
  const after = one.pages.end(one.file).then(() => told.push('end'))
  await after
  t.same(told, ['end'], 'the size waits for the end')
  await showable
  one.pages.shownSize(one.file)
  const crossed = one.pages.end(one.file).catch((error) => told.push(error.code))
  const again = one.pages.showable(one.file).then(() => told.push('size'))
  await crossed
  t.same(told, ['end', 'size', 'ESTALE'], 'an end that may have crossed it is asked for again')
  t.equal(await one.pages.end(one.file), true)
  await again
  t.same(told.slice(3), ['size'])
})
