// `weiyun-mount doctor`: looks for what keeps a mount from working, and says what helps.
import { lookup } from 'node:dns/promises'
import { statfs } from 'node:fs/promises'
import type { Command } from 'commander'
import * as disk from './checks/disk.ts'
import type { Check, Finding, Machine, Subject } from './checks/finding.ts'
import * as machine from './checks/machine.ts'
import * as mountpoint from './checks/mountpoint.ts'
import * as service from './checks/service.ts'
import { addOptions, configFor, declareCommand } from './command.ts'
import { CliError, EXIT } from './exit.ts'
import { describeFailure } from './explain.ts'
import { tr } from './language.ts'

/** From the ground up: what comes first may explain what comes later. */
const CHECKS: Readonly<Record<string, Check>> = {
  node: machine.node,
  config: machine.config,
  fuse: machine.fuse,
  fusermount: machine.fusermount,
  'allow-other': machine.allowOther,
  mountpoint: mountpoint.mountpoint,
  mounts: mountpoint.mounts,
  cache: disk.cache,
  state: disk.state,
  runtime: disk.runtime,
  space: disk.space,
  leftovers: disk.leftovers,
  proxy: service.proxy,
  dns: service.dns,
  clock: service.clock,
  session: service.session,
  service: service.service,
}

export const REAL_MACHINE: Machine = {
  nodeVersion: process.versions.node,
  uid: process.getuid?.() ?? 0,
  fuseDevice: '/dev/fuse',
  fuseConf: '/etc/fuse.conf',
  lookup: (host) => lookup(host),
  statfs: (path) => statfs(path),
  nowMs: () => Date.now(),
}

/** Everything that the checks find, in their order. */
export async function examine(subject: Subject): Promise<Finding[]> {
  const findings = Object.entries(CHECKS).map(async ([check, look]): Promise<Finding[]> => {
    try {
      const verdicts = [await look(subject)].flat()
      return verdicts.map((verdict) => ({ check, ...verdict }))
    } catch (error) {
      const { message, remedy } = describeFailure(error)
      return [{ check, level: 'fail', message, ...(remedy !== undefined && { remedy }) }]
    }
  })
  return (await Promise.all(findings)).flat()
}

export function declare(): Command {
  const shape = '{ok, findings: [{check, level, message, remedy}]}'
  const command = declareCommand('doctor')
    .argument('[MOUNTPOINT]', tr('where you want to mount'))
    .option('--json', tr('one JSON object: {shape}', { shape }))
    .addHelpText('after', `\n${tr('Exit code 1 when something has failed; warnings alone are 0.')}`)
  addOptions(command, ['session', 'dialect', 'service', 'allowOther', 'cacheDir', 'stateDir'])
  return addOptions(command, ['cacheSize', 'timeoutMs'])
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const subject: Subject = {
    ...(await configOf(command)),
    env: process.env,
    machine: REAL_MACHINE,
    mountpoint: command.args[0],
  }
  const findings = await examine(subject)
  const healthy = findings.every(({ level }) => level !== 'fail')
  if (command.opts<{ json?: boolean }>().json) {
    console.log(JSON.stringify({ ok: healthy, findings }))
  } else {
    for (const finding of findings) console.log(inWords(finding))
  }
  return healthy ? EXIT.OK : EXIT.FAILURE
}

/** A wrong file or variable is a finding; a wrong command line is wrong usage. */
async function configOf(command: Command): Promise<Pick<Subject, 'config' | 'configError'>> {
  try {
    return { config: await configFor(command) }
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode !== EXIT.CONFIG) throw error
    return { config: await configFor(command, { flagsOnly: true }), configError: error }
  }
}

function inWords({ check, level, message, remedy }: Finding): string {
  const line = `${level.padEnd(4)}  ${check.padEnd(11)}  ${message}`
  return remedy === undefined ? line : `${line}\n${' '.repeat(19)}→ ${remedy}`
}
