// A service that takes every request and never answers: nothing that a user does may hang. Without
// the program's own limits each of these would wait for an hour.
import { mkdir, open, readdir, readFile, rename, stat, statfs, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { WIRE } from '../fixtures/dialect.ts'
import { mountTest, Rig, until } from '../fixtures/mount.ts'

const TIMEOUT_MS = 2_000
/** Some make several calls, one after another, and the machine may be busy. */
const LIMIT_MS = 40_000

async function blackHole(t: Test, timeout = `${TIMEOUT_MS}ms`): Promise<Rig> {
  const rig = await Rig.open(t, {
    args: ['--timeout', timeout, '--dir-ttl', '100ms', '--drain', '1s'],
    async prepare(admin) {
      for (const path of ['known', 'unknown']) await admin.mkdir({ path })
      await admin.put({ path: 'known/cached.txt', content: Buffer.from('cached') })
      await admin.put({ path: 'known/cold.txt', content: Buffer.from('cold') })
    },
  })
  t.same(await readdir(rig.path('known')), ['cached.txt', 'cold.txt'])
  t.equal(await readFile(rig.path('known/cached.txt'), 'utf8'), 'cached')
  rig.admin.setFaults([{ kind: 'stall', ms: 3600_000 }])
  return rig
}

/**
 * Resolves with the outcome: a value, or the code of the failure. Fails the test when it takes too
 * long.
 */
async function outcome(t: Test, name: string, work: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((done) => {
    timer = setTimeout(done, LIMIT_MS, 'hangs')
  })
  const code = (error: NodeJS.ErrnoException) => error.code ?? error.message
  const result = await Promise.race([work.then(() => 'ok', code), late])
  clearTimeout(timer)
  t.not(result, 'hangs', `${name}: ${result}`)
  return result
}

mountTest(t, 'every system call returns', async (t) => {
  const rig = await blackHole(t)
  const at = (name: string) => rig.path(name)
  t.equal(await outcome(t, 'read what is cached', readFile(at('known/cached.txt'))), 'ok')
  t.equal(await outcome(t, 'list what is known', readdir(at('known'))), 'ok')
  t.equal(await outcome(t, 'write', writeFile(at('known/new.txt'), 'new')), 'ok')
  t.equal(await outcome(t, 'make a directory', mkdir(at('known/dir'))), 'ok')
  t.equal(await outcome(t, 'rename', rename(at('known/new.txt'), at('known/dir/x.txt'))), 'ok')
  t.equal(await outcome(t, 'free space', statfs(rig.bench.mountpoint)), 'ok')
  const durable = async () => {
    await using file = await open(at('known/dir/x.txt'), 'r+')
    await file.sync()
  }
  t.equal(await outcome(t, 'fsync', durable()), 'ok')
  t.match(
    await outcome(t, 'read what is cold', readFile(at('known/cold.txt'))),
    /^(EIO|ETIMEDOUT)$/,
  )
  t.match(await outcome(t, 'list what is not known', readdir(at('unknown'))), /^(EIO|ETIMEDOUT)$/)
  await outcome(t, 'look for what may not be there', stat(at('unknown/file')))
  const several = [
    'cat known/cold.txt',
    'ls -lR .',
    'find . -name x',
    'cp known/cached.txt y',
    'du -s .',
  ]
  await Promise.all(several.map((script) => outcome(t, script, rig.sh(script))))
  const killed = await outcome(
    t,
    'the end of the mount',
    rig.stop().then(() => {}),
  )
  t.equal(killed, 'ok', 'whatever is left stays in the journal')
  t.same(await readdir(rig.bench.mountpoint), [])
})

mountTest(t, 'every command returns', async (t) => {
  const rig = await blackHole(t)
  await writeFile(rig.path('known/new.txt'), 'new')
  const run = (...args: string[]) => outcome(t, args.join(' '), rig.bench.run(...args))
  const { bench } = rig
  const where = ['--service', bench.standin.url, '--session', bench.session]
  await run('status')
  await run('status', '--metrics')
  await run('doctor', ...where, '--timeout', `${TIMEOUT_MS}ms`)
  await run('warm', rig.path('known/cold.txt'))
  await run('free', rig.path('known/cached.txt'))
  await run('unmount', rig.bench.mountpoint)
  t.same(await readdir(rig.bench.mountpoint), [])
})

mountTest(t, 'a command on its way does not hold the end of the mount', async (t) => {
  // Its repeats alone would take longer than is waited for here.
  const rig = await blackHole(t, '15s')
  await mkdir(rig.path('known/dir'))
  await until(() => rig.admin.counters()[WIRE.makeDir]?.inFlight, 'the command')
  t.equal(
    await outcome(
      t,
      'the end of the mount',
      rig.stop().then(() => {}),
    ),
    'ok',
  )
})

mountTest(t, 'a file that is read from holds the mount only as long as it is open', async (t) => {
  const rig = await blackHole(t)
  const reading = rig.sh('cat known/cold.txt')
  const lazy = outcome(t, 'unmount --lazy', rig.bench.run('unmount', '-z', rig.bench.mountpoint))
  t.equal(await lazy, 'ok')
  await outcome(t, 'the reader', reading)
  const ended = rig.mount?.exited.then(() => {}) ?? Promise.resolve()
  t.equal(await outcome(t, 'the process', ended), 'ok')
})
