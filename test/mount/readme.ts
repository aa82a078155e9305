// What README shows works as it is shown: commands in a home of their own, from a checkout and as
// installed, and the program that uses the library.
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { LOADERS } from '../../src/cli/load.ts'
import { commandShapes } from '../../src/cli/shape.ts'
import { homeEnv, tempDir } from '../fixtures/cli.ts'
import { MountBench, noFuse } from '../fixtures/mount-cli.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const README = await readFile(join(ROOT, 'README.md'), 'utf8')

/** The block of code below a heading, or the nth of them. */
function block(heading: string, nth = 0): string {
  const [, section = ''] = README.split(`\n## ${heading}\n`)
  const blocks = [...section.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)]
  const text = blocks[nth]?.[1]
  if (text === undefined) throw new Error(`no code below ${heading}`)
  return text
}

/** A home whose PATH has the program, and a directory that looks like a checkout. */
async function setUp(t: Test) {
  const home = await tempDir(t)
  const bin = join(home, 'bin')
  for (const dir of [bin, join(home, 'some/folder')]) await mkdir(dir, { recursive: true })
  await writeFile(join(home, 'some/folder/微云.txt'), 'hello')
  await symlink(join(ROOT, 'scripts'), join(home, 'scripts'))
  const program = join(bin, 'weiyun-mount')
  await writeFile(program, `#!/bin/sh\nexec ${ROOT}scripts/weiyun-mount "$@"\n`)
  await chmod(program, 0o755)
  const env = { ...homeEnv(home), PATH: `${bin}:${process.env.PATH}` }
  t.teardown(() => run('fusermount3', ['-uz', join(home, 'weiyun')]).catch(() => {}))
  const sh = (script: string) => run('bash', ['-eu', '-c', script], { cwd: home, env })
  return { home, env, sh }
}

t.test('every command and option is one that there is', async (t) => {
  const shapes = await commandShapes(LOADERS)
  const [mount] = shapes
  const shown = README.matchAll(/(?:^|[`/ ])weiyun-mount ((?:[a-z]+|~\/\S+)\b[^`#\n>&|]*)/gm)
  let count = 0
  for (const [line, words = ''] of shown) {
    const [first = '', ...rest] = words.trim().split(/\s+/)
    const shape = shapes.find(({ name }) => name === first) ?? (first.startsWith('~') && mount)
    if (!shape) continue
    count++
    const flags = shape.options.flatMap((option) => option.flags)
    for (const word of rest.filter((word) => word.startsWith('--')))
      t.ok(flags.includes(word), `${line.trim()}: ${word}`)
  }
  t.ok(count > 10, `${count} found`)
})

t.test('the first steps, line by line', { skip: noFuse }, async (t) => {
  const { home, sh } = await setUp(t)
  const steps = block('Try it without an account')
  const { stdout } = await sh(steps.replace(/^.* status\b/m, 'scripts/weiyun-mount sync\n$&'))
  t.match(stdout, /weiyun: ready, process \d+\n[\s\S]*pending {3}nothing/)
  await sh('weiyun-mount ~/weiyun --local')
  t.equal((await sh('cat ~/weiyun/folder/微云.txt')).stdout, 'hello')

  const completions = block('Install it').match(/^mkdir.*\n.*completions bash.*$/m)?.[0]
  await sh(completions ?? 'false')
  const completion = join(home, '.local/share/bash-completion/completions/weiyun-mount')
  t.match(await readFile(completion, 'utf8'), '_weiyun_mount')

  const [, everyDay = ''] = README.split('\n### Every day\n')
  for (const [, command = ''] of everyDay.matchAll(/`weiyun-mount ((?:sync|warm|free) [^`]+)`/g)) {
    const path = command.split(' ')[1] ?? ''
    await sh(`mkdir -p ${path}; touch ${path}/file; weiyun-mount ${command}`)
  }
  t.match((await sh('weiyun-mount status --metrics')).stdout, 'weiyun_mount_quota_bytes{')
  t.match((await sh('getfattr -d ~/weiyun/folder/*.txt')).stdout, /^user.weiyun.sha1="\w{40}"$/m)
  await sh('weiyun-mount unmount ~/weiyun')
})

t.test('the program that uses the library', { skip: noFuse }, async (t) => {
  const bench = await MountBench.open(t)
  await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello\n') })
  const library = new URL('../../src/weiyun/index.ts', import.meta.url).href
  const program = join(bench.home, 'example.ts')
  await writeFile(program, block('As a library').replace("'weiyun-mount'", `'${library}'`))
  const args = [program, bench.session, bench.standin.url]
  const { stdout } = await run(process.execPath, args, { env: bench.env })
  t.match(stdout, /^6 of \d+ bytes used\nfile a\.txt\nhello\n$/)
  t.same(bench.remoteNames().sort(), ['a.txt', 'new folder'])
})
