import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { COMMANDS } from '../../src/cli/commands.ts'
import { LOADERS } from '../../src/cli/load.ts'
import { OPTIONS } from '../../src/cli/options.ts'
import { commandShapes } from '../../src/cli/shape.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

async function scriptFor(t: Test, shell: string): Promise<{ home: string; script: string }> {
  const home = await tempDir(t)
  const { code, stdout, stderr } = await runCli(['completions', shell], homeEnv(home))
  t.same([code, stderr], [0, ''])
  const script = join(home, shell)
  await writeFile(script, stdout)
  return { home, script }
}

/** Whether a shell is on this machine; a reason to skip if not. */
async function missing(shell: string): Promise<string | false> {
  return promisify(execFile)(shell, ['-c', 'true']).then(
    () => false as const,
    () => `no ${shell}`,
  )
}

t.test('everything that is declared is in the shapes', async (t) => {
  const shapes = await commandShapes(LOADERS)
  t.same(
    shapes.map(({ name }) => name),
    Object.keys(COMMANDS),
  )
  const flags = shapes[0]?.options.flatMap((option) => option.flags) ?? []
  for (const { flag } of Object.values(OPTIONS)) t.ok(flags.includes(`--${flag}`), flag)
  for (const { name, options } of shapes) {
    for (const { flags, help } of options) t.ok(help.length > 3, `${name} ${flags}: ${help}`)
  }
})

t.test('bash', { skip: await missing('bash') }, async (t) => {
  const { home, script } = await scriptFor(t, 'bash')
  await mkdir(join(home, 'my drive'))
  const complete = async (...words: string[]) => {
    const run = `source ${script}; compopt() { :; }; cd ${home}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weiyun_mount; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = await promisify(execFile)('bash', ['-c', run, 'x', ...words])
    return stdout.trim().split('\n')
  }
  t.same(await complete('weiyun-mount', 'unm'), ['unmount'])
  t.same(await complete('weiyun-mount', 'my'), ['my drive'])
  t.same(await complete('weiyun-mount', '--cache-s'), ['--cache-size'])
  t.same(await complete('weiyun-mount', 'status', '--w'), ['--watch', '--web'])
  t.same(await complete('weiyun-mount', 'x', '--dialect', ''), ['classic', 'webapp'])
  t.same(await complete('weiyun-mount', 'x', '--cache-dir', 'my'), ['my drive'])
  t.same(await complete('weiyun-mount', 'completions', 'f'), ['fish'])
})

t.test('zsh', { skip: await missing('zsh') }, async (t) => {
  const { script } = await scriptFor(t, 'zsh')
  await promisify(execFile)('zsh', ['-n', script])
  const run = `autoload -U compinit && compinit -D -u
    source ${script}; print $_comps[weiyun-mount]`
  const { stdout, stderr } = await promisify(execFile)('zsh', ['-f', '-c', run])
  t.same([stdout, stderr], ['_weiyun_mount\n', ''])
})

t.test('fish', { skip: await missing('fish') }, async (t) => {
  const { home, script } = await scriptFor(t, 'fish')
  const complete = async (line: string) => {
    const run = `source ${script}; complete -C ${JSON.stringify(line)}`
    const env = { ...process.env, HOME: home }
    const { stdout, stderr } = await promisify(execFile)('fish', ['-N', '-c', run], { env })
    t.equal(stderr, '')
    return stdout.split('\n').map((row) => row.split('\t')[0])
  }
  t.ok((await complete('weiyun-mount unm')).includes('unmount'))
  t.ok((await complete('weiyun-mount --cache-s')).includes('--cache-size'))
  t.ok((await complete('weiyun-mount status --w')).includes('--watch'))
  t.same(await complete('weiyun-mount x --dialect c'), ['classic', ''])
})

t.test('another shell', async (t) => {
  const { code, stderr } = await runCli(['completions', 'tcsh'], homeEnv(await tempDir(t)))
  t.equal(code, 64)
  t.match(stderr, "'tcsh' is none of bash, zsh, fish")
})
