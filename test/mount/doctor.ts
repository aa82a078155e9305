// What the doctor says of mounts that are there: well, dead, silent, or with files that cannot be
// sent.
import { mkdir, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { Finding } from '../../src/cli/checks/finding.ts'
import { mountTest, Rig, until, WIRE } from '../fixtures/mount.ts'

async function findings(rig: Rig, check: string, ...args: string[]): Promise<Finding[]> {
  const { bench } = rig
  const where = ['--service', bench.standin.url, '--session', bench.session]
  const { stdout } = await rig.bench.run('doctor', '--json', ...args, ...where)
  const report: { findings: Finding[] } = JSON.parse(stdout)
  return report.findings.filter((finding) => finding.check === check)
}

/** Others may have mounts on this machine too. */
async function aboutMount(rig: Rig): Promise<Finding[]> {
  const all = await findings(rig, 'mounts')
  return all.filter(({ message }) => message.startsWith(rig.bench.mountpoint))
}

function faulty(t: Test, found: readonly Finding[], level: string, message: RegExp): void {
  const fault = found.find((finding) => finding.level === level && message.test(finding.message))
  t.ok(fault?.remedy, JSON.stringify(found))
}

mountTest(t, 'a mount that is well', async (t) => {
  const rig = await Rig.open(t)
  t.match(await aboutMount(rig), [{ level: 'ok', message: /ready, process \d+$/ }])
  const { mountpoint } = rig.bench
  t.match(await findings(rig, 'mountpoint', mountpoint), [{ level: 'ok', message: /is mounted/ }])
  await mkdir(rig.path('sub'))
  faulty(t, await findings(rig, 'mountpoint', rig.path('sub')), 'fail', /lies inside the mount/)
  t.equal(await rig.stop(), 0)
})

mountTest(t, 'files that cannot be sent, each with what helps', async (t) => {
  const rig = await Rig.open(t)
  await mkdir(rig.path('d'))
  await rig.sync()
  rig.admin.setFaults([{ kind: 'ret:1053', match: WIRE.announce }])
  await writeFile(rig.path('d/full.bin'), 'hello')
  await until(async () => (await rig.status()).pending[0]?.state === 'error', 'it is refused')
  faulty(t, await aboutMount(rig), 'warn', /d\/full\.bin: the drive is full/)
  t.match((await rig.bench.run('status')).stdout, /the drive is full → make room/)
  rig.admin.setFaults([])
  rig.admin.expireSession()
  await writeFile(rig.path('d/other.bin'), 'hello')
  await until(async () => (await rig.status()).session === 'expired', 'the session is dead')
  faulty(t, await aboutMount(rig), 'fail', /the session has expired/)
  rig.admin.reviveSession()
})

mountTest(t, 'a process that hangs, then one that was killed', async (t) => {
  const rig = await Rig.open(t)
  rig.mount?.child.kill('SIGSTOP')
  faulty(t, await aboutMount(rig), 'fail', /does not answer/)
  for (const command of [['status'], ['status', '--json'], ['doctor']]) {
    const { code } = await rig.bench.run(...command, rig.bench.mountpoint)
    t.ok([1, 69].includes(Number(code)), `${command.join(' ')} does not wait for it`)
  }
  rig.mount?.child.kill('SIGCONT')
  await rig.kill()
  faulty(t, await aboutMount(rig), 'fail', /left behind by a process that was killed/)
})
