// Measures weiyun-mount next to rclone over one simulated network, prints the table and appends it
// to the notes. Called by scripts/bench, which installs what it needs.
import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Bench, FULL, QUICK, type Row } from './bench.ts'
import { Network } from './network.ts'
import { Rclone } from './rclone.ts'
import { firstBytes, random, sequential } from './rows-read.ts'
import { find, known } from './rows-tree.ts'
import { copyInside, rsync, smallFiles } from './rows-write.ts'
import { Readings } from './table.ts'
import { Weiyun } from './weiyun.ts'

const NOTES = fileURLToPath(new URL('../../native-notes/performance.md', import.meta.url))
const SHAPE = { rttMs: 40, bandwidth: 8 * 1024 * 1024 }
const ROWS: readonly Row[] = [
  sequential,
  firstBytes,
  random,
  smallFiles,
  rsync,
  copyInside,
  find,
  known,
]

const HELP = `usage: scripts/bench [--runs N] [--only ROW[,ROW]] [--quick] [--dialect NAME]
                     [--no-peer] [--no-note] [--profile DIR]

  --runs N       runs of every row; the table has their medians (3)
  --only ROW     of ${ROWS.map((row) => row.name).join(', ')}
  --quick        a fraction of the work, one run, nothing appended to the notes
  --dialect      classic or webapp (classic)
  --no-peer      without rclone
  --no-note      nothing appended to native-notes/performance.md
  --profile DIR  leave processor profiles of our mounts there
`

function parseOptions() {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      dialect: { type: 'string', default: 'classic' },
      'no-peer': { type: 'boolean', default: false },
      'no-note': { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const names = values.only?.split(',')
  const rows = ROWS.filter((row) => names?.includes(row.name) ?? true)
  if (rows.length < (names?.length ?? 0)) throw new Error(`no such row in ${values.only}`)
  const runs = Number(values.runs ?? (values.quick ? 1 : 3))
  if (!(runs > 0)) throw new Error(`--runs ${values.runs}`)
  return { ...values, rows, runs }
}

type Options = ReturnType<typeof parseOptions>

/** Starts what the rows need, runs them, and takes all of it down again. */
async function measure(options: Options): Promise<Readings> {
  await using parts = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'weiyun-bench-'))
  parts.defer(() => rm(dir, { recursive: true, force: true }))
  // Control sockets of these mounts, and nothing else of this user's.
  process.env.XDG_RUNTIME_DIR = join(dir, 'run')
  const network = await Network.start(SHAPE)
  parts.defer(() => network.close())
  const { dialect, profile: profileDir } = options
  const weiyun = await Weiyun.start({ dir: join(dir, 'weiyun'), network, dialect, profileDir })
  parts.defer(() => weiyun.close())
  const rclone = await Rclone.start({ dir: join(dir, 'rclone'), network })
  parts.defer(() => rclone.close())

  const readings = new Readings()
  const bench: Bench = {
    network,
    weiyun,
    rclone,
    programs: options['no-peer'] ? [weiyun] : [weiyun, rclone],
    scale: options.quick ? QUICK : FULL,
    dir: join(dir, 'local'),
    note: () => {},
  }
  await mkdir(bench.dir)
  await Promise.race([runRows(bench, readings, options), interrupted()])
  return readings
}

async function runRows(bench: Bench, readings: Readings, { rows, runs }: Options): Promise<void> {
  // All of it before the first look: rclone's server keeps the listings that it made.
  for (const row of rows) await row.prepare?.(bench)
  for (const row of rows) {
    bench.note = (who, what, value) => {
      console.error(`${row.name}: ${what}, ${who}: ${Number(value.toPrecision(4))}`)
      readings.note(row.name, who, what, value)
    }
    for (let index = 1; index <= runs; index++) await row.run(bench, String(index))
  }
}

/** Rejects at a signal, so that mounts and processes are taken down as after a failure. */
function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => reject(new Error(signal)))
    }
  })
}

function heading({ runs, dialect, quick }: Options): string {
  const [version = ''] = execFileSync('rclone', ['version'], { encoding: 'utf8' }).split('\n')
  const git = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const date = new Date().toISOString().slice(0, 16).replace('T', ' ')
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), Linux ${release()}`
  const versions = `Node ${process.version}, ${version}`
  const work = `${dialect} dialect, ${runs} runs${quick ? ', a fraction of the work' : ''}`
  return `### ${date} UTC, ${git}\n\n${machine}, ${versions}; ${work}.`
}

function fail(error: unknown, exitCode: number): never {
  console.error(`bench: ${error instanceof Error ? error.message : error}`)
  process.exit(exitCode)
}

async function main(): Promise<void> {
  let options: Options
  try {
    options = parseOptions()
  } catch (error) {
    fail(error, 64)
  }
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const readings = await measure(options).catch((error: unknown) => fail(error, 1))
  const text = `${heading(options)}\n\n${readings.table()}\n`
  console.log(text)
  if (!options.quick && !options['no-note']) await appendFile(NOTES, `\n${text}`)
}

await main()
