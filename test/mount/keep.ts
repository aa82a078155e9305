// Content on this disk by a user's wish: fetched ahead, pinned, given back.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startCli } from '../fixtures/cli.ts'
import { mountTest, Rig, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
const CONTENT = Buffer.alloc(3 * MiB, 'weiyun')

function drive(t: Test, ...args: string[]): Promise<Rig> {
  return Rig.open(t, {
    args,
    async prepare(admin) {
      for (const path of ['dir', 'dir/sub', 'more']) await admin.mkdir({ path })
      await admin.put({ path: 'dir/big.bin', content: CONTENT })
      await admin.put({ path: 'dir/sub/微云.txt', content: Buffer.from('hello') })
      await admin.put({ path: 'other.txt', content: Buffer.from('other') })
    },
  })
}

mountTest(
  t,
  'warm: everything below, and nothing else, can be read without the service',
  async (t) => {
    const rig = await drive(t)
    const warmed = await rig.bench.run('warm', rig.path('dir'))
    t.equal(warmed.code, 0, warmed.stderr)
    t.match(warmed.stderr, `${rig.path('dir')}: 2 files (3.0 MiB) in the cache`)
    rig.admin.setFaults([{ kind: 'reset', match: WIRE.data }])
    t.ok((await readFile(rig.path('dir/big.bin'))).equals(CONTENT))
    t.equal(await readFile(rig.path('dir/sub/微云.txt'), 'utf8'), 'hello')
    await t.rejects(readFile(rig.path('other.txt')))
    rig.admin.setFaults([])
    const again = await rig.requests(() => rig.bench.run('warm', rig.path('dir')))
    t.equal(again[WIRE.data], undefined, 'what is here is not fetched again')
    t.equal(await rig.stop(), 0)
  },
)

mountTest(t, 'free: back to the service, except what is pinned', async (t) => {
  const rig = await drive(t)
  t.equal((await rig.bench.run('pin', rig.path('dir/sub'))).code, 0)
  t.equal((await rig.bench.run('warm', rig.path('dir'))).code, 0)
  const before = (await rig.status()).cache
  t.ok(before.bytes > 3 * MiB)
  t.ok(before.pinned > 0)
  const freed = await rig.bench.run('free', rig.path('dir'))
  t.equal(freed.code, 0)
  t.match(freed.stderr, '1 file (3.0 MiB) dropped from the cache')
  t.match(freed.stderr, '1 pinned files stayed')
  t.ok((await rig.status()).cache.bytes < MiB)
  t.ok((await readFile(rig.path('dir/big.bin'))).equals(CONTENT), 'it is only fetched anew')
  t.equal((await rig.bench.run('unpin', rig.path('dir'))).code, 0)
  t.match((await rig.bench.run('free', rig.path())).stderr, '(3.0 MiB) dropped')
  t.equal((await rig.status()).cache.pinned, 0)
  t.equal(await rig.stop(), 0)
})

mountTest(t, 'pinned content outlives a cache that is too small for all', async (t) => {
  const rig = await drive(t, '--cache-size', '6M')
  t.equal((await rig.bench.run('pin', rig.path('dir/big.bin'))).code, 0)
  for (let i = 0; i < 6; i++) {
    await rig.admin.put({ path: `more/${i}.bin`, content: Buffer.alloc(2 * MiB, `${i}`) })
  }
  await rig.refresh()
  for (let i = 0; i < 6; i++) await readFile(rig.path(`more/${i}.bin`))
  await rig.restart()
  rig.admin.setFaults([{ kind: 'reset', match: WIRE.data }])
  t.ok((await readFile(rig.path('dir/big.bin'))).equals(CONTENT))
  rig.admin.setFaults([])
  const more = await rig.bench.run('pin', rig.path('more'))
  t.equal(more.code, 1)
  t.match(more.stderr, 'more than four fifths of the cache would be pinned')
  await writeFile(rig.path('new.bin'), Buffer.alloc(MiB))
  t.equal(await rig.stop(), 0)
})

mountTest(t, 'Ctrl-C while it fetches leaves a mount that works', async (t) => {
  const rig = await drive(t)
  rig.admin.setFaults([{ kind: 'stall', match: WIRE.data }])
  const child = startCli(['warm', rig.path('dir')], rig.bench.env)
  await until(() => (rig.admin.faults()[0]?.hits ?? 0) > 0, 'the first range is asked for')
  child.kill('SIGINT')
  await new Promise((done) => child.once('exit', done))
  rig.admin.setFaults([])
  t.equal((await rig.bench.run('sync', rig.path())).code, 0)
  t.equal(await rig.stop(), 0)
})

mountTest(t, 'a path that is in no mount', async (t) => {
  const rig = await drive(t)
  for (const command of ['warm', 'pin', 'unpin', 'free']) {
    const { code, stderr } = await rig.bench.run(command, join(rig.bench.home, 'x'))
    t.equal(code, 66)
    t.match(stderr, 'not in a weiyun-mount')
    t.equal((await rig.bench.run(command, rig.path('nothing'))).code, 1)
  }
  t.equal(await rig.stop(), 0)
})
