// What the state file holds at every moment, for a program that may be killed in the next.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { StateFile } from '../../src/cache/state.ts'
import type { DirInode } from '../../src/vfs/inode.ts'
import { Tree } from '../../src/vfs/tree.ts'

/** A tree, and a look at what another program would find if this one died now. */
async function trees(t: Test): Promise<{ tree: Tree; afterKill: () => Promise<Tree> }> {
  const dir = mkdtempSync(join(tmpdir(), 'wm-tree-'))
  const opened: { state: StateFile; tree: Tree }[] = []
  const open = async (name: string): Promise<Tree> => {
    const state = await StateFile.open(join(dir, name))
    const tree = new Tree(state)
    opened.push({ state, tree })
    return tree
  }
  t.teardown(async () => {
    for (const { state, tree } of opened) {
      tree.close()
      await state.close()
    }
    rmSync(dir, { recursive: true })
  })
  const tree = await open('now')
  const afterKill = (): Promise<Tree> => {
    const then = `then-${opened.length}`
    for (const suffix of ['', '-wal'])
      copyFileSync(join(dir, `now${suffix}`), join(dir, then + suffix))
    return open(then)
  }
  return { tree, afterKill }
}

/** As a listing does: seen at once, saved a little later. */
function discover(tree: Tree, above: DirInode, name: string): DirInode {
  const dir = tree.discover('dir', above, name)
  dir.remote = { parent: above.ino, name, key: name }
  dir.listed = true
  dir.stamp = 'stamp'
  tree.saveLater(dir)
  return dir
}

t.test('what is made in a directory that was only just listed survives with it', async (t) => {
  const { tree, afterKill } = await trees(t)
  const outer = discover(tree, tree.root, 'outer')
  const inner = discover(tree, outer, 'inner')
  tree.create('dir', inner, 'made')
  const found = await afterKill()
  const [made] = found.pending()
  t.same(made && found.path(made), ['outer', 'inner', 'made'])
  t.notOk(found.dir(inner.ino).listed, 'its own entries may not be on record')
  t.equal(found.dir(inner.ino).stamp, undefined)
  tree.close()
  t.ok((await afterKill()).dir(inner.ino).listed)
})

t.test('what has lost its places is told from what has them', async (t) => {
  const { tree } = await trees(t)
  const dir = tree.create('dir', tree.root, 'dir')
  const file = tree.create('file', dir, 'file')
  t.ok(tree.hasPlaces(dir))
  t.ok(tree.hasPlaces(file))
  file.remote = { parent: 99, name: 'f', id: '1', version: '', size: 0, sha1: '', md5: '' }
  t.notOk(tree.hasPlaces(file))
  file.remote = undefined
  dir.parent = 99
  t.notOk(tree.hasPlaces(file))
  tree.forget(file)
  t.same(tree.pending(), [dir])
})
