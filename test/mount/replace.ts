// A new version in the place of an old one, with the program killed or the line cut at every point
// in between: one of the two is on the service at any time, and the new one in the end. (edit.ts:
// what it costs.)
import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { mountTest, Rig, sha1, text, until, WIRE } from '../fixtures/mount.ts'

const CRASH_POINTS = ['hashed', 'begins', 'replied', 'recorded', 'confirmed'].map(
  (point) => `upload:${point}`,
)

/**
 * Starts the program to die at a point in its code, as by `kill -9`. Whether the mount was usable
 * before.
 */
async function startToCrash(rig: Rig, point: string): Promise<boolean> {
  rig.bench.env.WEIYUN_MOUNT_CRASH = point
  const isUp = await rig.start().then(
    () => true,
    () => false,
  )
  delete rig.bench.env.WEIYUN_MOUNT_CRASH
  return isUp
}

async function crashed(rig: Rig): Promise<unknown> {
  const end = await rig.mount?.exited
  rig.mount = undefined
  return end
}

/** Contents of what is on the service whole, under whatever name. */
async function contents(rig: Rig): Promise<string[]> {
  return Promise.all(rig.remoteNames().map((path) => rig.remoteText(path)))
}

mountTest(
  t,
  'killed at any point of a replacement: the old version or the new one is there',
  async (t) => {
    const rig = await Rig.open(t)
    await writeFile(rig.path('file'), 'version 0')
    await rig.sync()
    await rig.stop()
    for (const [n, point] of CRASH_POINTS.entries()) {
      const [old, fresh] = [`version ${n}`, `version ${n + 1}`]
      await startToCrash(rig, point)
      await writeFile(rig.path('file'), fresh)
      t.equal(await crashed(rig), 'SIGKILL', point)
      t.ok(
        (await contents(rig)).some((one) => one === old || one === fresh),
        `${point}: one of two`,
      )

      await rig.start()
      t.equal(await text(rig.path('file')), fresh, `${point}: ours is what we see`)
      await rig.sync()
      t.same(rig.remoteNames(), ['file'], `${point}: and all that is there`)
      t.equal(await rig.remoteText('file'), fresh)
      t.same(rig.remoteBroken(), [])
      await rig.stop()
    }
  },
)

mountTest(t, 'cut off after any request of a replacement, and killed: the same', async (t) => {
  const rig = await Rig.open(t)
  await writeFile(rig.path('file'), 'version 0')
  await rig.sync()
  let cut = true
  for (let n = 0; cut; n++) {
    const [old, fresh] = [`version ${n}`, `version ${n + 1}`]
    // Announced, sent, looked for, old one removed, renamed, listed: one request more each time.
    const { announce, piece, list, removeFiles, renameFile } = WIRE
    const match = `^(${[announce, piece, list, removeFiles, renameFile].join('|')})$`
    rig.admin.setFaults([{ kind: 'reset', match, after: n }])
    await writeFile(rig.path('file'), fresh)
    const fault = () => rig.admin.faults()[0]?.hits ?? 0
    await until(async () => fault() > 0 || (await rig.status()).pending.length === 0, 'cut or done')
    cut = fault() > 0
    await rig.kill()
    t.ok(
      (await contents(rig)).some((one) => one === old || one === fresh),
      `${n}: one of the two`,
    )

    rig.admin.setFaults([])
    await rig.start()
    t.equal(await text(rig.path('file')), fresh, `${n}: ours is what we see`)
    await rig.sync()
    t.same(rig.remoteNames(), ['file'], `${n}: and all that is there`)
    t.equal(await rig.remoteText('file'), fresh)
    t.same(rig.remoteBroken(), [])
  }
})

mountTest(
  t,
  'a temporary file renamed over a large old one, killed while it is sent',
  async (t) => {
    const rig = await Rig.open(t, {
      prepare: (admin) => admin.put({ path: 'file', size: 3_000_000, seed: 1 }),
      standin: { bandwidth: 2_000_000 },
    })
    const old = rig.remote().get('file')?.sha
    await rig.run('head -c 4000000 /dev/urandom > file.tmp; mv file.tmp file')
    const fresh = await sha1(rig.path('file'))
    await until(() => (rig.admin.counters()[WIRE.piece]?.requests ?? 0) > 0, 'some of it')
    await rig.kill()
    t.equal(rig.remote().get('file')?.sha, old, 'the old version is still there')
    rig.admin.setKnobs({ bandwidth: 0 })
    await rig.start()
    t.equal(await sha1(rig.path('file')), fresh)
    await rig.sync()
    t.same(rig.remoteNames(), ['file'])
    t.equal(rig.remote().get('file')?.sha, fresh)
  },
)

mountTest(t, 'mkdir, files, renames and removals keep their order across crashes', async (t) => {
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      admin.mkdir({ path: 'before/sub' })
      for (const path of ['before/one', 'before/sub/two', 'before/gone']) {
        await admin.put({ path, content: Buffer.from(path) })
      }
    },
  })
  rig.admin.setFaults([{ kind: 'reset', match: WIRE.makeDir }])
  // Exchanged names, a directory under the name of one that moved, a move out of what was moved.
  await rig.run(`mkdir -p new/deep; echo file > new/deep/file
    mv before after; mkdir before; echo fresh > before/fresh
    mv after/one tmp; mv after/sub/two after/one; mv tmp after/sub/two
    rm after/gone; mv after/sub new/sub; mv new/deep deep`)
  const shown = () => rig.run('find . -type f -exec sha1sum {} + | sort; find . -type d | sort')
  const wanted = await shown()
  await rig.kill()
  rig.admin.setFaults([])
  let crashes = 0
  for (const point of ['mkdir:replied', 'move:replied', 'upload:replied', 'remove:replied']) {
    const isUp = await startToCrash(rig, point)
    // What the point stands for may have been done already, by an earlier run on its way to
    // another one.
    const isDone =
      isUp &&
      (await rig.sync().then(
        () => true,
        () => false,
      ))
    if (isDone) await rig.stop()
    else crashes++
  }
  t.ok(crashes >= 2, `${crashes} crashes on the way`)
  await rig.start()
  t.equal(await shown(), wanted, 'as before')
  await rig.sync()
  await rig.stop()
  await rig.forgetCaches()
  await rig.start()
  t.equal(await shown(), wanted, 'and on the service')
  t.equal((await readFile(rig.path('after/one'), 'utf8')).trim(), 'before/sub/two')
  t.same(rig.remoteBroken(), [])
})
