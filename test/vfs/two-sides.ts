// Two devices change one drive at random, with faults and restarts between; afterwards both see
// the same, and nothing that somebody wrote and nobody removed is missing.

import { constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { isErrno } from '../../src/vfs/error.ts'
import type { Opened, Vfs } from '../../src/vfs/vfs.ts'
import { MemoryDrive } from '../fixtures/memory-drive.ts'
import { Random } from '../fixtures/random.ts'
import { openVfs } from '../fixtures/vfs.ts'

const ROUNDS = Number(process.env.WEIYUN_TEST_ROUNDS ?? 8)
const STEPS = 40
const STUCK_MS = 15_000
const NAMES = ['a', 'b', 'c', 'd', 'e f']

class TwoSides {
  readonly random: Random
  readonly drive: MemoryDrive
  readonly dir: string
  vfs!: Vfs
  #texts = 0
  /**
   * Contents that some device wrote; `undefined`: removed or replaced on purpose by somebody
   * since.
   */
  readonly alive = new Map<string, boolean>()
  /** Nobody else changes the drive. */
  readonly #isAlone: boolean

  constructor(dir: string, random: Random, drive: MemoryDrive, isAlone: boolean) {
    this.#isAlone = isAlone
    this.dir = dir
    this.random = random
    this.drive = drive
  }

  async start(): Promise<void> {
    this.vfs = await openVfs(this.dir, this.drive, { dirTtlMs: 0, writeBackMs: 1 })
  }

  async restart(): Promise<void> {
    await this.vfs.close()
    await this.start()
  }

  text(): string {
    const text = `text ${++this.#texts}`
    this.alive.set(text, true)
    return text
  }

  gone(text: string | undefined): void {
    if (text !== undefined) this.alive.set(text, false)
  }

  /** All that the mount shows: directories with a `/` at the end, files with their bytes. */
  async seen(path = ''): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (const { name, stat } of await this.vfs.readdir(`/${path}`)) {
      if ((stat.mode & 0o040000) !== 0) {
        found.set(`${path}${name}/`, '')
        for (const [below, content] of await this.seen(`${path}${name}/`)) found.set(below, content)
      } else {
        found.set(path + name, await this.read(`/${path}${name}`, stat.size))
      }
    }
    return found
  }

  /** As the kernel does it: what is stale is looked up anew, and opened once more. */
  async open(path: string, flags: number): Promise<Opened> {
    return this.vfs.open(path, flags).catch(async (error: unknown) => {
      if (!isErrno(error, 'ESTALE')) throw error
      await this.vfs.getattr(path)
      return this.vfs.open(path, flags)
    })
  }

  async read(path: string, size: number): Promise<string> {
    const { fh } = await this.open(path, constants.O_RDONLY)
    try {
      return (await this.vfs.files.read(fh, 0, size)).toString()
    } finally {
      await this.vfs.files.release(fh)
    }
  }

  /** Writes all of a file, and takes note of what it held. */
  async write(path: string, text: string): Promise<void> {
    const { vfs } = this
    this.gone(text) // until it is written
    const create = vfs.create(path, 0o644, constants.O_RDWR)
    const { fh } = await create.catch(() => this.open(path, constants.O_RDWR))
    let before: string
    try {
      before = (await vfs.files.read(fh, 0, 1000)).toString()
      await vfs.files.truncate(fh, 0)
      await vfs.files.write(fh, Buffer.from(text), 0)
      await vfs.files.flush(fh)
    } finally {
      await vfs.files.release(fh)
    }
    this.gone(before)
    this.alive.set(text, true)
  }

  /**
   * Does something that takes the file at `path` away. Which file that is, is known only
   * afterwards: a listing may put another device's file in the place in the middle of it.
   */
  async taking(path: string, act: () => Promise<void>): Promise<void> {
    const { vfs } = this
    const theirs = this.#isAlone ? undefined : this.drive.tree().get(path.slice(1))
    const opened = await this.open(path, constants.O_RDONLY).catch(() => undefined)
    if (opened === undefined) {
      await act()
      this.gone(theirs)
      return
    }
    const { fh } = opened
    const inode = vfs.files.inodeOf(fh)
    try {
      const ours = (await vfs.files.read(fh, 0, 1000)).toString()
      await act()
      this.gone(inode.parent === undefined ? ours : theirs)
    } finally {
      await vfs.files.release(fh)
    }
  }

  /** One change on this side, of what the mount shows. */
  async ours(): Promise<string> {
    const seen = await this.seen()
    const dirs = ['', ...[...seen.keys()].filter((path) => path.endsWith('/'))]
    const all = [...seen.keys()]
    const to = `/${this.random.pick(dirs)}${this.random.pick(NAMES)}`
    const from = all.length === 0 ? undefined : `/${this.random.pick(all)}`.replace(/\/$/u, '')
    const isDir = from !== undefined && seen.has(`${from.slice(1)}/`)
    const kind = this.random.pick(['write', 'write', 'mkdir', 'remove', 'rename', 'rename', 'edit'])
    if (kind === 'mkdir') {
      await this.vfs.mkdir(to, 0o755)
      return `mkdir ${to}`
    }
    if (kind === 'write' || from === undefined) {
      if (seen.has(`${to.slice(1)}/`)) return 'nothing'
      const text = this.text()
      await this.write(to, text)
      return `write ${to} ${text}`
    }
    if (kind === 'edit') {
      if (isDir) return 'nothing'
      const text = this.text()
      await this.write(from, text)
      return `edit ${from} ${text}`
    }
    if (kind === 'remove') {
      if (isDir) await this.vfs.rmdir(from)
      else await this.taking(from, () => this.vfs.unlink(from))
      return `remove ${from}`
    }
    if (isDir || from === to) await this.vfs.rename(from, to, 0)
    else await this.taking(to, () => this.vfs.rename(from, to, 0))
    return `rename ${from} ${to}`
  }

  /** One change by another device, of what the service has. */
  theirs(): string {
    const dirs = [...this.drive.dirsByPath()]
    const [path, key] = this.random.pick(dirs)
    const entries = this.drive.entriesOf(key)
    const name = this.random.pick(NAMES)
    const here = entries.find((entry) => entry.name === name)
    const kind = this.random.pick(['put', 'put', 'mkdir', 'drop', 'shift'])
    if (kind === 'put' && here?.kind !== 'dir') {
      this.gone(here && this.drive.tree().get(path + name))
      const text = this.text()
      this.drive.put(key, name, text)
      return `their put ${path}${name} ${text}`
    }
    if (kind === 'mkdir' && here === undefined) this.drive.mkdir(key, name)
    // Only files go: what a device loses by removing a directory with strangers' files in it is
    // its own doing.
    if (kind === 'drop' && here?.kind === 'file') {
      this.gone(this.drive.tree().get(path + name))
      this.drive.drop(key, name)
    }
    const [toPath, toKey] = this.random.pick(dirs)
    const newName = this.random.pick(NAMES)
    if (kind === 'shift' && here?.kind === 'file') this.drive.shift(key, name, toKey, newName)
    return `their ${kind} ${path}${name} ${toPath}${newName}`
  }
}

/** A program may be told that something is not possible; anything else is a bug. */
const EXPECTED = new Set(['ENOENT', 'EEXIST', 'ENOTEMPTY', 'ENOTDIR', 'EISDIR', 'EINVAL', 'ESTALE'])

async function play(
  t: Test,
  seed: number,
  options: {
    theirs: number
    faults: number
    restarts: number
    nativeRename?: boolean
    keepsIds?: boolean
  },
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'wm-two-'))
  const random = new Random(seed)
  const sides = new TwoSides(dir, random, new MemoryDrive(options), options.theirs === 0)
  const story: string[] = []
  // The hash worker does not keep a process alive, which a mount does.
  const alive = setInterval(() => {}, 1000)
  try {
    await sides.start()
    sides.drive.fault = () => {
      if (random.below(100) >= options.faults) return undefined
      return random.pick(['before', 'after'] as const)
    }
    for (let step = 0; step < STEPS; step++) {
      if (random.below(100) < options.theirs) story.push(sides.theirs())
      if (random.below(100) < options.restarts) {
        story.push('restart')
        await sides.restart().catch((error: unknown) => {
          if (!isFault(error)) throw error
          return sides.start().catch(() => sides.start())
        })
      }
      try {
        story.push(await sides.ours())
      } catch (error) {
        const { code } = error as { code?: string }
        if (!EXPECTED.has(code ?? '') && !isFault(error)) throw error
        story.push(`refused: ${code}`)
      }
      if (random.below(3) === 0)
        await new Promise((resolve) => setTimeout(resolve, random.below(4)))
    }
    sides.drive.fault = () => undefined
    await settle(sides)
    const seen = await sides.seen()
    t.strictSame(sorted(seen), sorted(sides.drive.tree()), `seed ${seed}: both sides see the same`)
    const present = new Set(seen.values())
    const missing = [...sides.alive]
      .filter(([text, alive]) => alive && !present.has(text))
      .map(([text]) => text)
    t.strictSame(missing, [], `seed ${seed}: nothing is lost`)
    // Two devices may bring back, or keep both of, what only one of them took away.
    const back = [...present].filter((text) => text !== '' && sides.alive.get(text) === false)
    if (options.theirs === 0) t.strictSame(back, [], `seed ${seed}: nothing comes back`)
    if (!t.passing()) t.comment(story.join('\n'))
  } catch (error) {
    t.comment(story.join('\n'))
    t.fail(`seed ${seed}: ${(error as Error).stack}`)
  } finally {
    await sides.vfs.close()
    clearInterval(alive)
    await rm(dir, { recursive: true, force: true })
  }
}

/** Until a look at everything brings nothing new to send. */
async function settle(sides: TwoSides): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await synced(sides)
    await sides.seen()
  }
  await synced(sides)
}

/** Entries that wait for one another for ever are a finding, not a test that never ends. */
async function synced({ vfs }: TwoSides): Promise<void> {
  const rested = new AbortController()
  const stuck = sleep(STUCK_MS, undefined, rested).then(() => {
    throw new Error(`does not come to rest: ${JSON.stringify(vfs.status().pending, null, 1)}`)
  })
  try {
    await Promise.race([vfs.sync(), stuck])
  } finally {
    stuck.catch(() => {})
    rested.abort()
  }
}

function isFault(error: unknown): boolean {
  return /fault before|reply lost/u.test(String(error))
}

function sorted(tree: Map<string, string>): [string, string][] {
  return [...tree].sort(([one], [other]) => (one < other ? -1 : 1))
}

// Each round takes a tenth of a second on a quiet machine.
t.setTimeout(Math.max(240_000, ROUNDS * 10_000))

const first = new Random().seed
t.comment(`first seed ${first}; WEIYUN_TEST_SEED and WEIYUN_TEST_ROUNDS change it`)

const only = process.env.ONLY
for (const [name, options] of Object.entries({
  'one device': { theirs: 0, faults: 0, restarts: 0 },
  'one device, restarts and faults': { theirs: 0, faults: 10, restarts: 10 },
  'two devices': { theirs: 30, faults: 0, restarts: 5 },
  'two devices, restarts and faults': { theirs: 30, faults: 10, restarts: 10 },
  'ids kept, one device': { theirs: 0, faults: 10, restarts: 10, keepsIds: true },
  'ids kept, two devices': { theirs: 30, faults: 10, restarts: 10, keepsIds: true },
  'no native rename': { theirs: 10, faults: 5, restarts: 5, nativeRename: false },
})) {
  if (only && name !== only) continue
  t.test(name, { timeout: Math.max(120_000, ROUNDS * 5_000) }, async (t) => {
    for (let round = 0; round < ROUNDS; round++) await play(t, first + round, options)
  })
}
