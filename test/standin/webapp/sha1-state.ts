import { createHash } from 'node:crypto'
import t from 'tap'
import { advanceState, finishState, INITIAL_STATE } from '../../../src/standin/webapp/sha1-state.ts'
import { Random } from '../../fixtures/random.ts'
import { bytesOf, pattern, STATE_VECTORS, VECTORS } from '../../fixtures/webapp-vectors.ts'

t.test('the vectors: from state to state, and to the digest', async (t) => {
  t.equal(pattern(32).toString('hex'), VECTORS.pattern.first_32_hex)
  t.equal(INITIAL_STATE, VECTORS.initial_state_little_endian)
  for (const vector of STATE_VECTORS) {
    const what = `${vector.file_size} bytes in blocks of ${vector.block_size}`
    const bytes = bytesOf(vector)
    let state = INITIAL_STATE
    for (const { sha, offset, size } of vector.block_info_list.slice(0, -1)) {
      state = advanceState(state, bytes.subarray(offset, offset + size))
      t.equal(state, sha, what)
    }
    const last = vector.block_info_list.at(-1)
    t.equal(finishState(state, bytes.length, bytes.subarray(last?.offset)), last?.sha, what)
    const check = Buffer.from(vector.check_data, 'base64')
    t.equal(finishState(vector.check_sha, bytes.length, check), vector.file_sha, what)
  }
})

t.test("any split gives Node's digest", async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let i = 0; i < 200; i++) {
    const bytes = random.bytes(random.below(2000))
    const cut = 64 * random.below(Math.floor(bytes.length / 64) + 1)
    const state = advanceState(INITIAL_STATE, bytes.subarray(0, cut))
    const digest = createHash('sha1').update(bytes).digest('hex')
    t.equal(finishState(state, bytes.length, bytes.subarray(cut)), digest, `${bytes.length} ${cut}`)
  }
})

t.test('what is no state or no whole number of chunks is a bug of the caller', async (t) => {
  t.throws(() => advanceState('0', Buffer.alloc(64)))
  t.throws(() => advanceState(INITIAL_STATE, Buffer.alloc(63)))
})
