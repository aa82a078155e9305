// States of SHA-1 against vectors that were computed from the standard's text.
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Sha1Hasher } from '../../../src/weiyun/transfer/sha1-states.ts'
import { pattern } from '../../fixtures/pattern.ts'

interface Vector {
  readonly file_size: number
  readonly block_size: number
  readonly file_sha: string
  readonly check_sha: string
  readonly check_data: string
  readonly block_info_list: readonly { readonly sha: string }[]
}

const vectors = JSON.parse(
  await readFile(new URL('../../vectors/webapp-sha1-state.json', import.meta.url), 'utf8'),
)
const HEADER = 4096

async function setUp(t: Test, content: Buffer) {
  const path = join(t.testdir({}), 'file')
  await writeFile(path, Buffer.concat([Buffer.alloc(HEADER, 0xaa), content, Buffer.alloc(9)]))
  const hasher = new Sha1Hasher()
  t.teardown(() => hasher.close())
  return { hasher, file: { path, start: HEADER } }
}

t.test('the vectors, all at once', async (t) => {
  const { hasher, file } = await setUp(t, pattern(2_621_441))
  const cases: Vector[] = [...vectors.block_size_1048576, ...vectors.block_size_524288]
  t.ok(cases.length > 20)
  const check = async (vector: Vector) => {
    const { file_size: size, block_size: blockBytes, file_sha: sha1 } = vector
    t.strictSame(
      await hasher.states(file, size, blockBytes),
      {
        sha1,
        blocks: vector.block_info_list.map(({ sha }) => sha),
        checkSha: vector.check_sha,
        checkData: vector.check_data,
      },
      `${size} bytes in blocks of ${blockBytes}`,
    )
  }
  await Promise.all(cases.map(check))
})

t.test('the digest is that of others', async (t) => {
  const content = pattern(300_001).subarray(1)
  const { hasher, file } = await setUp(t, content)
  const { sha1 } = await hasher.states(file, content.length, 1024 * 1024)
  t.equal(sha1, createHash('sha1').update(content).digest('hex'))
})

t.test('a file that is too short, or missing', async (t) => {
  const { hasher, file } = await setUp(t, Buffer.alloc(10))
  await t.rejects(hasher.states(file, 20, 1024), { message: /shorter than expected/ })
  await t.rejects(hasher.states({ path: '/nonexistent/x', start: 0 }, 20, 1024), {
    message: /ENOENT/,
  })
  t.match(await hasher.states(file, 10, 1024), { blocks: [/^[0-9a-f]{40}$/] })
})

t.test('closing rejects what is under way', async (t) => {
  const { hasher, file } = await setUp(t, Buffer.alloc(10))
  const rejected = t.rejects(hasher.states(file, 10, 1024), { message: 'the hash thread ended' })
  await hasher.close()
  await rejected
})
