// A tree is copied in with ordinary tools, and comes back byte for byte from the service alone.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { mountTest, Rig, sourceTree } from '../fixtures/mount.ts'

/** A little of everything, without anything that the drive has no place for. */
const TREE = `
  mkdir -p 'with space' 'empty dir' $(printf 'deep/%.0s' {1..20})
  seq 100000 > large.txt
  head -c 300000 /dev/zero > zeros
  : > empty
  echo x > 'with space/a  b.txt'
  echo deep > $(printf 'deep/%.0s' {1..20})file
  for n in $(seq 200); do echo "content $n" > "with space/file-$n"; done
`

mountTest(t, 'cp -r, and back from the service with cold caches', async (t) => {
  const source = await sourceTree(t, TREE)
  const rig = await Rig.open(t)
  await rig.run('cp -r "$1" copy', source)
  await rig.run('diff -r "$1" copy', source)
  await rig.sync()
  t.equal(rig.remoteNames().length, 205 + 23, 'everything, once')
  t.same(rig.remoteBroken(), [], 'and no unfinished upload left')
  t.equal(await rig.stop(), 0)
  await rig.forgetCaches()
  await rig.start()
  await rig.run('diff -r "$1" copy', source)

  await rig.run('rm -r copy')
  await rig.sync()
  t.same(rig.remoteNames(), [])
})

mountTest(t, 'tar x, mv of a whole tree, cp -r inside the mount', async (t) => {
  const source = await sourceTree(t, TREE)
  const rig = await Rig.open(t)
  await rig.run('tar c -C "$1" . | (mkdir tree; tar x -C tree)', source)
  await rig.run('mkdir sub; mv tree sub/moved')
  await rig.sync()
  await rig.run('cp -r sub/moved copy; mv sub/moved sub/again')
  await rig.run('diff -r "$1" copy; diff -r "$1" sub/again', source)
  await rig.sync()
  await rig.stop()
  await rig.forgetCaches()
  await rig.start()
  await rig.run('diff -r "$1" copy; diff -r "$1" sub/again', source)
  t.notOk(rig.remote().has('tree'))
  t.notOk(rig.remote().has('sub/moved'))
})

mountTest(t, '3,000 files in one directory', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'many' })
      await admin.fill({ path: 'many', count: 3000, size: 10 })
    },
  })
  t.equal(await rig.run('ls many | wc -l'), '3000\n')
  t.equal(await rig.run('find many -type f -size 10c | wc -l'), '3000\n')
  await rig.run('mkdir mine; cd mine; for n in $(seq 300); do echo $n > $n; done; rm ../many/*')
  await rig.sync()
  t.equal(rig.remoteNames('mine').length, 300)
  t.equal(rig.remoteNames('many').length, 0)
})

mountTest(t, 'the program that runs this test, whole', async (t) => {
  const rig = await Rig.open(t)
  // About 120 MB: in chunks to the service, and back in ranges.
  await rig.run('cp "$1" node', process.execPath)
  await rig.sync()
  await rig.stop()
  await rig.forgetCaches()
  await rig.start()
  await promisify(execFile)('cmp', [process.execPath, rig.path('node')])
})
