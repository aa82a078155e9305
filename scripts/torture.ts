// Generated work on real mounts that are killed and disturbed, until the time is over. Each round
// follows from its seed; what fails is printed with the seed that plays it again: `scripts/torture
// --seed N --rounds 1`, with the same `--dialect`.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DIALECT, dialectNamed } from '../test/fixtures/dialect.ts'
import { makeProgram, removeProgram } from '../test/fixtures/torture/program.ts'
import {
  abandonRound,
  playRound,
  type RoundOptions,
  type RoundResult,
} from '../test/fixtures/torture/round.ts'
import { Sums } from '../test/fixtures/torture/sums.ts'

const HELP = `usage: scripts/torture [--minutes N] [--seed S] [--rounds N] [--phases N] [--jobs N]
                       [--dialect NAME] [--failures N] [--no-kills] [--no-faults] [--no-losses]

  --minutes N   begins no new round after that (1)
  --seed S      of the first round; the next one has the next seed
  --rounds N    how many
  --phases N    stretches of work in a round
  --jobs N      rounds at a time (2)
  --dialect     classic or webapp (classic)
  --failures N  ends after so many (10)
  --no-kills    the program is not killed
  --no-faults   the service does what it is asked
  --no-losses   no power cuts, no ruined state files
`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    minutes: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
    dialect: { type: 'string', default: DIALECT },
    jobs: { type: 'string', default: '2' },
    kills: { type: 'boolean', default: true },
    faults: { type: 'boolean', default: true },
    losses: { type: 'boolean', default: true },
    failures: { type: 'string', default: '10' },
    phases: { type: 'string' },
  },
  allowNegative: true,
})

/** How often a long run says how far it has come. */
const REPORT_MS = 5 * 60_000

/** Each player is a process: what stops one event loop stops no other round. */
async function play(): Promise<void> {
  // Nobody is left to hear how it ends.
  process.once('disconnect', () => void abandonRound().finally(() => process.exit()))
  process.on('message', async (options: RoundOptions) => {
    process.send?.(await playRound(options))
  })
}

async function dead(player: ChildProcess): Promise<never> {
  const [code] = await once(player, 'exit')
  throw new Error(`a player ended with ${code}`)
}

async function conduct(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const dialect = dialectNamed(values.dialect)
  const end = Date.now() + Number(values.minutes) * 60_000
  const sums = new Sums()
  let failures = 0
  const program = await makeProgram()
  let seed = Number(values.seed)
  let left = Number(values.rounds)
  console.log(`torture: seed ${seed}, ${dialect}`)
  const job = async (): Promise<void> => {
    // The mount's calls wait in libuv's threads, and the service needs some of its own.
    const env = { ...process.env, UV_THREADPOOL_SIZE: '16' }
    const player = fork(fileURLToPath(import.meta.url), [], { env })
    const leave = (): void => {
      if (player.connected) player.disconnect()
    }
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, leave)
    const ended = dead(player)
    ended.catch(() => {})
    while (Date.now() < end && left-- > 0 && failures < Number(values.failures)) {
      const { kills, faults, losses } = values
      const phases = values.phases === undefined ? undefined : Number(values.phases)
      const options: RoundOptions = {
        seed: seed++,
        dialect,
        program,
        kills,
        faults,
        losses,
        ...(phases !== undefined && { phases }),
      }
      player.send(options)
      const [result] = (await Promise.race([once(player, 'message'), ended])) as [RoundResult]
      sums.add(result.sums)
      if (result.failure === undefined) continue
      failures++
      console.log(`\nFAILED: seed ${options.seed}, ${dialect}\n${result.failure}`)
    }
    leave()
  }
  const report = (): void => console.log(`torture:\n${sums.text(program.points.length)}`)
  const now = setInterval(report, REPORT_MS)
  try {
    await Promise.all(Array.from({ length: Number(values.jobs) }, job))
  } finally {
    clearInterval(now)
    await removeProgram(program)
  }
  report()
  console.log(`${failures} failed`)
  process.exitCode = failures > 0 ? 1 : 0
}

await (process.send === undefined ? conduct() : play())
