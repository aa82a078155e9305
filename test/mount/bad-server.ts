// A service that misbehaves: programs get the right bytes or an error within the limits, never a
// wrong byte, never a hang, and the mount is as good as before when the service is.
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import type { Admin } from '../../src/standin/admin/admin.ts'
import type { Fault } from '../../src/standin/faults.ts'
import { errno, mountTest, names, Rig, WIRE } from '../fixtures/mount.ts'

const KiB = 1024
const MiB = 1024 * 1024
/**
 * Short, so that what never answers is given up soon; long enough for a machine with other work.
 */
const LIMITS = ['--timeout', '3s']
/**
 * How a command can be answered badly. The client gives nonsense one more chance, the rest three.
 */
const BAD_REPLIES: Fault[] = [
  { kind: 'html', times: 1 },
  { kind: 'malformed', times: 1 },
  { kind: 'truncated', times: 2 },
  { kind: 'status-503', times: 3 },
  { kind: 'busy', times: 1 },
  { kind: 'reset', times: 3 },
  { kind: 'stall', times: 1 },
]
/** The same for data. */
const BAD_DATA: Fault[] = [
  ...BAD_REPLIES.filter(({ kind }) => !['busy', 'malformed'].includes(kind)),
  { kind: 'wrong-range', times: 2 },
  { kind: 'ignore-range' },
  { kind: 'expired-url', times: 1 },
  { kind: 'redirect' },
]

async function manyFiles(admin: Admin, prefix: string, size: number): Promise<void> {
  for (const [seed, { kind }] of BAD_DATA.entries()) {
    await admin.put({ path: `${prefix} ${kind}`, size, seed: 100 + seed + size })
  }
}

mountTest(t, 'listings that fail and pass are asked for again', async (t) => {
  const rig = await Rig.open(t, {
    args: LIMITS,
    prepare: async (admin) => {
      for (const { kind } of BAD_REPLIES) {
        admin.mkdir({ path: kind })
        await admin.put({ path: `${kind}/file`, content: Buffer.from(kind) })
      }
    },
  })
  // Nobody reads the directory above: to the program that would be a walk, and it would list ahead.
  await stat(rig.path('html'))
  for (const fault of BAD_REPLIES) {
    rig.admin.setFaults([{ ...fault, match: WIRE.list }])
    t.same(await names(rig.path(fault.kind)), ['file'], fault.kind)
    t.equal(rig.admin.faults()[0]?.hits, fault.times)
    rig.admin.setFaults([])
  }
})

mountTest(t, 'a user who waits for a listing ahead that gives up asks himself', async (t) => {
  const rig = await Rig.open(t, {
    prepare: (admin) => {
      for (const path of ['a/b/c', 'a/b/last']) admin.mkdir({ path })
    },
  })
  await names(rig.path())
  await names(rig.path('a'))
  // From here on everything below is listed ahead, which tries three times at most.
  rig.admin.setFaults([{ kind: 'status-500', match: WIRE.list, after: 1, times: 3 }])
  t.same(await names(rig.path('a/b')), ['c', 'last'])
  await names(rig.path('a/b/c'))
  t.equal(rig.admin.faults()[0]?.hits, 3)
})

mountTest(
  t,
  'listings that go on failing: an error in time, and never an empty directory',
  async (t) => {
    const EXPECTED: Record<string, string> = {
      html: 'EIO',
      'status-503': 'EIO',
      reset: 'EIO',
      stall: 'ETIMEDOUT',
    }
    const rig = await Rig.open(t, {
      args: [...LIMITS, '--dir-ttl', '10ms'],
      prepare: async (admin) => {
        for (const kind of Object.keys(EXPECTED)) admin.mkdir({ path: `known/${kind}/below` })
      },
    })
    await names(rig.path('known'))
    for (const [kind, expected] of Object.entries(EXPECTED)) {
      rig.admin.setFaults([{ kind, match: WIRE.list }])
      t.equal(await errno(names(rig.path('known', kind, 'below'))), expected, kind)
      t.ok((await names(rig.path('known'))).includes(kind), `${kind}: what is known is shown`)
      rig.admin.setFaults([])
      t.same(await names(rig.path('known', kind)), ['below'], `${kind}: and all is well afterwards`)
    }
  },
)

mountTest(
  t,
  'data that fails and comes: the right bytes, of small files and of large ones',
  async (t) => {
    const rig = await Rig.open(t, {
      args: LIMITS,
      prepare: async (admin) => {
        await manyFiles(admin, 'small', 100 * KiB)
        await manyFiles(admin, 'large', 5 * MiB)
      },
    })
    await names(rig.path())
    for (const fault of BAD_DATA) {
      for (const size of ['small', 'large']) {
        const path = `${size} ${fault.kind}`
        rig.admin.setFaults([{ ...fault, match: WIRE.data }])
        const read = await readFile(rig.path(path))
        t.ok(read.equals(await rig.admin.read({ path })), path)
        // Small files are fetched without a range.
        if (size === 'large') t.ok((rig.admin.faults()[0]?.hits ?? 0) > 0, 'and there was a fault')
        rig.admin.setFaults([])
      }
    }
  },
)

mountTest(t, 'data that never comes: an error in time, and right when it does', async (t) => {
  const EXPECTED: Record<string, string> = {
    reset: 'EIO',
    'wrong-range': 'EIO',
    'expired-url': 'EIO',
    stall: 'ETIMEDOUT',
  }
  const rig = await Rig.open(t, {
    args: LIMITS,
    prepare: async (admin) => {
      for (const [seed, kind] of Object.keys(EXPECTED).entries()) {
        await admin.put({ path: kind, size: 3 * MiB, seed })
      }
      await admin.put({ path: 'no address', size: 3 * MiB, seed: 50 })
      await admin.put({ path: 'dead link', size: 3 * MiB, seed: 51 })
      admin.kill({ path: 'dead link' })
    },
  })
  await names(rig.path())
  for (const [kind, expected] of Object.entries(EXPECTED)) {
    rig.admin.setFaults([{ kind, match: WIRE.data }])
    t.equal(await errno(readFile(rig.path(kind))), expected, kind)
    rig.admin.setFaults([])
    t.ok((await readFile(rig.path(kind))).equals(await rig.admin.read({ path: kind })), kind)
  }

  rig.admin.setFaults([{ kind: 'stall', match: WIRE.address }])
  t.equal(await errno(readFile(rig.path('no address'))), 'ETIMEDOUT', 'no address')
  rig.admin.setFaults([])
  t.equal((await readFile(rig.path('no address'))).length, 3 * MiB)

  // Listed, and never to be had: nothing that asking again would change.
  t.equal(await errno(readFile(rig.path('dead link'))), 'ESTALE', 'dead link')
  t.equal((await stat(rig.path('dead link'))).size, 3 * MiB, 'and is shown as the service shows it')
})

mountTest(
  t,
  'corrupted data: small files are mended, large ones end in EIO and are right next time',
  async (t) => {
    const rig = await Rig.open(t, {
      args: LIMITS,
      prepare: async (admin) => {
        await admin.put({ path: 'mended', size: 700 * KiB, seed: 1 })
        await admin.put({ path: 'small', size: 700 * KiB, seed: 2 })
        await admin.put({ path: 'large', size: 6 * MiB, seed: 3 })
      },
    })
    const corrupted = (times: number) =>
      rig.admin.setFaults([{ kind: 'corrupted', match: WIRE.data, times }])
    const isRight = async (path: string) =>
      (await readFile(rig.path(path))).equals(await rig.admin.read({ path }))

    corrupted(1)
    t.ok(await isRight('mended'), 'fetched once more')
    t.equal(rig.admin.faults()[0]?.hits, 1)
    corrupted(1000)
    t.equal(await errno(readFile(rig.path('small'))), 'EIO', 'wrong twice')
    rig.admin.setFaults([])
    t.ok(await isRight('small'))

    corrupted(1)
    t.equal(await errno(readFile(rig.path('large'))), 'EIO', 'not to be taken for whole')
    t.equal(rig.admin.faults()[0]?.hits, 1)
    t.match(rig.log, 'content arrived with wrong bytes; dropped')
    t.ok(await isRight('large'))
    await rig.restart()
    t.ok(await isRight('large'), 'and no wrong byte stays in the cache')
  },
)

mountTest(t, 'an edit in place is never sent with bytes that arrived wrong', async (t) => {
  const rig = await Rig.open(t, {
    args: ['--write-back', '1h'],
    prepare: (admin) => admin.put({ path: 'big', size: 10 * MiB, seed: 1 }),
  })
  const expected = await rig.admin.read({ path: 'big' })
  const handle = await open(rig.path('big'), 'r+')
  // All of it but the beginning, so that nobody has to read to the end.
  const written = Buffer.alloc(9 * MiB, 'changed')
  await handle.write(written, 0, 9 * MiB, MiB)
  written.copy(expected, MiB)
  await handle.close()
  rig.admin.setFaults([{ kind: 'corrupted', match: WIRE.data, times: 1 }])
  await rig.sync()
  t.equal(rig.admin.faults()[0]?.hits, 1)
  t.ok((await rig.admin.read({ path: 'big' })).equals(expected))
  t.ok((await readFile(rig.path('big'))).equals(expected))
})

mountTest(t, 'uploads into bad weather arrive whole and once', async (t) => {
  const rig = await Rig.open(t, { args: LIMITS })
  await names(rig.path())
  for (const fault of BAD_REPLIES) {
    for (const match of [WIRE.announce, WIRE.piece]) {
      const path = `${fault.kind} ${match}`
      rig.admin.setFaults([{ ...fault, match }])
      await writeFile(rig.path(path), path.repeat(20_000))
      await rig.sync()
      t.equal(rig.admin.faults()[0]?.hits, fault.times, path)
      rig.admin.setFaults([])
      t.ok((await rig.remoteText(path)) === path.repeat(20_000), path)
    }
  }
  t.equal(rig.remoteNames().length, BAD_REPLIES.length * 2)
  t.same(rig.remoteBroken(), [])
  t.same((await rig.status()).pending, [])
})

mountTest(t, 'a crowd of readers and writers in a storm of faults', async (t) => {
  const COUNT = 20
  const rig = await Rig.open(t, {
    args: LIMITS,
    prepare: async (admin) => {
      await admin.fill({ path: '', count: COUNT, size: 300_000, seed: 7, prefix: 'there ' })
    },
  })
  await names(rig.path())
  const storm = ['reset', 'status-503', 'truncated', 'html', 'lost-reply', 'duplicate-reply']
  const kinds = [...storm, 'corrupted', 'wrong-range']
  rig.admin.setFaults(kinds.map((kind) => ({ kind, rate: 0.05 })))
  await rig.run(`mkdir mine
    for n in $(seq ${COUNT}); do
      head -c 200000 /dev/urandom > mine/$n & cat there* > /dev/null 2>&1 & wait
    done`)
  rig.admin.setFaults([])
  await rig.sync()
  const mine = await names(rig.path('mine'))
  t.equal(mine.length, COUNT)
  for (const path of [...mine.map((name) => `mine/${name}`), 'there 00000', 'there 00019']) {
    t.ok((await readFile(rig.path(path))).equals(await rig.admin.read({ path })), path)
  }
  t.equal(rig.remoteNames().length, COUNT * 2 + 1)
  t.same(rig.remoteBroken(), [])
})
