// Tries applications in a mount of the local service and prints a line for each. Installs nothing
// unless it is told to: what is missing is named by its Debian package, and the line says so.
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type App, Desk } from '../test/fixtures/apps/desk.ts'
import { APPS } from '../test/fixtures/apps/index.ts'
import type { Scope } from '../test/fixtures/cli.ts'
import type { Dialect } from '../test/fixtures/mount-cli.ts'

const USAGE = `usage: scripts/apps [APP…] [--dialect classic|webapp] [--install]
  APP        ${APPS.map(({ name }) => name).join(' ')}
  --dialect  of the mounts; without it: both
  --install  first installs the Debian packages that are missing`
const DIALECTS = ['classic', 'webapp'] as const

interface Result {
  passed: 'yes' | 'no' | 'skipped'
  requests?: number
  seconds?: number
  note: string
}

function readArguments(): { apps: App[]; dialects: readonly Dialect[]; install: boolean } {
  const { values, positionals } = parseArgs({
    options: { dialect: { type: 'string' }, install: { type: 'boolean' } },
    allowPositionals: true,
  })
  const unknown = positionals.find((name) => APPS.every((app) => app.name !== name))
  if (unknown !== undefined) throw new Error(`'${unknown}' is none of the applications`)
  const dialects = DIALECTS.filter((name) => [undefined, name].includes(values.dialect as Dialect))
  if (dialects.length === 0) throw new Error(`'${values.dialect}' is no dialect`)
  const apps = APPS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  return { apps, dialects, install: values.install ?? false }
}

async function missing({ needs = {} }: App): Promise<string[]> {
  const found = await Promise.all(Object.keys(needs).map(isThere))
  return [...new Set(Object.values(needs).filter((_, n) => !found[n]))]
}

/** A program of the search path, or a file. */
async function isThere(name: string): Promise<boolean> {
  const dirs = isAbsolute(name) ? [''] : (process.env.PATH ?? '').split(delimiter)
  const tried = await Promise.allSettled(dirs.map((dir) => access(join(dir, name))))
  return tried.some(({ status }) => status === 'fulfilled')
}

async function installMissing(apps: readonly App[]): Promise<void> {
  const packages = [...new Set((await Promise.all(apps.map(missing))).flat())]
  if (packages.length === 0) return
  console.log(`installing ${packages.join(' ')}`)
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages]
  const [program = '', ...args] = process.getuid?.() === 0 ? command : ['sudo', ...command]
  await promisify(execFile)(program, args, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
}

async function tryApp(app: App, dialect: Dialect): Promise<Result> {
  const absent = await missing(app)
  if (absent.length > 0) return { passed: 'skipped', note: `apt-get install ${absent.join(' ')}` }
  const scope = new Ending()
  const began = Date.now()
  const figures = (desk: Desk) => ({
    requests: desk.requests,
    seconds: Math.round((Date.now() - began) / 1000),
  })
  let desk: Desk | undefined
  try {
    desk = await Desk.open(scope, app, dialect)
    const note = (await app.work(desk)) ?? ''
    return { passed: 'yes', ...figures(desk), note }
  } catch (error) {
    console.error(`\n${app.name} (${dialect}): ${error instanceof Error ? error.stack : error}`)
    console.error(desk?.rig.log)
    return { passed: 'no', ...(desk && figures(desk)), note: 'see above' }
  } finally {
    await scope.end()
  }
}

/** What was opened last is closed first. */
class Ending implements Scope {
  readonly #work: (() => unknown)[] = []

  teardown(work: () => unknown): void {
    this.#work.push(work)
  }

  async end(): Promise<void> {
    for (const work of this.#work.reverse()) await work()
  }
}

function row(cells: readonly (string | number | undefined)[]): string {
  const widths = [12, 8, 8, 9, 8]
  return cells
    .map((cell, n) => String(cell ?? '').padEnd(widths[n] ?? 0))
    .join(' ')
    .trimEnd()
}

async function main(): Promise<number> {
  const { apps, dialects, install } = readArguments()
  if (install) await installMissing(apps)
  console.log(row(['application', 'dialect', 'passed', 'requests', 'seconds', 'note']))
  let failed = 0
  for (const app of apps) {
    for (const dialect of dialects) {
      const { passed, requests, seconds, note } = await tryApp(app, dialect)
      console.log(row([app.name, dialect, passed, requests, seconds, note]))
      if (passed !== 'yes') failed++
    }
  }
  return failed === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`scripts/apps: ${(error as Error).message}\n${USAGE}`)
  process.exitCode = 64
}
