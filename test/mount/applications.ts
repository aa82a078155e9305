// Ordinary programs at work in the mount, beyond copying (copy-tree.ts, rsync-twice.ts) and
// editing (edit.ts). More of them, with programs that have to be installed, are in scripts/apps.
import { statfs, writeFile } from 'node:fs/promises'
import t from 'tap'
import { Desk } from '../fixtures/apps/desk.ts'
import { APPS } from '../fixtures/apps/index.ts'
import { FEATURES, mountTest, Rig, sha1, text, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
const GiB = 1024 * MiB

mountTest(t, 'programs that work on files where they are', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      await admin.put({ path: 'large', size: 6 * MiB, seed: 1 })
      await admin.put({ path: 'config', content: Buffer.from('colour = red\nsize = 3\n') })
    },
  })

  await t.test('sed -i, and an editor that keeps a backup', async (t) => {
    await rig.run('sed -i s/red/green/ config; sed -i.bak s/3/4/ config')
    t.equal(await text(rig.path('config')), 'colour = green\nsize = 4\n')
    t.equal(await text(rig.path('config.bak')), 'colour = green\nsize = 3\n')
    await rig.sync()
    t.equal(await rig.remoteText('config'), 'colour = green\nsize = 4\n')
    t.same(rig.remoteNames(), ['config', 'config.bak', 'large'])
  })

  await t.test('mmap: a file read through memory is the file', async (t) => {
    const script = `open my $file, '<:mmap', 'large' or die $!; local $/; print <$file>`
    const sum = await rig.run('perl -e "$1" | sha1sum', script)
    t.equal(sum.slice(0, 40), rig.remote().get('large')?.sha)
  })

  await t.test('flock: one holder at a time, also of another process', async (t) => {
    const { code } = await rig.sh('exec 9> lock; flock 9; flock -n lock true || exit 7')
    t.equal(code, 7, 'taken')
    t.equal((await rig.sh('flock -n lock true; rm lock')).code, 0, 'and free again')
  })

  await t.test('a SQLite database, journal and locks included', async (t) => {
    const program = `
      const { DatabaseSync } = require('node:sqlite')
      const db = new DatabaseSync('data.db')
      db.exec('CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1), (2), (3)')
      db.exec('BEGIN; DELETE FROM t WHERE n = 2; COMMIT')
      console.log(db.prepare('SELECT sum(n) AS sum FROM t').get().sum)
      console.log(db.prepare('PRAGMA integrity_check').get().integrity_check)`
    const work = () => rig.run('"$1" -e "$2"', process.execPath, program)
    t.equal(await work(), '4\nok\n')
    await rig.sync()
    await rig.restart()
    t.equal(await work(), '8\nok\n', 'and after a remount')
    await rig.sync()
    t.same(rig.remoteNames(), ['config', 'config.bak', 'data.db', 'large'], 'no journal is left')
  })

  await t.test('two programs append to one file', async (t) => {
    await rig.run(`for who in a b; do
        (for n in $(seq 200); do echo "$who $n" >> log; done) & jobs="\${jobs-} $!"
      done; wait $jobs`)
    const lines = (await text(rig.path('log'))).trim().split('\n')
    t.equal(lines.length, 400)
    t.equal(new Set(lines).size, 400, 'every line, once and whole')
    await rig.sync()
    t.equal(await rig.remoteText('log'), await text(rig.path('log')))
  })

  await t.test('tail -f sees what is written', async (t) => {
    await rig.run(`: > growing; timeout 20 tail -f -n +1 -s 0.1 growing > "$HOME/seen" & pid=$!
      echo one >> growing; echo two >> growing
      until grep -q two "$HOME/seen"; do sleep 0.1; done; kill $pid`)
    t.equal(await text(`${rig.bench.home}/seen`), 'one\ntwo\n')
  })

  await t.test('touch, find -newer, test -nt: times order as they should', async (t) => {
    await rig.run(`touch -d '2020-01-01' old; touch -d '2021-01-01' new; test new -nt old
      test "$(find . -newer old -name new)" = ./new
      echo later >> old; test old -nt new`)
    await rig.sync()
    t.equal((await rig.sh('test old -nt new')).code, 0, 'after the upload too')
  })
})

for (const app of APPS.filter(({ needs }) => needs === undefined)) {
  mountTest(t, `${app.name}: opened, edited, saved, and again from the service`, async (t) => {
    await app.work(await Desk.open(t, app))
  })
}

mountTest(t, 'mv between directories and cp inside the mount move no byte', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'from/tree/sub' })
      admin.mkdir({ path: 'to' })
      await admin.put({ path: 'from/film', size: 5 * MiB, seed: 1 })
      await admin.put({ path: 'from/tree/sub/deep', size: 2 * MiB, seed: 2 })
    },
  })
  const film = rig.remote().get('from/film')?.sha
  const asked = await rig.requests(async () => {
    await rig.run('mv from/film to/renamed; mv from/tree to/; cp to/renamed copy; rmdir from')
    await rig.sync()
  })
  t.notOk(WIRE.piece in asked, 'sent')
  // Where hashes are not enough, a copy is read once for its announcement.
  t.equal(WIRE.data in asked, !FEATURES.uploadsByHash, 'fetched')
  t.same(rig.remoteNames(), [
    'copy',
    'to',
    'to/renamed',
    'to/tree',
    'to/tree/sub',
    'to/tree/sub/deep',
  ])
  t.equal(await sha1(rig.path('to/renamed')), film)
  t.equal(await sha1(rig.path('copy')), film)
})

mountTest(t, 'df shows the quota, unsent bytes included', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: async (admin) => {
      await admin.put({ path: 'there', size: 4 * MiB })
      admin.setQuota({ totalSpace: GiB })
    },
  })
  const look = async () => {
    const { blocks, bavail, bsize } = await statfs(rig.path())
    return { total: blocks * bsize, free: bavail * bsize }
  }
  t.same(await look(), { total: GiB, free: GiB - 4 * MiB })
  await writeFile(rig.path('unsent'), Buffer.alloc(16 * MiB))
  t.same(await look(), { total: GiB, free: GiB - 20 * MiB })
  await rig.sync()
  t.same(await look(), { total: GiB, free: GiB - 20 * MiB }, 'sent, it counts as used')
})
