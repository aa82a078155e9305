import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { COMMANDS } from '../../src/cli/commands.ts'
import { EXIT } from '../../src/cli/exit.ts'
import { LOADERS } from '../../src/cli/load.ts'
import { OPTIONS } from '../../src/cli/options.ts'
import { commandShapes } from '../../src/cli/shape.ts'
import { homeEnv, runCli, startCli, tempDir } from '../fixtures/cli.ts'

t.test('help is complete', async (t) => {
  const env = homeEnv(await tempDir(t))
  const { code, stdout, stderr } = await runCli(['--help'], env)
  t.equal(code, 0)
  t.equal(stderr, '')
  for (const { flag } of Object.values(OPTIONS)) t.match(stdout, `--${flag} `, flag)
  for (const command of Object.keys(COMMANDS).filter((name) => name !== 'mount')) {
    t.match(stdout, new RegExp(`^  ${command}\\b`, 'm'), command)
    const help = await runCli([command, '--help'], env)
    t.equal(help.code, 0, command)
    t.match(help.stdout, `Usage: weiyun-mount ${command}`)
  }
})

t.test('the manual has every option, its value and its help, and every command', async (t) => {
  const page = fileURLToPath(new URL('../../scripts/man-page.ts', import.meta.url))
  // Without the loader of tap, which the program does not need.
  const env = { ...process.env, NODE_OPTIONS: '', LC_ALL: 'C.UTF-8' }
  const { stdout } = await promisify(execFile)(process.execPath, [page], { env })
  const plain = stdout
    .replaceAll('\\-', '-')
    .replaceAll(/\\f[BIR]/g, '')
    .replaceAll('\\ ', ' ')
  const help = (await commandShapes(LOADERS)).flatMap(({ options }) => options)
  for (const option of Object.values(OPTIONS)) {
    const { flag, arg }: { flag: string; arg?: string } = option
    t.match(plain, `\n--${flag}${arg === undefined ? '' : ` ${arg}`}\n`, flag)
    const shape = help.find(({ flags }) => flags.includes(`--${flag}`))
    t.ok(plain.includes(`\n${shape?.help.replaceAll('`', '')}\n`), `${flag}: ${shape?.help}`)
  }
  for (const command of Object.keys(COMMANDS).filter((name) => name !== 'mount')) {
    t.match(plain, new RegExp(`^${command}\\b`, 'm'), command)
  }
})

t.test('exit codes are told everywhere', async (t) => {
  const { stdout } = await runCli(['--help'], homeEnv(await tempDir(t)))
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  for (const code of Object.values(EXIT)) {
    t.match(stdout, new RegExp(`^ +${code}  \\S`, 'm'))
    t.match(readme, `\n| ${code} | `)
  }
})

t.test('the version is the package’s', async (t) => {
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  const { code, stdout } = await runCli(['--version'], homeEnv(await tempDir(t)))
  t.same([code, stdout], [0, `${version}\n`])
})

t.test('wrong usage is 64, one line of reason and a hint', async (t) => {
  const env = homeEnv(await tempDir(t))
  const wrong: [string[], RegExp][] = [
    [[], /missing argument MOUNTPOINT/],
    [['--frobnicate', '/mnt'], /unknown option '--frobnicate'/],
    [
      ['/mnt', '--cache-siz', '1G'],
      /unknown option '--cache-siz'\n\(Did you mean --cache-size\?\)/,
    ],
    [['/mnt', '--cache-size'], /argument missing/],
    [['/mnt', '--cache-size', 'lots'], /--cache-size: 'lots' is not a size/],
    [['/mnt', '/mnt2'], /too many arguments: \/mnt2/],
    [['weiyun', '/mnt', '/mnt2', '-o', 'ro'], /too many arguments: \/mnt2/],
    [['/mnt', '-o', 'frobnicate'], /-o: unknown option 'frobnicate'/],
    [['/mnt', '--local', '--service', 'http://127.0.0.1:1'], /exclude each other/],
    [['status', '--frobnicate'], /unknown option '--frobnicate'/],
    [['status', 'a', 'b'], /too many arguments/],
    [['unmount'], /missing required argument 'MOUNTPOINT'/],
    [['avatar'], /missing required argument 'UIN'/],
    [['avatar', 'me'], /'me' is not a user's number/],
    [['doctor', 'x', 'y'], /too many arguments/],
  ]
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await runCli(args, env)
    t.equal(code, 64, args.join(' '))
    t.match(stderr, message)
    t.match(stderr, /^weiyun-mount: /)
    t.equal(stdout, '')
  }
})

t.test('a reader that goes away is no crash', async (t) => {
  const env = homeEnv(await tempDir(t))
  const child = startCli(['--help'], env)
  child.stdout.destroy()
  const [code] = await new Promise<[number]>((done) =>
    child.once('exit', (code) => done([code ?? -1])),
  )
  t.equal(code, 0)
})
