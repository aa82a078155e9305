// What "verified" is believed of: the very bytes that were hashed, also after a crash.
import { createHash } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestsOf } from '../../src/cache/digest.ts'
import type { Source } from '../../src/vfs/fetcher.ts'
import { ReadState } from '../../src/vfs/reader.ts'
import { tempDir } from '../fixtures/cli.ts'
import { openReading } from '../fixtures/reading.ts'

const BYTES = Buffer.from('ten bytes.')
const WRONG = Buffer.from('ten bits!!')
const CONTENT = { sha1: createHash('sha1').update(BYTES).digest('hex'), size: BYTES.length }
const SOURCE = { content: CONTENT, file: {}, dir: () => ({}) } as unknown as Source

/** The answers of the service, the last of them for ever. */
async function openReader(t: Test, dir: string, ...answers: ('right' | 'wrong')[]) {
  async function* read() {
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    yield Buffer.from(answer === 'right' ? BYTES : WRONG)
  }
  const { blocks, fetcher, checker, reader } = await openReading(t, dir, read)
  const readAll = async () => `${await reader.read(SOURCE, new ReadState(), 0, CONTENT.size)}`
  return { blocks, fetcher, checker, readAll }
}

t.test('a kill right after a check', async (t) => {
  const dir = await tempDir(t)
  const { blocks, readAll } = await openReader(t, join(dir, 'cache'), 'right')
  t.equal(await readAll(), `${BYTES}`)
  t.ok(blocks.verified(CONTENT))
  // What a process that is killed now leaves behind.
  for (const answer of ['right', 'wrong'] as const) {
    const left = join(dir, answer)
    await cp(join(dir, 'cache'), left, { recursive: true })
    const next = await openReader(t, left, 'wrong', answer)
    const seen = await next.readAll().catch(({ code }) => code)
    t.match(seen, answer === 'right' ? /^ten bytes\.$/ : /^ten bytes\.$|^EIO$/)
  }
})

t.test('right bytes do not vouch for others that came to the disk meanwhile', async (t) => {
  const { blocks, fetcher, readAll } = await openReader(t, await tempDir(t), 'right')
  fetcher.written = async () => {
    await blocks.drop(CONTENT)
    await blocks.put(CONTENT, 0, WRONG)
  }
  t.equal(await readAll(), `${BYTES}`)
  t.notOk(blocks.verified(CONTENT))
})

t.test('nor does an upload of ours that the disk did not take', async (t) => {
  const dir = await tempDir(t)
  const { blocks, checker } = await openReader(t, dir, 'right')
  const { crcs } = digestsOf(BYTES)
  await blocks.adopt(CONTENT, join(dir, 'vanished'), 0, crcs)
  await blocks.put(CONTENT, 0, WRONG)
  checker.adopted(CONTENT, crcs)
  t.notOk(blocks.verified(CONTENT))
})
