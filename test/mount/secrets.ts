// Whatever goes well or wrong, the session is in its own file and nowhere else.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { noFuse } from '../fixtures/mount.ts'
import { gone, MountBench } from '../fixtures/mount-cli.ts'
import { exposure, filesWithSecrets, secretsOf } from '../fixtures/secrets.ts'

const FAULTS = ['html', 'malformed', 'reset', 'truncated', 'status-403', 'expired-session']

for (const dialect of ['classic', 'webapp']) {
  t.test(`${dialect}: files, logs, arguments, cores`, { skip: noFuse }, async (t) => {
    const bench = await MountBench.open(t)
    const session = bench.standin.sessions[dialect] ?? ''
    const secrets = await secretsOf(session)
    t.ok(secrets.length >= 2, 'there is something to look for')
    await bench.standin.admin.put({ path: 'a.txt', content: Buffer.from('hello') })

    const log = join(bench.home, 'mount.log')
    const where = [bench.mountpoint, '--service', bench.standin.url, '--session', session]
    const options = ['--log-level', 'trace', '--log-file', log, '--write-back', '10ms']
    const started = await bench.run(...where, ...options)
    t.equal(started.code, 0, started.stderr)
    const { pid } = JSON.parse((await bench.run('status', '--json')).stdout)
    const { argv, coreLimit } = await exposure(pid)
    t.equal(coreLimit, '0', 'a crash leaves no core')
    t.notOk(secrets.some((secret) => argv.includes(secret)))

    t.equal(await readFile(join(bench.mountpoint, 'a.txt'), 'utf8'), 'hello')
    for (const kind of FAULTS) {
      bench.standin.admin.setFaults([{ kind, times: 3 }])
      await writeFile(join(bench.mountpoint, `${kind}.txt`), kind)
      await sleep(100)
    }
    bench.standin.admin.setFaults([])
    await bench.standin.admin.rotateSession()
    secrets.push(...(await secretsOf(session)))
    const said = [
      await bench.run('sync'),
      await bench.run('status'),
      await bench.run('status', '--metrics'),
      await bench.run('doctor', '--json', ...where.slice(1)),
      await bench.run('unmount', bench.mountpoint),
    ]
    await gone(pid)
    const words = said.map(({ stdout, stderr }) => stdout + stderr).join('')
    t.notOk(
      secrets.some((secret) => words.includes(secret)),
      'nothing is said',
    )
    t.match(await readFile(log, 'utf8'), /"level":20/, 'there is a log to look at')
    t.same(await filesWithSecrets(bench.home, secrets, [join(bench.home, 'service')]), [])
    t.same(
      await filesWithSecrets(join(bench.home, 'service/sessions'), secrets),
      [session],
      'found',
    )
  })
}
