// What happens to files while somebody has them open.
import { open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, until, WIRE } from '../fixtures/mount.ts'

const MiB = 1024 * 1024

mountTest(t, 'renamed while open: the handle goes on', async (t) => {
  const rig = await Rig.open(t)
  await writeFile(rig.path('old'), 'first ')
  await rig.sync()
  const handle = await open(rig.path('old'), 'r+')
  await rename(rig.path('old'), rig.path('new'))
  await handle.write('second', 6)
  t.equal(await handle.readFile('utf8'), 'first second')
  await rig.run('mkdir dir; mv new dir/newest')
  await handle.write('!', 12)
  await handle.close()
  t.equal(await text(rig.path('dir/newest')), 'first second!')
  await rig.sync()
  t.same(rig.remoteNames(), ['dir', 'dir/newest'])
  t.equal(await rig.remoteText('dir/newest'), 'first second!')
})

mountTest(t, 'made where another file had come to and gone: it can be read', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '1h'] })
  for (const remove of [
    () => unlink(rig.path('file')),
    () => rename(rig.path('file'), rig.path('away')),
  ]) {
    await writeFile(rig.path('other'), 'other')
    await rename(rig.path('other'), rig.path('file'))
    await remove()
    const handle = await open(rig.path('file'), 'a+')
    await handle.write('more than that')
    t.equal((await handle.read(Buffer.alloc(100), 0, 100, 0)).bytesRead, 14)
    await handle.close()
    await unlink(rig.path('file'))
  }
})

mountTest(t, 'a directory above an open file is renamed', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'a/b' })
      await admin.put({ path: 'a/b/file', size: 3 * MiB, seed: 1 })
    },
  })
  const handle = await open(rig.path('a/b/file'))
  await handle.read(Buffer.alloc(10), 0, 10, 0)
  await rename(rig.path('a'), rig.path('z'))
  await rig.sync()
  const { buffer } = await handle.read(Buffer.alloc(3 * MiB), 0, 3 * MiB, 0)
  await handle.close()
  t.ok(buffer.equals(await rig.admin.read({ path: 'z/b/file' })))
})

mountTest(t, 'removed while open: readable and writable until closed, then gone', async (t) => {
  const rig = await Rig.open(t)
  await writeFile(rig.path('file'), 'content')
  await rig.sync()
  const handle = await open(rig.path('file'), 'r+')
  await unlink(rig.path('file'))
  t.equal(await errno(stat(rig.path('file'))), 'ENOENT')
  t.equal(await handle.readFile('utf8'), 'content')
  await handle.write('CON', 0)
  t.equal((await handle.stat()).size, 7)
  t.same(await names(rig.path()), [], 'and nothing hidden takes its place')
  const fresh = await open(rig.path('file'), 'wx')
  await fresh.writeFile('another')
  await fresh.close()
  await handle.close()
  await rig.sync()
  t.same(rig.remoteNames(), ['file'])
  t.equal(await rig.remoteText('file'), 'another')

  const never = await open(rig.path('never'), 'w')
  await never.writeFile('x')
  await unlink(rig.path('never'))
  await never.close()
  await rig.sync()
  t.same(rig.remoteNames(), ['file'], 'what was removed before it was closed is never sent')
})

mountTest(t, 'an open file reads one version, whatever another device does', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--dir-ttl', '100ms'],
    prepare: (admin) => admin.put({ path: 'film', size: 40 * MiB, seed: 1 }),
  })
  const before = await rig.admin.read({ path: 'film' })
  const handle = await open(rig.path('film'))
  const head = await handle.read(Buffer.alloc(MiB), 0, MiB, 0)
  t.ok(head.buffer.equals(before.subarray(0, MiB)))
  await rig.admin.put({ path: 'film', size: 30 * MiB, seed: 2 })
  await rig.refresh()
  for (const offset of [39 * MiB, 20 * MiB]) {
    const buffer = Buffer.alloc(MiB)
    const failed = await errno(handle.read(buffer, 0, MiB, offset))
    // Either the bytes of the old version, or the news that it is gone; never those of the new one.
    if (failed !== undefined) t.equal(failed, 'ESTALE')
    else t.ok(buffer.equals(before.subarray(offset, offset + MiB)))
  }
  await handle.close()
  t.ok((await readFile(rig.path('film'))).equals(await rig.admin.read({ path: 'film' })))
})

mountTest(t, 'eight programs read one file at once', async (t) => {
  const rig = await Rig.open(t, {
    prepare: (admin) => admin.put({ path: 'shared', size: 20 * MiB, seed: 3 }),
  })
  const sums = await rig.run(
    'for n in 1 2 3 4 5 6 7 8; do sha1sum shared & done | sort -u; wait; for job in 1; do :; done',
  )
  t.same(sums, `${rig.remote().get('shared')?.sha}  shared\n`)
  const fetched = rig.admin.counters()[WIRE.data]
  t.ok((fetched?.bytesOut ?? 0) < 22 * MiB, 'each byte came about once')
})

mountTest(t, 'what is read ahead for sixty-four streams at once is bounded', async (t) => {
  const files = Array.from({ length: 64 }, (_, n) => `film-${n}`)
  const rig = await Rig.open(t, {
    prepare: (admin) => {
      for (const [seed, path] of files.entries()) admin.pretend({ path, size: 1024 * MiB, seed })
    },
  })
  /** The most that the program ever had in memory, in MiB. */
  const peak = async (): Promise<number> => {
    const status = await readFile(`/proc/${rig.mount?.child.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) / 1024
  }
  await rig.run('cat film-0 | head -c 1000000 | wc -c; ls')
  const before = await peak()
  await rig.run('for name in *; do head -c 2500000 "$name" > /dev/null & done; wait')
  const grown = (await peak()) - before
  t.ok(grown < 220, `${Math.round(grown)} MiB`)
})

mountTest(t, 'read while the service moves a file: it waits for the new place', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      for (const path of ['from', 'to']) admin.mkdir({ path })
      await admin.put({ path: 'from/file', content: Buffer.from('content') })
    },
  })
  await rig.run('ls from to')
  // Done at once; that it is, we hear from a listing.
  rig.admin.setFaults([
    { kind: 'lost-reply', match: WIRE.moveFiles, times: 1 },
    { kind: 'delay', ms: 2000, match: WIRE.list, times: 1 },
  ])
  await rig.run('mv from/file to/file')
  await until(() => rig.remote().has('to/file'), 'the service has done it')
  t.equal(await text(rig.path('to/file')), 'content')
  t.equal(rig.admin.faults()[1]?.hits, 1, 'the listing was under way')
})

mountTest(t, 'emptied while somebody reads: sent, and kept when killed', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      for (const path of ['written', 'truncated']) await admin.put({ path, size: 1000, seed: 1 })
    },
  })
  const handles = [await open(rig.path('written')), await open(rig.path('truncated'))]
  await rig.run(': > written')
  await rig.run(`perl -e 'truncate "truncated", 0'`)
  const isSent = () => ['written', 'truncated'].every((path) => rig.remote().get(path)?.size === 0)
  await until(isSent, 'both to be sent')
  await rig.kill()
  await Promise.all(handles.map((handle) => handle.close().catch(() => {})))
})

mountTest(t, 'truncated while somebody reads, then killed: it stays so', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: async (admin) => {
      await admin.put({ path: 'file', size: 1000, seed: 1 })
    },
  })
  const handle = await open(rig.path('file'))
  await rig.run(`perl -e 'truncate "file", 0'`)
  await rig.kill()
  await handle.close().catch(() => {})
  await rig.start()
  t.equal((await stat(rig.path('file'))).size, 0)
})
