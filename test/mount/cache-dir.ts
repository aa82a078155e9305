// The cache directory: its bound is hard, a full disk is an answer and not an accident, and what a
// newer program wrote there is left alone.
import { execFile } from 'node:child_process'
import { open, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import t from 'tap'
import { tempDir } from '../fixtures/cli.ts'
import { errno, mountTest, Rig, text } from '../fixtures/mount.ts'

const MiB = 1024 * 1024
const run = promisify(execFile)
const SMALL = ['--cache-size', '16M']
const LATER = ['--write-back', '1h']

/** Bytes that a directory takes on the disk, holes left out. */
async function allocated(dir: string): Promise<number> {
  const { stdout } = await run('du', ['-s', '--block-size=1', dir])
  return Number.parseInt(stdout, 10)
}

mountTest(t, 'the bound of the cache is never exceeded by what is read and written', async (t) => {
  const rig = await Rig.open(t, {
    args: SMALL,
    prepare: async (admin) => {
      for (let seed = 1; seed <= 4; seed++)
        await admin.put({ path: `${seed}`, size: 9 * MiB, seed })
    },
  })
  const sizes: number[] = []
  const measure = async () => {
    const dirs = ['blocks', 'staging'].map(async (name) =>
      allocated(join(await rig.cacheDir, name)),
    )
    const [blocks = 0, staging = 0] = await Promise.all(dirs)
    sizes.push(blocks + staging)
    const { bytes, capacity } = (await rig.status()).cache
    t.equal(capacity, 16 * MiB)
    t.ok(bytes <= capacity, `${bytes} bytes`)
  }
  for (const name of ['1', '2', '3', '1', '4']) {
    const read = await readFile(rig.path(name))
    t.ok(read.equals(await rig.admin.read({ path: name })), name)
    await measure()
    await writeFile(rig.path(`copy of ${name}`), read.subarray(1))
    await measure()
    await rig.sync()
  }
  t.ok(Math.max(...sizes) <= 16 * MiB, `${sizes} bytes on the disk`)
  t.ok(Math.max(...sizes) > 4 * MiB, 'and it is used')
  for (const name of ['1', '2', '3', '4']) {
    t.equal(rig.remote().get(`copy of ${name}`)?.size, 9 * MiB - 1)
  }
})

mountTest(
  t,
  'cache full of unsent bytes: clean ones go first, then ENOSPC before damage',
  async (t) => {
    const rig = await Rig.open(t, {
      args: [...SMALL, ...LATER],
      prepare: (admin) => admin.put({ path: 'clean', size: 12 * MiB, seed: 1 }),
    })
    await readFile(rig.path('clean'))
    const first = Buffer.alloc(11 * MiB, 'first')
    await writeFile(rig.path('first'), first)
    const second = Buffer.alloc(2 * MiB, 'second')
    const handle = await open(rig.path('second'), 'w')
    await handle.writeFile(second)
    t.equal(await errno(handle.writeFile(Buffer.alloc(6 * MiB))), 'ENOSPC')
    t.ok((await readFile(rig.path('second'))).subarray(0, 2 * MiB).equals(second))
    await handle.truncate(2 * MiB)
    await handle.close()
    t.ok((await readFile(rig.path('first'))).equals(first), 'what was written before is whole')

    await rig.sync()
    t.ok((await rig.admin.read({ path: 'first' })).equals(first))
    t.ok((await rig.admin.read({ path: 'second' })).equals(second))
    t.equal(await errno(writeFile(rig.path('third'), first)), undefined, 'sent bytes make room')
  },
)

mountTest(t, 'a file of nearly the size of the cache is read and edited in place', async (t) => {
  const rig = await Rig.open(t, {
    args: SMALL,
    prepare: (admin) => admin.put({ path: 'large', size: 14 * MiB, seed: 1 }),
  })
  const expected = await rig.admin.read({ path: 'large' })
  t.ok((await readFile(rig.path('large'))).equals(expected))
  const handle = await open(rig.path('large'), 'r+')
  await handle.write('changed', 7 * MiB)
  await handle.close()
  expected.write('changed', 7 * MiB)
  await rig.sync()
  t.ok((await rig.admin.read({ path: 'large' })).equals(expected))
  t.ok((await readFile(rig.path('large'))).equals(expected))
})

mountTest(
  t,
  'disk full below the cache: ENOSPC before damage, and on when there is room',
  async (t) => {
    const disk = await tempDir(t)
    try {
      // What the cache always leaves free is 64 MiB.
      await run('mount', ['-t', 'tmpfs', '-o', 'size=90m', 'none', disk])
    } catch {
      return void t.plan(0, 'only root can make a small disk')
    }
    t.teardown(() => run('umount', ['-l', disk]))
    const rig = await Rig.open(t, {
      args: ['--cache-dir', join(disk, 'cache'), ...LATER],
      prepare: (admin) => admin.put({ path: 'clean', size: 8 * MiB, seed: 1 }),
    })
    await readFile(rig.path('clean'))
    const content = Buffer.alloc(6 * MiB, 'written')
    await writeFile(rig.path('before'), content)
    await run('sh', ['-c', `head -c 40M /dev/zero > '${disk}/filler'`])
    // Free space is looked at once a second.
    await rig.run('sleep 1.1')
    t.equal(await errno(writeFile(rig.path('refused'), content)), 'ENOSPC')
    t.ok((await readFile(rig.path('before'))).equals(content))
    t.ok((await readFile(rig.path('clean'))).equals(await rig.admin.read({ path: 'clean' })))
    await rig.run('mkdir dir; mv before dir/moved; rm -f refused')
    await rm(join(disk, 'filler'))
    await rig.run('sleep 1.1')
    await writeFile(rig.path('after'), content)
    await rig.sync()
    t.same(rig.remoteNames(), ['after', 'clean', 'dir', 'dir/moved'])
    t.ok((await rig.admin.read({ path: 'dir/moved' })).equals(content))
    await rig.stop()
  },
)

mountTest(t, "a newer program's cache or state is refused, an older one's migrated", async (t) => {
  const rig = await Rig.open(t, { args: [...LATER, '--drain', '0'] })
  await writeFile(rig.path('unsent'), 'precious')
  await rig.run('mkdir dir; chmod 711 dir')
  await rig.stop()
  const format = join(await rig.cacheDir, 'format.json')
  const before = await readFile(format)
  const change = async (sql: string) => {
    const db = new DatabaseSync(await rig.stateFile)
    db.exec(sql)
    db.close()
  }
  const fingerprint = async () => {
    const dirs = [await rig.cacheDir, await rig.stateFile]
    const script = 'find "$@" -type f ! -name "lock.*" -exec sha1sum {} + | sort'
    return (await run('sh', ['-c', script, 'sh', ...dirs])).stdout
  }
  const start = () => rig.bench.run('-f', ...rig.bench.args())

  await writeFile(format, '{"version":99}\n')
  let found = await fingerprint()
  t.match(await start(), { code: 78, stderr: /newer/ }, 'cache')
  t.equal(await fingerprint(), found)
  await writeFile(format, before)

  await change('PRAGMA user_version = 99; PRAGMA application_id = 0x57590063')
  found = await fingerprint()
  t.match(await start(), { code: 78, stderr: /newer/ }, 'state')
  t.equal(await fingerprint(), found)
  // As an older program would have left it.
  await change(
    'ALTER TABLE inode DROP COLUMN strays; PRAGMA user_version = 1; PRAGMA application_id = 0',
  )

  await rig.start()
  t.equal(await text(rig.path('unsent')), 'precious')
  // Of which nothing but the state file knows.
  t.equal(await rig.run('stat -c %a dir'), '711\n')
  await unlink(rig.path('unsent'))
})
