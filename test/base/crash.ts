import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'

const MODULE = new URL('../../src/base/crash.ts', import.meta.url).href
const PROGRAM = `
  const { crashPoint } = await import('${MODULE}')
  for (let i = 1; i <= 50; i++) {
    process.stdout.write(i + ' ')
    crashPoint('other')
    crashPoint('here')
    crashPoint('part:here')
  }`

/** How far the program came, and how it ended. */
async function run(env: Record<string, string>) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const [code, signal] = await once(child, 'close')
  return { last: Number(output.trim().split(' ').at(-1)), code, signal }
}

t.test('does nothing unless asked', async (t) => {
  t.same(await run({}), { last: 50, code: 0, signal: null })
  t.same(await run({ WEIYUN_MOUNT_CRASH: 'elsewhere' }), { last: 50, code: 0, signal: null })
})

t.test('dies at the passing that was asked for', async (t) => {
  t.same(await run({ WEIYUN_MOUNT_CRASH: 'here' }), { last: 1, code: null, signal: 'SIGKILL' })
  t.same(await run({ WEIYUN_MOUNT_CRASH: 'here:7' }), { last: 7, code: null, signal: 'SIGKILL' })
  const colons = { last: 1, code: null, signal: 'SIGKILL' }
  t.same(await run({ WEIYUN_MOUNT_CRASH: 'part:here' }), colons, 'a name with a colon in it')
  t.same(await run({ WEIYUN_MOUNT_CRASH: 'part:here:7' }), { ...colons, last: 7 })
})

t.test('dies anywhere, the same for the same seed', async (t) => {
  const seeded = (seed: string) =>
    run({ WEIYUN_MOUNT_CRASH: '*:0.05', WEIYUN_MOUNT_CRASH_SEED: seed })
  const [first, again, other] = await Promise.all([seeded('5'), seeded('5'), seeded('77')])
  t.equal(first.signal, 'SIGKILL')
  t.same(first, again)
  t.not(first.last, other.last)
})
