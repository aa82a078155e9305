import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t, { type Test } from 'tap'
import { Digest, type Digests } from '../../src/cache/digest.ts'
import { Hasher } from '../../src/cache/hasher.ts'
import { Random } from '../fixtures/random.ts'

const BLOCK = 65536

function digestsOf(bytes: Buffer): Digests {
  const crcs: number[] = []
  for (let at = 0; at < bytes.length; at += BLOCK) crcs.push(crc32(bytes.subarray(at, at + BLOCK)))
  const hex = (name: string) => createHash(name).update(bytes).digest('hex')
  return { sha1: hex('sha1'), md5: hex('md5'), crcs: Uint32Array.from(crcs) }
}

t.test('a digest does not depend on how the bytes come', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (const size of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 250_000]) {
    const bytes = random.bytes(size)
    const digest = new Digest()
    for (let at = 0; at < size; ) {
      const step = 1 + random.below(100_000)
      digest.update(bytes.subarray(at, at + step))
      at += step
    }
    t.same(digest.finish(), digestsOf(bytes), `${size} bytes`)
  }
})

t.test('parts of files, in order', async (t) => {
  const hasher = Hasher.start(1)
  const dir = t.testdir({})
  const bytes = Buffer.alloc(5 * 1024 * 1024, 'some bytes of no meaning.')
  await writeFile(join(dir, 'a'), bytes)
  await writeFile(join(dir, 'b'), 'short')
  const result = await hasher.hash([
    { path: join(dir, 'a'), start: 1000, length: 3_000_000 },
    { path: join(dir, 'b'), start: 0, length: 0 },
    { path: join(dir, 'b'), start: 2, length: 3 },
    { path: join(dir, 'a'), start: 0, length: 70_000 },
  ])
  const joined = [bytes.subarray(1000, 3_001_000), Buffer.from('ort'), bytes.subarray(0, 70_000)]
  t.same(result, digestsOf(Buffer.concat(joined)))
  t.same(await hasher.hash([]), digestsOf(Buffer.alloc(0)))
  await hasher.close()
})

t.test('holes are zeros', async (t) => {
  const hasher = Hasher.start(1)
  const path = join(t.testdir({}), 'sparse')
  await writeFile(path, 'x')
  await truncate(path, 3_000_000)
  const bytes = Buffer.alloc(3_000_000)
  bytes.write('x')
  t.same(await hasher.hash([{ path, start: 0, length: 3_000_000 }]), digestsOf(bytes))
  await hasher.close()
})

t.test('small files pass a large one', async (t) => {
  const hasher = Hasher.start(1)
  const dir = t.testdir({ small: 'small' })
  await writeFile(join(dir, 'large'), '')
  await truncate(join(dir, 'large'), 100 * 1024 * 1024)
  const order: string[] = []
  const large = hasher
    .hash([{ path: join(dir, 'large'), start: 0, length: 100 * 1024 * 1024 }])
    .then(() => order.push('large'))
  const small = Array.from({ length: 300 }, async () => {
    const digests = await hasher.hash([{ path: join(dir, 'small'), start: 0, length: 5 }])
    order.push('small')
    return digests
  })
  for (const digests of await Promise.all(small)) {
    if (digests.sha1 !== digestsOf(Buffer.from('small')).sha1) t.fail('a wrong hash')
  }
  await large
  t.equal(order.at(-1), 'large')
  t.equal(order.length, 301)
  await hasher.close()
})

t.test('missing and short files are errors of their own job only', async (t) => {
  const hasher = Hasher.start(1)
  const dir = t.testdir({ file: 'four' })
  const file = join(dir, 'file')
  const [missing, short, good] = await Promise.allSettled([
    hasher.hash([{ path: join(dir, 'none'), start: 0, length: 1 }]),
    hasher.hash([{ path: file, start: 0, length: 5 }]),
    hasher.hash([{ path: file, start: 0, length: 4 }]),
  ])
  t.match(missing, { status: 'rejected', reason: { code: 'ENOENT' } })
  t.match(short, { status: 'rejected', reason: { code: 'EIO' } })
  t.match(good, { status: 'fulfilled' })
  await hasher.close()
})

t.test('a series that is not wanted, or whose part cannot be read', async (t) => {
  const hasher = Hasher.start(1)
  const dir = t.testdir({ file: 'four' })
  const part = { path: join(dir, 'file'), start: 0, length: 4 }
  const series = hasher.series()
  series.add(part)
  series.add({ ...part, start: 2, length: 2 })
  t.equal(await series.finish(), digestsOf(Buffer.from('fourur')).sha1)
  const short = hasher.series()
  short.add({ ...part, length: 5 })
  await t.rejects(short.finish(), { code: 'EIO' })
  const unwanted = hasher.series()
  unwanted.add(part)
  const finished = unwanted.finish()
  unwanted.cancel()
  await t.rejects(finished, /cancelled/)
  await hasher.close()
})

t.test('what is not done at the close is rejected, and nothing starts afterwards', async (t) => {
  const hasher = Hasher.start()
  const path = join(t.testdir({}), 'file')
  await writeFile(path, '')
  await truncate(path, 2 ** 31)
  const rejected = t.rejects(hasher.hash([{ path, start: 0, length: 2 ** 31 }]), /ended/)
  await hasher.close()
  await rejected
  await t.rejects(async () => hasher.hash([]), /closed/)
})

t.test('an idle hasher lets the process end, a busy one does not', async (t) => {
  const hashes = `
    const part = { path: process.argv[2], start: 0, length: 3 }
    Hasher.start().hash([part]).then(({ sha1 }) => console.log(sha1))`
  t.equal(await outputOf(t, hashes), 'a9993e364706816aba3e25717850c26c9cd0d89d')
})

t.test('nor does one that is closed when its last work ends', async (t) => {
  const closes = `
    const hasher = Hasher.start()
    const series = hasher.series()
    const closed = hasher.close()
    series.cancel()
    await closed
    console.log('closed')`
  t.equal(await outputOf(t, closes), 'closed')
})

/** What a process of its own prints that ends as soon as nothing keeps it. */
async function outputOf(t: Test, work: string): Promise<string> {
  const module = new URL('../../src/cache/hasher.ts', import.meta.url).href
  const program = `import { Hasher } from '${module}'\n${work}`
  const dir = t.testdir({ file: 'abc', 'program.mjs': program })
  const child = spawn(process.execPath, [join(dir, 'program.mjs'), join(dir, 'file')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  return output.trim()
}
