// Another device changes what this machine's kernel remembers: sizes and bytes belong together.
import { open, readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { mountTest, Rig, until } from '../fixtures/mount.ts'

const MiB = 1024 * 1024

mountTest(t, 'a file that changed elsewhere opens with the size of its new bytes', async (t) => {
  const [short, long] = [Buffer.alloc(10, 'a'), Buffer.alloc(20_000, 'b')]
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '5s'],
    prepare: async (admin) => {
      // A directory for each: whoever comes first to one is the one who hears of the change.
      for (const path of ['grows', 'shrinks', 'other', 'renamed']) admin.mkdir({ path })
      await admin.put({ path: 'grows/file', content: short })
      await admin.put({ path: 'shrinks/file', content: long })
      await admin.put({ path: 'other/file', content: short })
      await admin.put({ path: 'renamed/file', content: short })
      await admin.put({ path: 'renamed/new', content: long })
    },
  })
  await rig.run('ls *')
  await sleep(3_000)
  // From here on the kernel remembers the sizes for longer than the listings are taken as true.
  await rig.run('stat */*')
  await rig.admin.put({ path: 'grows/file', content: long })
  await rig.admin.put({ path: 'shrinks/file', content: short })
  await rig.admin.replace({ path: 'other/file', content: long })
  rig.admin.remove({ path: 'renamed/file' })
  rig.admin.rename({ path: 'renamed/new', name: 'file' })
  await sleep(2_300)
  for (const [dir, wanted] of Object.entries({
    grows: long,
    shrinks: short,
    other: long,
    renamed: long,
  })) {
    const file = await open(rig.path(dir, 'file'))
    t.equal((await file.stat()).size, wanted.length, `${dir}: its size`)
    t.ok((await file.readFile()).equals(wanted), `${dir}: its bytes`)
    await file.close()
  }
  t.equal(rig.log, '', 'and nobody is told of anything')
})

mountTest(t, 'who reads an old version is not cut to the size of the new one', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '1s'],
    prepare: async (admin) => {
      await admin.put({ path: 'shrinks', size: 3 * MiB, seed: 1 })
      await admin.put({ path: 'grows', size: 2 * MiB, seed: 2 })
    },
  })
  const before = {
    shrinks: await rig.admin.read({ path: 'shrinks' }),
    grows: await rig.admin.read({ path: 'grows' }),
  }
  // Whole, so that the service need not have the old version any more.
  for (const name of ['shrinks', 'grows']) await rig.run(`cat ${name}`)
  const old = { shrinks: await open(rig.path('shrinks')), grows: await open(rig.path('grows')) }
  await rig.admin.put({ path: 'shrinks', size: MiB, seed: 3 })
  await rig.admin.put({ path: 'grows', size: 4 * MiB, seed: 4 })
  await rig.refresh()
  await sleep(1_200)
  for (const name of ['shrinks', 'grows'] as const) {
    t.equal(
      (await rig.run(`cat ${name} | sha1sum`)).slice(0, 40),
      rig.remote().get(name)?.sha,
      `${name}: new`,
    )
    await stat(rig.path(name))
    t.ok((await old[name].readFile()).equals(before[name]), `${name}: old`)
    await old[name].close()
    // The kernel tells us of the last close after close(2) has returned.
    const size = rig.remote().get(name)?.size
    await until(async () => (await stat(rig.path(name))).size === size, `${name}: its new size`)
  }
})

mountTest(
  t,
  'who reads an old version to its end finds it there, whoever asks for the size',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--dir-ttl', '1s'],
      prepare: (admin) => admin.put({ path: 'grows', size: 300_000, seed: 5 }),
    })
    const before = await rig.admin.read({ path: 'grows' })
    await rig.run('cat grows')
    const old = await open(rig.path('grows'))
    await rig.admin.put({ path: 'grows', size: MiB, seed: 6 })
    await rig.refresh()
    for (const from of [0, 262_144, 300_000]) {
      await sleep(1_200)
      t.equal((await stat(rig.path('grows'))).size, MiB, 'the new size is shown')
      await sleep(1_200)
      // The kernel has to ask for the size, the mount need not ask the service.
      await rig.refresh()
      // Both are under way before either is answered: the read at the end, and the larger size.
      rig.mount?.child.kill('SIGSTOP')
      const size = stat(rig.path('grows'))
      await sleep(50)
      const bytes = Buffer.alloc(400_000, 'x')
      const read = old.read(bytes, 0, bytes.length, from)
      await sleep(50)
      rig.mount?.child.kill('SIGCONT')
      const { bytesRead } = await read
      t.ok(
        bytes.subarray(0, bytesRead).equals(before.subarray(from)),
        `from ${from}: its own bytes`,
      )
      t.equal((await size).size, MiB)
    }
    await old.close()
  },
)

mountTest(t, 'the kernel keeps the pages of a version, and drops them with it', async (t) => {
  const rig = await Rig.open(t, {
    prepare: (admin) => admin.put({ path: 'film', size: 2 * MiB, seed: 7 }),
  })
  // Opens the file, as any reader would, and asks the kernel what it still has of it.
  const kept = async (path = 'film'): Promise<number> =>
    Number(await rig.run('fincore -nbo RES "$1"', path))
  t.equal(await kept(), 0)
  await rig.run('cat film')
  t.equal(await kept(), 2 * MiB)
  t.equal(await kept(), 2 * MiB, 'and whoever opens it does not drop them')
  await rig.run('mkdir dir; mv film dir/film; mv dir moved')
  t.equal(await kept('moved/film'), 2 * MiB, 'nor does who moves it, or what holds it')
  await rig.run('mv moved/film film')
  await rig.sync()
  await rig.admin.put({ path: 'film', size: 2 * MiB, seed: 8 })
  await rig.refresh()
  t.equal(await kept(), 0)
  t.equal((await rig.run('sha1sum film')).slice(0, 40), rig.remote().get('film')?.sha)
  t.equal(await kept(), 2 * MiB)
})

mountTest(
  t,
  'a file in the place of one that is open: each is read with its own bytes',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--dir-ttl', '1s'],
      prepare: async (admin) => {
        for (const dir of ['same', 'longer', 'shorter']) {
          admin.mkdir({ path: dir })
          await admin.put({ path: `${dir}/file`, size: 300_000, seed: 9 })
        }
      },
    })
    const sizes = { same: 300_000, longer: 500_000, shorter: 100_000 }
    for (const [dir, size] of Object.entries(sizes)) {
      const before = await rig.admin.read({ path: `${dir}/file` })
      await rig.run(`cat ${dir}/file`)
      const old = await open(rig.path(dir, 'file'))
      // Another entry under the name, which is how a client of the service replaces a file.
      await rig.admin.replace({ path: `${dir}/file`, size, seed: 10 })
      const after = await rig.admin.read({ path: `${dir}/file` })
      await rig.refresh(dir)
      await sleep(1_200)
      const fresh = await open(rig.path(dir, 'file'))
      for (const _ of [1, 2]) {
        const bytes = Buffer.alloc(600_000)
        t.equal((await old.read(bytes, 0, bytes.length, 0)).bytesRead, before.length, `${dir}: old`)
        t.ok(bytes.subarray(0, before.length).equals(before), `${dir}: old bytes`)
        t.equal((await fresh.read(bytes, 0, bytes.length, 0)).bytesRead, size, `${dir}: new`)
        t.ok(bytes.subarray(0, size).equals(after), `${dir}: new bytes`)
      }
      await old.close()
      await fresh.close()
      const seen = async (): Promise<string> =>
        rig.run(`stat -c %s ${dir}/file; cat ${dir}/file | sha1sum`)
      const wanted = `${size}\n${rig.remote().get(`${dir}/file`)?.sha}  -\n`
      await until(async () => (await seen()) === wanted, `${dir}: its new size and bytes`)
    }
  },
)

mountTest(t, 'edited over a newer version than was read, and given its time back', async (t) => {
  const size = 2 * 1024 * 1024
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '20s'],
    prepare: async (admin) => {
      await admin.put({ path: 'file', size, seed: 1 })
    },
  })
  await rig.run('cat file > /dev/null')
  const handle = await open(rig.path('file'), 'r+')
  await rig.admin.put({ path: 'file', size, seed: 2 })
  await rig.refresh()
  await sleep(300)
  const { mtime } = await stat(rig.path('file'))
  await handle.read(Buffer.alloc(size), 0, size, 0)
  await handle.write('X', 100)
  await handle.utimes(mtime, mtime)
  await handle.close()
  await rig.sync()
  const there = await rig.admin.read({ path: 'file' })
  t.ok((await readFile(rig.path('file'))).equals(there))
})

mountTest(t, 'who reads a replaced file is not cut by who writes to the new one', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '1s', '--write-back', '60s'],
    prepare: async (admin) => {
      await admin.put({ path: 'file', size: 300_000, seed: 1 })
    },
  })
  const before = await rig.admin.read({ path: 'file' })
  await rig.run('cat file > /dev/null')
  const handle = await open(rig.path('file'))
  await rig.admin.replace({ path: 'file', size: 300_000, seed: 2 })
  await rig.refresh()
  await sleep(1200)
  await rig.run('stat file; printf short > file; stat file')
  t.ok((await handle.readFile()).equals(before))
  t.equal(await rig.run('cat file'), 'short')
  await handle.close()
})
