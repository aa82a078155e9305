// The state file between two runs: what happened to it while nobody had it open.
import {
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { StateFile } from '../../src/cache/state.ts'
import { DirInode, toRow } from '../../src/vfs/inode.ts'
import { tempDir } from '../fixtures/cli.ts'
import { Random } from '../fixtures/random.ts'

const ENTRIES = 300

async function closedFile(dir: string): Promise<string> {
  const path = join(dir, 'state.db')
  const state = await StateFile.open(path)
  for (let ino = 1; ino <= ENTRIES; ino++)
    state.save(toRow(new DirInode(ino, ino === 1 ? undefined : 1, `entry ${ino}`, {})), false)
  await state.close()
  return path
}

t.test('after an orderly end every flipped bit is noticed, in values too', async (t) => {
  const path = await closedFile(await tempDir(t))
  const good = readFileSync(path)
  const seal = readFileSync(`${path}.seal`)
  const random = new Random(Number(process.env.WEIYUN_TEST_SEED ?? 1))
  // A Date would be rounded to the next millisecond.
  const writtenS = (Math.floor(statSync(path).mtimeMs) + 0.5) / 1000
  const put = (bytes: Buffer): void => {
    writeFileSync(path, bytes)
    utimesSync(path, writtenS, writtenS)
    writeFileSync(`${path}.seal`, seal)
  }
  const inValue = good.indexOf(`entry ${ENTRIES}`)
  t.ok(inValue > 0)
  for (const at of [inValue, ...Array.from({ length: 40 }, () => random.below(good.length))]) {
    const bad = Buffer.from(good)
    bad[at] = (bad[at] as number) ^ (1 << random.below(8))
    put(bad)
    await t.rejects(StateFile.open(path), `a bit of byte ${at}`)
  }
  put(good)
  const state = await StateFile.open(path)
  t.equal(state.lastIno(), ENTRIES)
  await state.close()
})

t.test('nothing is sealed while the file is open, nor after a crash', async (t) => {
  const dir = await tempDir(t)
  const path = await closedFile(dir)
  const seal = readFileSync(`${path}.seal`)
  const state = await StateFile.open(path)
  t.notOk(existsSync(`${path}.seal`))
  state.setMeta('key', '"value"')
  const then = join(dir, 'then.db')
  for (const suffix of ['', '-wal']) copyFileSync(path + suffix, then + suffix)
  await state.close()
  // The power failed before the disk knew that the seal was off.
  writeFileSync(`${then}.seal`, seal)
  const afterCrash = await StateFile.open(then)
  t.equal(afterCrash.getMeta('key'), '"value"')
  await afterCrash.close()
})

t.test('after a crash, values that nobody can read are noticed', async (t) => {
  const dir = await tempDir(t)
  const changes = {
    account: `UPDATE meta SET value = '{"a":1' WHERE key = 'account'`,
    attributes: `UPDATE inode SET own = '{"mode"x1}' WHERE ino = 7`,
    kind: `UPDATE inode SET kind = 'dis' WHERE ino = 7`,
  }
  for (const [what, change] of Object.entries({ nothing: 'SELECT 1', ...changes })) {
    const path = join(dir, `${what}.db`)
    copyFileSync(await closedFile(await tempDir(t)), path)
    const db = new DatabaseSync(path)
    db.exec(`INSERT INTO meta VALUES ('account', '{"a":1}'), ('closed', '')`)
    db.exec(change)
    db.close()
    if (what === 'nothing') await (await StateFile.open(path)).close()
    else await t.rejects(StateFile.open(path), /cannot be read/, what)
  }
})

t.test('a program that knows nothing of seals may have written to it', async (t) => {
  const path = await closedFile(await tempDir(t))
  const seal = readFileSync(`${path}.seal`)
  const other = new DatabaseSync(path)
  other.exec(`INSERT INTO meta VALUES ('key', '"value"')`)
  other.close()
  writeFileSync(`${path}.seal`, seal)
  const state = await StateFile.open(path)
  t.equal(state.getMeta('key'), '"value"')
  await state.close()
})

t.test('after a crash, an index that does not fit its rows is noticed', async (t) => {
  const path = await closedFile(await tempDir(t))
  rmSync(`${path}.seal`)
  const good = readFileSync(path)
  const name = `entry ${ENTRIES}`
  let places = 0
  for (let at = good.indexOf(name); at >= 0; at = good.indexOf(name, at + 1)) {
    const bad = Buffer.from(good)
    bad[at] = (bad[at] as number) ^ 2
    writeFileSync(path, bad)
    await t.rejects(StateFile.open(path), /damaged/, `byte ${at}`)
    places++
  }
  t.ok(places >= 2, 'in the row and in an index')
})

t.test('a version with a flipped bit is damage, and no newer version', async (t) => {
  const path = await closedFile(await tempDir(t))
  rmSync(`${path}.seal`)
  const change = (sql: string): void => {
    const db = new DatabaseSync(path)
    db.exec(sql)
    db.close()
  }
  change(`PRAGMA user_version = ${2 + 2 ** 20}`)
  await t.rejects(StateFile.open(path), /damaged/)
  change('PRAGMA user_version = 3')
  await t.rejects(StateFile.open(path), /damaged/)
  change('PRAGMA application_id = 0')
  await t.rejects(StateFile.open(path), /damaged/)
  change('PRAGMA application_id = 0x57590003')
  await t.rejects(StateFile.open(path), /newer version/)
})
