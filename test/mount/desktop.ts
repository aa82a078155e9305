// What a desktop does to a folder by itself, and what that may cost: thumbnails of everything,
// files removed under the programs that show them, a type that tells file managers where the bytes
// are.
import { open, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { mountTest, names, Rig, text, until } from '../fixtures/mount.ts'
import { LATER } from '../fixtures/mount-cli.ts'
import { costOf } from '../fixtures/traffic.ts'

const MiB = 1024 * 1024

/** Photographs in a folder, and the programs that look at the first bytes of each at once. */
const PHOTOS = 40
const PROGRAMS = 5
const LOOK = `for n in $(seq ${PROGRAMS}); do
    (for f in album/*; do head -c 64K "$f" | sha1sum; done > "$HOME/seen $n") & jobs="\${jobs-} $!"
  done; wait $jobs; sort -u "$HOME"/seen* | wc -l`

mountTest(t, 'thumbnails by five programs at once cost little, and nothing again', async (t) => {
  const rig = await Rig.open(t, {
    async prepare(admin) {
      admin.mkdir({ path: 'album' })
      for (let seed = 0; seed < PHOTOS; seed++)
        await admin.put({ path: `album/${seed}.jpg`, size: 2 * MiB, seed })
    },
  })
  const look = async () => t.equal(await rig.run(LOOK), `${PHOTOS}\n`, 'all see the same bytes')
  const cost = await costOf(rig, look)
  t.equal(cost.addresses, PHOTOS, 'an address for each file')
  t.ok((cost.lists ?? 0) <= 2, `${cost.lists} listings`)
  t.equal(cost.other, undefined)
  t.ok(cost.bytes <= PHOTOS * MiB, `${cost.bytes} bytes: half of each file at most`)
  const data = rig.admin.counters()['ftn-get']
  t.ok((data?.requests ?? 0) <= PHOTOS * PROGRAMS * 2, `${data?.requests} ranges`)
  t.ok((data?.inFlightMax ?? 0) <= 5, 'never more at once than the account allows')
  // Read-ahead that a close had cut short comes now, if at all.
  const again = await costOf(rig, look)
  t.ok(again.bytes <= MiB, `${again.bytes} bytes the second time`)
  t.same(await costOf(rig, look), { bytes: 0 }, 'seen, they are on this disk')
})

mountTest(t, '--desktop-remote: file managers are told that this is far away', async (t) => {
  const rig = await Rig.open(t)
  const type = () => rig.run('findmnt --noheadings --output FSTYPE --mountpoint "$PWD"')
  t.equal(await type(), 'fuse.weiyun-mount\n')
  await rig.restart('--desktop-remote')
  t.equal(await type(), 'fuse.sshfs\n', 'the one type of FUSE that they know as such')
  t.match((await rig.bench.run('status')).stdout, rig.bench.mountpoint, 'ours all the same')
  t.equal((await rig.bench.run('warm', rig.path())).code, 0)
  t.equal((await rig.bench.run('unmount', rig.bench.mountpoint)).code, 0)
})

mountTest(t, 'removed while open, then killed: no hidden file is left anywhere', async (t) => {
  const rig = await Rig.open(t)
  await writeFile(rig.path('sent'), 'sent')
  await rig.sync()
  await rig.restart(...LATER)
  await writeFile(rig.path('unsent'), 'unsent')
  const handles = [await open(rig.path('sent'), 'r+'), await open(rig.path('unsent'), 'r+')]
  for (const name of ['sent', 'unsent']) await unlink(rig.path(name))
  t.same(await readdir(rig.path()), [])
  await rig.kill()
  for (const handle of handles) await handle.close().catch(() => {})
  await rig.start()
  t.same(await names(rig.path()), [])
  await rig.sync()
  t.same(rig.remoteNames(), [], 'removed, and nothing was sent in its place')
  const staging = join(await rig.cacheDir, 'staging')
  const left = (await readdir(staging, { recursive: true })).filter((name) => name !== 'recovered')
  t.same(left, [], 'its bytes are gone')
})

mountTest(t, 'user.weiyun.*: what the drive knows of each path', async (t) => {
  const rig = await Rig.open(t, {
    async prepare(admin) {
      admin.mkdir({ path: 'dir' })
      await admin.put({ path: 'dir/微云.txt', content: Buffer.from('hello') })
    },
  })
  const attributes = async (path: string) => {
    const said = await rig.run('getfattr -d -m "^user.weiyun." "$1"', path)
    return Object.fromEntries(
      [...said.matchAll(/^user\.weiyun\.(\w+)="(.*)"$/gm)].map(([, name, value]) => [name, value]),
    )
  }
  const sha1 = 'aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d'
  const file = await attributes('dir/微云.txt')
  t.match(file, { state: 'clean', sha1 })
  t.ok(file.id, 'an id on the service')
  const dir = await attributes('dir')
  t.match(dir, { state: 'clean' })
  t.ok(dir.id && dir.id !== file.id && dir.sha1 === undefined)

  await rig.restart(...LATER)
  await writeFile(rig.path('dir/微云.txt'), 'changed')
  await writeFile(rig.path('new'), 'new')
  t.same(await attributes('new'), { state: 'pending' }, 'the service knows nothing of it yet')
  const changed = await attributes('dir/微云.txt')
  t.match(changed, { state: 'pending', id: file.id })
  t.equal(changed.sha1, undefined, 'no hash of a content that is not what is seen')
  await rig.sync()
  await until(async () => (await attributes('new')).id !== undefined, 'sent')
  t.equal((await attributes('new')).state, 'clean')
  t.equal((await attributes('dir/微云.txt')).sha1?.length, 40)
  t.equal(await text(rig.path('dir/微云.txt')), 'changed')
})

mountTest(t, 'a machine that sleeps with requests under way: all of it goes on', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--timeout', '3s'],
    prepare: (admin) => admin.put({ path: 'there', size: 3 * MiB, seed: 1 }),
  })
  await names(rig.path())
  rig.admin.setKnobs({ bandwidth: MiB / 4 })
  const reading = rig.run('sha1sum < there')
  await writeFile(rig.path('up'), Buffer.alloc(2 * MiB, 'up'))
  const data = () => Object.values(rig.admin.counters()).some(({ inFlight }) => inFlight > 0)
  await until(data, 'requests are under way')
  rig.mount?.child.kill('SIGSTOP')
  // Longer than any limit of ours, and the first connections after that are dead.
  await sleep(5_000)
  rig.admin.setKnobs({ bandwidth: 0 })
  rig.admin.setFaults([{ kind: 'reset', times: 4 }])
  rig.mount?.child.kill('SIGCONT')
  t.match(await reading, rig.remote().get('there')?.sha)
  await rig.sync()
  t.ok((await rig.admin.read({ path: 'up' })).equals(Buffer.alloc(2 * MiB, 'up')))
  t.same(rig.remoteBroken(), [])
  t.equal(await readFile(rig.path('up'), 'utf8'), 'up'.repeat(MiB))
  t.equal(await rig.stop(), 0)
})
