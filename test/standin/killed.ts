import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import t from 'tap'
import { startStandin } from '../../src/standin/index.ts'
import { Random } from '../fixtures/random.ts'
import { loginTo, StandinClient } from '../fixtures/standin.ts'
import { announcement, MIB, webappLogin } from '../fixtures/webapp-client.ts'

const CHUNK_BYTES = 131072
const SERVICE = new URL('../../src/standin/index.ts', import.meta.url)
const PROGRAM = `
  import { startStandin } from '${SERVICE}'
  const { url, sessions } = await startStandin({ dataDir: process.argv[1] })
  console.log(JSON.stringify({ url, sessions }))
`

/** The service in a process of its own. */
async function startProcess(dataDir: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(child.stdout), 'line')
  const { url, sessions } = JSON.parse(line)
  const session = JSON.parse(await readFile(sessions.classic, 'utf8'))
  return { child, url, sessions, client: new StandinClient(url, session) }
}

t.test('a killed service keeps whatever it had acknowledged', async (t) => {
  const random = new Random()
  t.comment(`WEIYUN_TEST_SEED=${random.seed}`)
  const dataDir = t.testdir({})
  const { child, client } = await startProcess(dataDir)
  const whole = random.bytes(1000)
  const content = random.bytes(10 * CHUNK_BYTES)
  await client.mkdir('made')
  await client.upload(client.main, 'whole', whole)
  const { body: keys } = await client.announce(client.main, { name: 'part', content })
  let acknowledged = 0
  const chunksBefore = random.below(9)
  for (let i = 0; i < chunksBefore; i++) {
    acknowledged = (await client.sendChunk(keys, content, acknowledged, CHUNK_BYTES)).next
  }
  const last = client.sendChunk(keys, content, acknowledged, CHUNK_BYTES).catch(() => undefined)
  child.kill('SIGKILL')
  await Promise.all([once(child, 'exit'), last])
  client.close()

  const standin = await startStandin({ dataDir })
  t.teardown(() => standin.close())
  const again = await loginTo(t, standin)
  const tree = standin.admin.tree().map(({ path, size, state }) => `${path} ${size} ${state}`)
  t.same(tree.sort(), ['made 0 complete', `part ${content.length} broken`, 'whole 1000 complete'])
  t.ok((await standin.admin.read({ path: 'whole' })).equals(whole))
  const asked = await again.sendChunk(keys, content, content.length - 1, 1)
  t.ok(asked.next >= acknowledged, `${asked.next} of at least ${acknowledged}`)
  let at = asked.next
  for (let done = false; !done; ) {
    const answer = await again.sendChunk(keys, content, at, CHUNK_BYTES)
    t.equal(answer.code, 0)
    done = answer.done
    at = answer.next
  }
  t.ok((await standin.admin.read({ path: 'part' })).equals(content))
})

t.test('so does an upload in pieces', async (t) => {
  const random = new Random()
  t.comment(`WEIYUN_TEST_SEED=${random.seed}`)
  const dataDir = t.testdir({})
  const { child, url, sessions } = await startProcess(dataDir)
  const before = await webappLogin({ url, sessions })
  const content = Buffer.alloc(5 * MIB, random.bytes(997))
  const message = announcement(before.main, 'part', content)
  const { body } = await before.step('PreUpload', message)
  const acknowledged = random.below(4)
  for (const channel of body.channel_list.slice(0, acknowledged)) {
    t.equal((await before.piece(body, channel, content)).ret, 0)
  }
  const last = before.piece(body, body.channel_list[acknowledged], content).catch(() => undefined)
  child.kill('SIGKILL')
  await Promise.all([once(child, 'exit'), last])

  const standin = await startStandin({ dataDir })
  t.teardown(() => standin.close())
  const client = await webappLogin(standin)
  const again = (await client.step('PreUpload', message)).body
  t.ok(again.uploaded_data_len >= acknowledged * MIB, `${acknowledged} pieces`)
  t.equal(await client.drain(again, content), 2)
  t.ok((await standin.admin.read({ path: 'part' })).equals(content))
})
