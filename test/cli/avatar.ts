import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startStandin } from '../../src/standin/index.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

t.test('pictures are written, who has none is named', async (t) => {
  const home = await tempDir(t)
  const standin = await startStandin({ dataDir: join(home, 'data') })
  t.teardown(() => standin.close())
  const out = join(home, 'pictures')
  const args = ['avatar', '--service', standin.url, '--out', out, '2100000001']
  const { code, stdout, stderr } = await runCli(args, homeEnv(home))
  t.same([code, stderr], [0, ''])
  const [name = ''] = await readdir(out)
  t.equal(stdout, `${join(out, name)}\n`)
  t.match(name, /^2100000001\.(jpeg|png|gif)$/)
  t.ok((await readFile(join(out, name))).length > 0)

  const none = await runCli([...args.slice(0, -1), '99999999'], homeEnv(home))
  t.equal(none.code, 1)
  t.equal(none.stderr, 'weiyun-mount: 99999999 has no picture\n')
})

t.test('no service, no picture', async (t) => {
  const home = await tempDir(t)
  const args = ['avatar', '--service', 'http://127.0.0.1:1', '--out', join(home, 'x'), '10001']
  const { code, stderr } = await runCli(args, homeEnv(home))
  t.equal(code, 69)
  t.match(stderr, /^weiyun-mount: .*127\.0\.0\.1/)
})
