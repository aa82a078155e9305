// A short round of the torture test, so that it is known to work and a gross mistake turns red
// here; scripts/torture plays as many as there is time for.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { DIALECT } from '../fixtures/dialect.ts'

const run = promisify(execFile)
const TORTURE = fileURLToPath(new URL('../../scripts/torture', import.meta.url))

t.test('a round of torture finds nothing', async (t) => {
  const args = ['--seed', '1', '--rounds', '1', '--phases', '2', '--minutes', '3', '--jobs', '1']
  const { stdout } = await run(TORTURE, [...args, '--dialect', DIALECT]).catch((error) => error)
  t.match(stdout, /\n0 failed\n$/, stdout)
  t.match(stdout, /\n1 rounds, \d\d/, 'a round, and calls in it')
  t.match(stdout, /\n[1-9]\d* kills/)
})
