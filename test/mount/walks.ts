// What looking around costs in listings: each directory is asked for once, ahead of a walk and of
// nothing else, and only conditionally after --dir-ttl.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Admin } from '../../src/standin/admin/admin.ts'
import { mountTest, names, Rig } from '../fixtures/mount.ts'
import { costOf } from '../fixtures/traffic.ts'

const DIRS = 20
const FILES = 10

async function manyDirs(admin: Admin): Promise<void> {
  for (let n = 0; n < DIRS; n++) {
    const path = `top/dir ${n}`
    admin.mkdir({ path })
    await admin.fill({ path, count: FILES })
  }
}

/** The root, `top` and what is in it. */
const ALL = DIRS + 2

mountTest(t, 'a look into one directory lists that alone', async (t) => {
  const rig = await Rig.open(t, { dialect: 'classic', prepare: manyDirs })
  t.same(await costOf(rig, () => names(rig.path())), { lists: 1, bytes: 0 })
  t.same(await costOf(rig, () => rig.run('ls -l top')), { lists: 1, bytes: 0 })
})

mountTest(t, 'a walk lists each directory once; a second one, none', async (t) => {
  const rig = await Rig.open(t, { dialect: 'classic', prepare: manyDirs })
  t.same(await costOf(rig, () => rig.run('find . -size +1')), { lists: ALL, bytes: 0 })
  const { inFlightMax = 0 } = rig.admin.counters().get_dir_list ?? {}
  t.ok(inFlightMax <= 3, 'never more at once than the account allows')
  t.same(await costOf(rig, () => rig.run('find . -size +1; ls -lR')), { bytes: 0 })
})

mountTest(
  t,
  'a walk after --dir-ttl asks what has changed, and is told nothing else',
  async (t) => {
    const rig = await Rig.open(t, {
      dialect: 'classic',
      args: ['--dir-ttl', '3s'],
      prepare: manyDirs,
    })
    await rig.run('find . -size +1')
    await sleep(3_500)
    rig.admin.mkdir({ path: 'top/dir 0/new' })
    rig.admin.clearJournal()
    const found = await rig.run('find .')
    t.ok(found.includes('./top/dir 0/new\n'), 'the change is seen')
    const lists = rig.admin.journal().filter(({ name }) => name === 'get_dir_list')
    t.ok(lists.length >= ALL, `${lists.length} listings`)
    const whole = lists.filter(({ bytesOut }) => bytesOut > 1000)
    t.ok(whole.length <= 3, `${whole.length} of them whole`)
  },
)

/** So that no wait for a listing ends before the command that would have to wait is given up. */
const PATIENT = ['--timeout', '120s']

mountTest(t, 'the next mount shows the tree at once, and asks behind', async (t) => {
  const rig = await Rig.open(t, { dialect: 'classic', args: PATIENT, prepare: manyDirs })
  const before = await rig.run('find . | sort')
  await rig.stop()
  rig.admin.setFaults([{ kind: 'stall', match: 'get_dir_list', ms: 300_000 }])
  await rig.start()
  t.equal(await rig.run('timeout 45 find . | sort'), before, 'although no listing is answered')
  t.ok(rig.admin.faults()[0]?.hits, 'and all the same it asks')
})

mountTest(t, 'cp -r costs two requests a file; rm -r goes in batches', async (t) => {
  const rig = await Rig.open(t, { dialect: 'classic' })
  await names(rig.path())
  const up = await rig.requests(async () => {
    await rig.run('mkdir in; for n in {1..60}; do echo "never seen $n" >in/$n; done')
    await rig.sync()
  })
  t.equal(up['2301'], 60, 'each is announced once')
  t.equal(up['ftn-chunk'], 60, 'and sent once')
  t.ok((up.get_dir_list ?? 0) <= 2, `${up.get_dir_list} listings`)
  const down = await rig.requests(async () => {
    await rig.run('rm -r in')
    await rig.sync()
  })
  t.ok((down.batch_file_delete ?? 0) <= 10, `${down.batch_file_delete} for 60 files`)
})
