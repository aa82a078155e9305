// The users of the mount that is soaked: each does one kind of work over and over, and checks what
// it can. All of them share one mount; what they change does not overlap.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Admin } from '../../src/standin/admin/admin.ts'
import { seededContent } from '../../src/standin/store/seeded.ts'
import type { Random } from '../../test/fixtures/random.ts'

const run = promisify(execFile)

const MiB = 1024 * 1024
const FILM_BYTES = 64 * MiB
const FILMS = 8
const DIR_FILES = 100
const SHARED_NAMES = 20
const PART_BYTES = 4096

export interface Place {
  mountpoint: string
  /** A tree on this disk to copy from. */
  source: string
  admin: Admin
  random: Random
  entries: number
}

/** One go of a kind of work. Rejects when something is not as it has to be. */
export type Work = (place: Place) => Promise<unknown>

/** What the drive holds before anybody mounts it, and the tree to copy from. */
export async function prepare({ admin, entries, source }: Place): Promise<void> {
  for (const path of ['films', 'shared', 'own']) admin.mkdir({ path })
  for (let dir = 0; dir * DIR_FILES < entries; dir++) {
    const path = dirName(dir)
    admin.mkdir({ path })
    await admin.fill({ path, count: DIR_FILES })
  }
  for (let seed = 1; seed <= FILMS; seed++)
    await admin.put({ path: `films/${seed}`, size: FILM_BYTES, seed })
  await run(
    'bash',
    ['-c', 'mkdir -p a/b c; for i in {1..30}; do head -c $((i * 997)) /dev/urandom >a/b/$i; done'],
    {
      cwd: source,
    },
  )
}

export const WORK: Record<string, Work> = {
  async walk({ mountpoint, entries }) {
    const { stdout } = await run(
      'find',
      [join(mountpoint, 'tree'), '-type', 'f', '-printf', '%s\n'],
      {
        maxBuffer: 64 * MiB,
      },
    )
    const found = stdout.split('\n').length - 1
    const wanted = Math.ceil(entries / DIR_FILES) * DIR_FILES
    if (found !== wanted) throw new Error(`find saw ${found} of ${wanted} files`)
    await sleep(2_000)
  },

  async stream({ mountpoint, random }) {
    const seed = 1 + random.below(FILMS)
    const { stdout } = await run('sha1sum', [join(mountpoint, 'films', String(seed))])
    if (stdout.slice(0, 40) !== filmHash(seed)) throw new Error(`film ${seed} has other bytes`)
    await sleep(1_000)
  },

  async seek({ mountpoint, random }) {
    const seed = 1 + random.below(FILMS)
    await using file = await open(join(mountpoint, 'films', String(seed)))
    for (let count = 20; count > 0; count--) {
      const at = random.below(FILM_BYTES - PART_BYTES)
      await file.read(Buffer.alloc(PART_BYTES), 0, PART_BYTES, at)
    }
    await sleep(200)
  },

  async handles({ mountpoint, random }) {
    const dir = join(mountpoint, dirName(random.below(10)))
    const files = await Promise.all((await readdir(dir)).map((name) => open(join(dir, name))))
    await sleep(100)
    await Promise.all(files.map((file) => file.close()))
    await sleep(500)
  },

  async copyAndRemove({ mountpoint, source, random }) {
    const own = join(mountpoint, 'own')
    const [first, second] = [
      join(own, `in ${random.below(5)}`),
      join(own, `moved ${random.below(5)}`),
    ]
    await run('cp', ['-r', source, first])
    await rename(first, second)
    await run('diff', ['-r', source, second])
    if (random.below(2) === 0) await sleep(3_000)
    await run('rm', ['-r', second])
    await sleep(1_000)
  },

  async edit({ mountpoint, random }) {
    const path = join(mountpoint, 'own', `edited ${random.below(5)}`)
    const text = random.bytes(2_000 + random.below(20_000))
    await writeFile(`${path}.new`, text)
    await rename(`${path}.new`, path)
    const file = await open(path, 'r+')
    await file.write('edited in place', 100)
    await file.close()
    if ((await stat(path)).size !== text.length) throw new Error(`${path} has another size`)
    if (random.below(4) === 0) await rm(path)
    await sleep(1_000)
  },

  /** Another device changes what we look at, and its changes come to be seen as they are. */
  async foreign({ mountpoint, admin, random }) {
    const path = `shared/${random.below(SHARED_NAMES)}`
    if (random.below(4) > 0) await admin.put({ path, content: random.bytes(random.below(20_000)) })
    else if (admin.tree({ path: 'shared' }).some((entry) => `shared/${entry.path}` === path))
      admin.remove({ path })
    await sleep(500)
    const dir = join(mountpoint, 'shared')
    for (const name of await readdir(dir)) await readShared(join(dir, name))
  },
}

/** It may be gone, or be another version, at any moment; but its size is that of its bytes. */
async function readShared(path: string): Promise<void> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    const bytes = await file.readFile()
    if (bytes.length !== size) throw new Error(`${path}: ${bytes.length} bytes of ${size}`)
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException
    const isGone = code === 'ENOENT' || errno === -116
    if (!isGone) throw error
  }
}

function dirName(dir: number): string {
  return `tree/${Math.floor(dir / 50)}/${dir}`
}

const hashes = new Map<number, string>()

function filmHash(seed: number): string {
  const known = hashes.get(seed)
  if (known !== undefined) return known
  const hash = createHash('sha1')
  for (const piece of seededContent(FILM_BYTES, seed)) hash.update(piece)
  const digest = hash.digest('hex')
  hashes.set(seed, digest)
  return digest
}
