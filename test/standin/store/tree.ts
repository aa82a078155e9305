import t from 'tap'
import { Refusal } from '../../../src/standin/refusal.ts'
import { type Account, mainKey } from '../../../src/standin/store/accounts.ts'
import type { Entry } from '../../../src/standin/store/entries.ts'
import { Store } from '../../../src/standin/store/store.ts'
import { Random } from '../../fixtures/random.ts'

const STEPS = 600
const NAMES = ['a', 'b', 'c', 'd']
const DEPTH_MAX = 4

interface Node {
  kind: 'dir' | 'file'
  parent: string
  name: string
  size: number
  recycled: boolean
}

/** What the tree should be, kept in the plainest way. */
class Model {
  readonly nodes = new Map<string, Node>()
  readonly main: string

  constructor(main: string) {
    this.main = main
  }

  children(dir: string): [string, Node][] {
    return [...this.nodes].filter(([, node]) => node.parent === dir && !node.recycled)
  }

  /** Everything reachable from the main directory. */
  live(): string[] {
    const walk = (dir: string): string[] => this.children(dir).flatMap(([id]) => [id, ...walk(id)])
    return walk(this.main)
  }

  taken(dir: string, name: string): boolean {
    return this.children(dir).some(([, node]) => node.name === name)
  }

  depth(id: string): number {
    return id === this.main ? 0 : 1 + this.depth(this.nodes.get(id)?.parent as string)
  }

  levels(id: string): number {
    if (this.nodes.get(id)?.kind === 'file') return 0
    return 1 + Math.max(0, ...this.children(id).map(([child]) => this.levels(child)))
  }

  isBelow(id: string, top: string): boolean {
    if (id === top) return true
    return id !== this.main && this.isBelow(this.nodes.get(id)?.parent as string, top)
  }

  erase(id: string): void {
    for (const [child] of this.children(id)) this.erase(child)
    this.nodes.delete(id)
  }
}

t.test('random changes leave the tree that a plain model has', async (t) => {
  const random = new Random()
  t.comment(`WEIYUN_TEST_SEED=${random.seed}`)
  const dataDir = t.testdir({})
  let store = await Store.open(dataDir)
  let account = store.addAccount({})
  account.limits.depthMax = DEPTH_MAX
  store.accounts.save(account)
  const model = new Model(mainKey(account.uin))

  for (let step = 0; step < STEPS; step++) {
    const outcome = change(store, account, model, random, step)
    if (outcome.got !== outcome.wanted) {
      t.match(outcome, { got: outcome.wanted }, `step ${step}`)
      return
    }
    if (step % 20 === 0 || step === STEPS - 1) compare(step)
    if (step % 200 === 0) {
      store.close()
      store = await Store.open(dataDir)
      account = store.accounts.first() as Account
    }
  }
  store.close()

  function compare(step: number) {
    const found: string[] = []
    const walk = (dir: Entry) => {
      const children = store.tree.children(dir)
      if (dir.childCount !== children.length) found.push(`count of ${dir.id} is wrong`)
      for (const child of children) {
        found.push(`${child.parent}/${child.name} ${child.id} ${child.size}`)
        if (child.kind === 'dir') walk(child)
      }
    }
    walk(store.tree.dir(account, model.main))
    const wanted = model.live().map((id) => {
      const { parent, name, size } = model.nodes.get(id) as Node
      return `${parent}/${name} ${id} ${size}`
    })
    t.same(found.sort(), wanted.sort(), `tree after step ${step}`)
    const kinds = model.live().map((id) => model.nodes.get(id)?.kind)
    const all = [...model.nodes.values()]
    t.match(account, {
      fileCount: kinds.filter((kind) => kind === 'file').length,
      dirCount: kinds.filter((kind) => kind === 'dir').length,
      usedSpace: all.reduce((sum, node) => sum + node.size, 0),
    })
    const bin = [...model.nodes].filter(([, node]) => node.recycled).map(([id]) => id)
    t.same(
      store.tree
        .recycled(account)
        .map(({ id }) => id)
        .sort(),
      bin.sort(),
    )
  }
})

/** What a change works on: `target` is a live directory, `some` a live entry, not the main one. */
interface Situation {
  store: Store
  account: Account
  model: Model
  random: Random
  nowMs: number
  target: string
  name: string
  some: string | undefined
}

interface Outcome {
  /** The result code, or an error that has none. */
  got: unknown
  wanted: number
}

const NOTHING_TO_DO: Outcome = { got: 0, wanted: 0 }

/** One random change, done to both; the codes should be the same. */
function change(
  store: Store,
  account: Account,
  model: Model,
  random: Random,
  nowMs: number,
): Outcome {
  const live = model.live()
  const dirs = [model.main, ...live.filter((id) => model.nodes.get(id)?.kind === 'dir')]
  const situation: Situation = {
    store,
    account,
    model,
    random,
    nowMs,
    target: random.pick(dirs),
    name: random.pick(NAMES),
    some: live.length > 0 ? random.pick(live) : undefined,
  }
  const act = random.pick([makeDir, makeDir, addFile, addFile, rename, recycle, move, move, unbin])
  return act(situation)
}

function attempt<T>(act: () => T): { got: unknown; made: T | undefined } {
  try {
    return { got: 0, made: act() }
  } catch (error) {
    return { got: error instanceof Refusal ? error.ret : error, made: undefined }
  }
}

function entryOf({ store, account, model, some }: Situation): Entry {
  const { parent, name } = model.nodes.get(some as string) as Node
  return store.tree.child(store.tree.dir(account, parent), name) as Entry
}

function makeDir({ store, account, model, nowMs, target, name }: Situation): Outcome {
  const deep = model.depth(target) + 1 > DEPTH_MAX
  const wanted = model.taken(target, name) ? 1051 : deep ? 199012 : 0
  const { got, made } = attempt(() => {
    const parent = store.tree.dir(account, target)
    return store.tree.makeDir(account, parent, name, '', nowMs)
  })
  if (made !== undefined) {
    model.nodes.set(made.id, { kind: 'dir', parent: target, name, size: 0, recycled: false })
  }
  return { got, wanted }
}

function addFile({ store, account, model, random, nowMs, target, name }: Situation): Outcome {
  const size = random.below(100)
  const { got, made } = attempt(() => {
    const dir = store.tree.dir(account, target)
    const free = store.tree.freeName(account, dir, name, nowMs)
    const file = { name: free, size, sha: '', md5: '', complete: true }
    return store.tree.addFile(account, dir, file, nowMs)
  })
  if (made !== undefined) {
    const node: Node = { kind: 'file', parent: target, name: made.name, size, recycled: false }
    model.nodes.set(made.id, node)
  }
  return { got, wanted: 0 }
}

function rename(situation: Situation): Outcome {
  const { store, model, nowMs, name, some } = situation
  const node = model.nodes.get(some ?? '')
  if (node === undefined) return NOTHING_TO_DO
  const wanted = node.name === name ? 1122 : model.taken(node.parent, name) ? 1051 : 0
  const { got } = attempt(() => store.tree.rename(entryOf(situation), name, '', nowMs))
  if (got === 0) node.name = name
  return { got, wanted }
}

function recycle(situation: Situation): Outcome {
  const { store, account, model, nowMs, some } = situation
  const node = model.nodes.get(some ?? '')
  if (node === undefined) return NOTHING_TO_DO
  const { got } = attempt(() => store.tree.recycle(account, entryOf(situation), nowMs))
  node.recycled = true
  return { got, wanted: 0 }
}

function move(situation: Situation): Outcome {
  const { store, account, model, nowMs, target, some = '' } = situation
  const node = model.nodes.get(some)
  if (node === undefined) return NOTHING_TO_DO
  const wanted = () => {
    if (node.parent === target) return 1111
    if (model.isBelow(target, some)) return 190013
    if (model.taken(target, node.name)) return 1051
    const deep = node.kind === 'dir' && model.depth(target) + model.levels(some) > DEPTH_MAX
    return deep ? 199012 : 0
  }
  const expected = wanted()
  const { got } = attempt(() => {
    const dir = store.tree.dir(account, target)
    store.tree.move(account, entryOf(situation), dir, nowMs)
  })
  if (got === 0) node.parent = target
  return { got, wanted: expected }
}

/** Restores something from the recycle bin, or purges it. */
function unbin({ store, account, model, random, nowMs }: Situation): Outcome {
  const bin = [...model.nodes].filter(([, { recycled }]) => recycled)
  if (bin.length === 0) return NOTHING_TO_DO
  const [id, gone] = random.pick(bin)
  if (random.below(3) === 0) {
    const entry = store.tree.recycled(account).find((candidate) => candidate.id === id) as Entry
    const { got } = attempt(() => store.tree.erase(account, entry, nowMs))
    model.erase(id)
    return { got, wanted: 0 }
  }
  const home = gone.parent === model.main || model.live().includes(gone.parent)
  const deep =
    home && gone.kind === 'dir' && model.depth(gone.parent) + model.levels(id) > DEPTH_MAX
  const { got, made } = attempt(() => store.tree.restore(account, id, gone.kind, nowMs))
  if (made !== undefined) Object.assign(gone, { recycled: false, name: made.name })
  return { got, wanted: !home ? 1026 : deep ? 199012 : 0 }
}

t.test('a key of a deleted directory, or of one below it, is dead', async (t) => {
  const store = await Store.open(t.testdir({}))
  t.teardown(() => store.close())
  const account = store.addAccount({})
  const main = store.tree.dir(account, mainKey(account.uin))
  const top = store.tree.makeDir(account, main, 'a', '', 1)
  const inner = store.tree.makeDir(account, top, 'b', '', 1)
  store.tree.recycle(account, top, 2)
  for (const key of [top.id, inner.id]) {
    t.equal(attempt(() => store.tree.dir(account, key)).got, 1019)
  }
  store.tree.restore(account, top.id, 'dir', 3)
  t.equal(store.tree.dir(account, inner.id).name, 'b')
})
