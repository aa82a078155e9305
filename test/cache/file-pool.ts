import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FilePool } from '../../src/cache/file-pool.ts'

function setup(t: Test, max: number) {
  const names = ['a', 'b', 'c', 'd']
  const dir = t.testdir(Object.fromEntries(names.map((name) => [name, name])))
  const pool = new FilePool(max)
  const opened: FileHandle[] = []
  const use = <T>(name: string, work: (handle: FileHandle) => Promise<T>) => {
    const path = join(dir, name)
    const openFile = async () => {
      const handle = await open(path, 'r')
      opened.push(handle)
      return handle
    }
    return pool.use(path, openFile, work)
  }
  const read = (name: string) =>
    use(name, async (handle) => (await handle.read(Buffer.alloc(1), 0, 1, 0)).buffer.toString())
  /** File handles that are still open. */
  const left = () => opened.filter((handle) => handle.fd >= 0).length
  return { dir, pool, use, read, opened, left }
}

t.test('opens once, and keeps no more than it may', async (t) => {
  const { pool, read, opened, left } = setup(t, 2)
  t.same(await Promise.all([read('a'), read('a'), read('b')]), ['a', 'a', 'b'])
  t.equal(opened.length, 2)
  t.equal(await read('a'), 'a')
  t.equal(await read('c'), 'c')
  t.equal(await read('a'), 'a')
  t.equal(opened.length, 3, 'b had to go, not a')
  await pool.close()
  t.equal(left(), 0)
})

t.test('what is forgotten stays open for its user, and is opened anew for the next', async (t) => {
  const { dir, pool, use, read, opened, left } = setup(t, 4)
  const gate = Promise.withResolvers<void>()
  const reading = use('a', async (handle) => {
    await gate.promise
    return (await handle.read(Buffer.alloc(1), 0, 1, 0)).bytesRead
  })
  pool.forget(join(dir, 'a'))
  t.equal(await read('a'), 'a')
  t.equal(opened.length, 2)
  gate.resolve()
  t.equal(await reading, 1)
  t.equal(left(), 1)
  await pool.close()
  t.equal(left(), 0)
})

t.test('more users than it may keep open', async (t) => {
  const { pool, read, left } = setup(t, 1)
  const names = ['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd']
  t.same(await Promise.all(names.map(read)), names)
  await pool.close()
  t.equal(left(), 0)
})

t.test('an open that fails is tried again by the next user', async (t) => {
  const { pool, read } = setup(t, 2)
  await t.rejects(read('none'), { code: 'ENOENT' })
  await t.rejects(read('none'), { code: 'ENOENT' })
  t.equal(await read('a'), 'a')
  await pool.close()
})

t.test("a close that fails is nobody's failure", async (t) => {
  const dir = t.testdir({ a: 'a', b: 'b' })
  const pool = new FilePool(1)
  let closed = 0
  const openFile = async (name: string): Promise<FileHandle> => {
    const handle = await open(join(dir, name), 'r')
    const { close } = handle
    handle.close = async () => {
      closed++
      await close.call(handle)
      throw new Error('disk gone')
    }
    return handle
  }
  const use = (name: string) =>
    pool.use(
      join(dir, name),
      () => openFile(name),
      async () => {
        if (name === 'b') pool.forget(join(dir, name))
        return name
      },
    )
  t.equal(await use('a'), 'a')
  t.equal(await use('b'), 'b', 'also where its last user closes it')
  t.equal(await use('a'), 'a')
  await pool.close()
  t.equal(closed, 3)
})
