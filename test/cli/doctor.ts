// One fault after another, seeded on a machine that is well otherwise: each is found, and comes
// with a remedy.
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t, { type Test } from 'tap'
import { lockCacheDir, openCacheDir } from '../../src/cache/cachedir.ts'
import { StateFile } from '../../src/cache/state.ts'
import type { Finding, Machine } from '../../src/cli/checks/finding.ts'
import { loadConfig } from '../../src/cli/config.ts'
import { examine, REAL_MACHINE } from '../../src/cli/doctor.ts'
import { findProgram } from '../../src/cli/fuse-helper.ts'
import { type Standin, startStandin } from '../../src/standin/index.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

const MiB = 1024 * 1024

/** A home, a service, and the arguments with which they are well. */
interface Patient {
  readonly home: string
  readonly standin: Standin
  readonly session: string
  readonly args: readonly string[]
}

async function healthy(t: Test): Promise<Patient> {
  const home = await tempDir(t)
  const standin = await startStandin({ dataDir: join(home, 'data') })
  t.teardown(() => standin.close())
  const session = standin.sessions.classic ?? ''
  return { home, standin, session, args: ['--service', standin.url, '--session', session] }
}

interface Report {
  readonly ok: boolean
  /** -1: it says nothing. */
  readonly code: number | string
  readonly findings: readonly Finding[]
}

/** As users run it. */
async function doctor({ home }: Patient, args: readonly string[], env = {}): Promise<Report> {
  const result = await runCli(['doctor', '--json', ...args], { ...homeEnv(home), ...env })
  if (result.stderr !== '') throw new Error(result.stderr)
  const { findings } = JSON.parse(result.stdout)
  return alone(findings, result.code)
}

/**
 * Without the mounts that others have on this machine, whose state is no business of these tests.
 */
function alone(all: readonly Finding[], code: number | string): Report {
  const findings = all.filter(({ check }) => check !== 'mounts')
  const isSpoiled = all.some(({ check, level }) => check === 'mounts' && level === 'fail')
  const ok = findings.every(({ level }) => level !== 'fail')
  return { ok, code: isSpoiled ? -1 : code, findings }
}

/** In this process, on a machine that is broken in a way that no test may break a real one. */
async function doctorOn(patient: Patient, broken: Partial<Machine>, flags = {}): Promise<Report> {
  const env = homeEnv(patient.home)
  const given = { service: patient.standin.url, session: patient.session, ...flags }
  const config = await loadConfig({ env, flags: given })
  const machine = { ...REAL_MACHINE, ...broken }
  return alone(await examine({ config, env, machine, mountpoint: undefined }), -1)
}

/** The fault is found by that check and no other fails; what fails or warns says what helps. */
function expect(t: Test, report: Report, check: string, level: string, message: RegExp): void {
  const found = report.findings.filter((finding) => finding.check === check)
  const fault = found.find((finding) => finding.level === level && message.test(finding.message))
  t.ok(fault, `${check}: ${JSON.stringify(found)}`)
  t.ok((fault?.remedy ?? fault?.message ?? '').length > 5, 'with a remedy')
  const others = report.findings.filter((finding) => finding.level === 'fail' && finding !== fault)
  t.same(others, [], 'and nothing else is blamed')
  t.equal(report.ok, level !== 'fail')
  if (report.code !== -1) t.equal(report.code, level === 'fail' ? 1 : 0)
}

t.test('all is well', async (t) => {
  const patient = await healthy(t)
  const mountpoint = join(patient.home, 'mnt')
  await mkdir(mountpoint)
  const report = await doctor(patient, [mountpoint, ...patient.args])
  t.same(
    report.findings.filter(({ level }) => level !== 'ok'),
    [],
  )
  t.equal(report.ok, true)
})

t.test('this machine', async (t) => {
  const patient = await healthy(t)
  const { home, args } = patient
  const seeded = (broken: Partial<Machine>, flags = {}) => doctorOn(patient, broken, flags)
  expect(t, await seeded({ nodeVersion: '20.11.1' }), 'node', 'fail', /too old/)
  expect(t, await seeded({ fuseDevice: join(home, 'no') }), 'fuse', 'fail', /is missing/)
  const conf = { fuseConf: join(home, 'fuse.conf'), uid: process.getuid?.() ?? 0 }
  await writeFile(conf.fuseConf, '#user_allow_other\n')

  const empty = { PATH: join(home, 'nothing') }
  expect(t, await doctor(patient, args, empty), 'fusermount', 'fail', /fusermount3 is missing/)

  // As an ordinary user sees it: files of root are another user's then, so only these checks count.
  const ordinary = (await seeded({ ...conf, uid: 4711 }, { allowOther: 'true' })).findings
  const allow = ordinary.find(({ check }) => check === 'allow-other')
  t.match(allow, { level: 'fail', message: /no user_allow_other/, remedy: /add the line/ })
  const bin = join(home, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'fusermount3'), '', { mode: 0o755 })
  const before = process.env.PATH
  process.env.PATH = bin
  t.equal(await findProgram('fusermount3'), join(bin, 'fusermount3'))
  const helper = (await seeded({ uid: 4711 })).findings.find(({ check }) => check === 'fusermount')
  process.env.PATH = before
  t.match(helper, { level: 'fail', message: /not setuid root/, remedy: /chmod u\+s/ })
})

t.test('the configuration', async (t) => {
  const patient = await healthy(t)
  const file = join(patient.home, '.config/weiyun-mount/config.toml')
  await mkdir(dirname(file), { recursive: true })
  const faults: [string, RegExp][] = [
    ['cache-size = "10G', /config\.toml/],
    ['cache-siz = "10G"', /unknown option 'cache-siz'/],
    ['cache-size = "lots"', /'lots' is not a size/],
    ['cache-size = { a = 1 }', /neither text/],
  ]
  for (const [text, message] of faults) {
    await writeFile(file, text)
    expect(t, await doctor(patient, patient.args), 'config', 'fail', message)
  }
  await writeFile(file, '')
  const wrong = { WEIYUN_MOUNT_DRAIN: 'soon' }
  expect(t, await doctor(patient, patient.args, wrong), 'config', 'fail', /WEIYUN_MOUNT_DRAIN/)
  const usage = await runCli(['doctor', '--cache-size', 'lots'], homeEnv(patient.home))
  t.equal(usage.code, 64, 'a wrong command line is no finding')
})

t.test('the mount point', async (t) => {
  const patient = await healthy(t)
  const at = (name: string) => join(patient.home, name)
  await writeFile(at('file'), '')
  await mkdir(at('full/x'), { recursive: true })
  await mkdir(at('mnt'))
  const faults: [string, RegExp, string[]][] = [
    [at('missing'), /no such directory/, []],
    [at('file'), /is not a directory/, []],
    [at('full'), /is not empty/, []],
    ['/proc', /another kind \(proc\)/, []],
    [at('mnt'), /must not lie inside the mount/, ['--cache-dir', at('mnt/cache')]],
  ]
  for (const [path, message, more] of faults) {
    const report = await doctor(patient, [path, ...patient.args, ...more])
    expect(t, report, 'mountpoint', 'fail', message)
  }
})

t.test('the directories', async (t) => {
  const patient = await healthy(t)
  const { home, args } = patient
  const at = (name: string) => join(home, name)
  await writeFile(at('file'), '')
  const look = (...more: string[]) => doctor(patient, [...args, ...more])
  expect(t, await look('--cache-dir', at('file')), 'cache', 'fail', /not a directory/)
  expect(t, await look('--state-dir', at('file/x')), 'state', 'fail', /ENOTDIR|not a directory/)
  await mkdir(at('open'))
  await chmod(at('open'), 0o755)
  expect(t, await look('--cache-dir', at('open')), 'cache', 'warn', /others can look/)
  expect(t, await look('--cache-size', '900T'), 'space', 'warn', /for a cache of 900 TiB/)
  const statfs: Machine['statfs'] = async (path) => ({
    ...(await REAL_MACHINE.statfs(path)),
    bavail: 10,
    bsize: MiB,
  })
  expect(t, await doctorOn(patient, { statfs }), 'space', 'fail', /^10 MiB free/)
})

t.test(
  'directories of somebody else',
  { skip: process.getuid?.() !== 0 && 'root only' },
  async (t) => {
    const patient = await healthy(t)
    const cacheDir = join(patient.home, 'theirs')
    await mkdir(cacheDir, { mode: 0o700 })
    await chown(cacheDir, 4711, 4711)
    const look = () => doctor(patient, [...patient.args, '--cache-dir', cacheDir])
    expect(t, await look(), 'cache', 'fail', /another user/)
    await chown(cacheDir, 0, 0)
    await chown(patient.session, 4711, 4711)
    expect(t, await look(), 'session', 'fail', /another user/)
  },
)

t.test('what lies on the disk', async (t) => {
  const patient = await healthy(t)
  const { home, args } = patient
  const cacheDir = join(home, '.cache/weiyun-mount')
  const dir = join(cacheDir, 'account')
  const state = join(home, '.local/state/weiyun-mount/account/state.db')
  for (const path of [cacheDir, dirname(dirname(state))]) await mkdir(path, { recursive: true })
  for (const path of [cacheDir, dirname(dirname(state))]) await chmod(path, 0o700)
  await mkdir(dirname(state))
  await openCacheDir({ dir })
  const look = () => doctor(patient, args)

  await (await StateFile.open(state)).close()
  expect(t, await look(), 'leftovers', 'ok', /nothing is left/)

  await writeFile(join(dir, 'staging/0123456789abcdef'), 'unsent')
  expect(t, await look(), 'leftovers', 'warn', /1 file \(6 B\) wait .* nothing is mounted/)
  const lock = await lockCacheDir(dir)
  expect(t, await look(), 'leftovers', 'ok', new RegExp(`in use by process ${process.pid}`))
  lock.release()
  await mkdir(join(dir, 'staging/recovered'))
  await writeFile(join(dir, 'staging/recovered/x'), 'half')
  expect(t, await look(), 'leftovers', 'warn', /1 file \(4 B\) that no program was promised/)

  const format = join(dir, 'format.json')
  const text = await readFile(format, 'utf8')
  await writeFile(format, '{"version": 99}')
  expect(t, await look(), 'leftovers', 'fail', /newer weiyun-mount/)
  await writeFile(format, text)

  const db = new DatabaseSync(state)
  db.exec('PRAGMA user_version = 99; PRAGMA application_id = 0x57590063')
  db.close()
  expect(t, await look(), 'leftovers', 'fail', /state\.db was written by a newer/)
  await writeFile(state, Buffer.alloc(8192, 'x'))
  expect(t, await look(), 'leftovers', 'fail', /state\.db is damaged/)
  await writeFile(state, '')

  const foreign = join(cacheDir, 'photos')
  await mkdir(foreign)
  await writeFile(join(foreign, 'holiday.jpg'), '')
  expect(t, await look(), 'leftovers', 'fail', /other files in it: holiday\.jpg/)
})

t.test('the session', async (t) => {
  const patient = await healthy(t)
  const { standin, session } = patient
  const service = ['--service', standin.url]
  const missing = await doctor(patient, service)
  expect(t, missing, 'session', 'fail', /no session at .* run `weiyun-mount login`/)
  t.match(
    missing.findings.find(({ check }) => check === 'service'),
    { level: 'warn', message: 'not asked' },
  )
  await chmod(session, 0o644)
  expect(t, await doctor(patient, patient.args), 'session', 'fail', /chmod 600/)
  await chmod(session, 0o600)
  const other = [...patient.args, '--dialect', 'webapp']
  expect(t, await doctor(patient, other), 'session', 'fail', /is a classic session, not webapp/)
  const broken = join(patient.home, 'broken.json')
  await writeFile(broken, '{"dialect"', { mode: 0o600 })
  expect(t, await doctor(patient, [...service, '--session', broken]), 'session', 'fail', /not JSON/)
  const link = join(patient.home, 'dangling.json')
  await symlink(join(patient.home, 'gone'), link)
  expect(t, await doctor(patient, [...service, '--session', link]), 'session', 'fail', /no session/)
})

t.test('the service', async (t) => {
  const patient = await healthy(t)
  const { admin } = patient.standin
  const look = (...more: string[]) => doctor(patient, [...patient.args, ...more])
  admin.expireSession()
  expect(t, await look(), 'service', 'fail', /the session has expired/)
  admin.reviveSession()
  await admin.put({ path: 'a.txt', content: Buffer.from('hello') })
  admin.setQuota({ totalSpace: 5 })
  expect(t, await look(), 'service', 'warn', /nearly full: 5 B of 5 B/)
  admin.setQuota({ totalSpace: 1024 ** 4 })
  const faults: [string, string, RegExp][] = [
    ['html', 'fail', /cannot be understood/],
    ['reset', 'fail', /cannot be reached/],
    ['stall', 'fail', /does not answer in time/],
    ['busy', 'warn', /slow down|problem of its own/],
    ['status-503', 'warn', /problem of its own|slow down/],
  ]
  for (const [kind, level, message] of faults) {
    admin.setFaults([{ kind, match: 'query_user' }])
    const patience = kind === 'stall' ? '1s' : '10s'
    expect(t, await look('--timeout', patience), 'service', level, message)
  }
  admin.setFaults([])
  const proxied = { HTTPS_PROXY: 'http://127.0.0.1:1' }
  expect(t, await doctor(patient, patient.args, proxied), 'proxy', 'warn', /HTTPS_PROXY is set/)
  const nobody = ['--service', 'http://127.0.0.1:1', '--session', patient.session]
  const down = await doctor(patient, nobody)
  expect(t, down, 'service', 'fail', /cannot be reached .*ECONNREFUSED/)
})

t.test('the way to it', async (t) => {
  const patient = await healthy(t)
  const lookup: Machine['lookup'] = () =>
    Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
  expect(t, await doctorOn(patient, { lookup }), 'dns', 'fail', /cannot be resolved \(ENOTFOUND\)/)
  const nowMs = () => Date.now() + 2 * 3600_000
  expect(t, await doctorOn(patient, { nowMs }), 'clock', 'fail', /off by [12]h/)
  const timeless = createServer((_request, response) => {
    response.sendDate = false
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => timeless.close())
  await once(timeless, 'listening')
  const service = `http://127.0.0.1:${(timeless.address() as AddressInfo).port}`
  const { findings } = await doctorOn(patient, {}, { service })
  t.match(
    findings.find(({ check }) => check === 'clock'),
    { level: 'ok', message: /told no time/ },
  )
})

t.test('for people', async (t) => {
  const { home, standin } = await healthy(t)
  const args = ['doctor', '--cache-size', '900T', '--service', standin.url]
  const { stdout, code } = await runCli(args, homeEnv(home))
  t.match(stdout, /^ok {4}node {9}Node \d+/m)
  t.match(stdout, /^fail {2}session {6}no session at /m)
  t.match(stdout, /^warn {2}space .*\n {19}→ /m)
  t.equal(code, 1)
})
