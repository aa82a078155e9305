// Names travel to the service and back unchanged, whatever they are; strangers' names are shown as
// they are.
import t from 'tap'
import { checkName, sideName, toService, toShown } from '../../src/vfs/names.ts'
import { Random } from '../fixtures/random.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: the service refuses them.
const REFUSED_BY_SERVICE = /[\\/:*?"<>|\x00-\x1f\x7f]|[. ]$/u

t.test('ordinary names are the same on both sides', async (t) => {
  for (const name of [
    'a.txt',
    '大：文件？.bin',
    'naïve',
    '😀 x',
    '.bashrc',
    'a·b',
    '·',
    '100%',
    'e\u0301',
    '\u00e9',
  ]) {
    t.equal(toService(name), name)
    t.equal(toShown(name), name)
  }
})

t.test('what the service refuses travels encoded, with its extension in place', async (t) => {
  for (const name of [
    'what?*<>|".txt',
    'a:b.jpg',
    'dots...',
    'space ',
    '\t',
    'back\\slash',
    'a\x7f',
    '.',
    '..',
  ]) {
    if (name === '.' || name === '..') continue
    const sent = toService(name)
    t.notMatch(sent, REFUSED_BY_SERVICE, JSON.stringify(name))
    t.equal(toShown(sent), name)
  }
  t.match(toService('a:b.jpg'), /\.jpg$/)
})

t.test('a name that only looks encoded comes back as it was', async (t) => {
  const lookalike = toService('a?b.txt')
  const sent = toService(lookalike)
  t.not(sent, lookalike)
  t.equal(toShown(sent), lookalike)
})

t.test(
  'a stranger’s name that resembles ours but for the checksum is shown as it is',
  async (t) => {
    t.equal(toShown('a·3fb·0000.txt'), 'a·3fb·0000.txt')
  },
)

t.test('hostile names from the service become harmless, each a different one', async (t) => {
  const hostile = ['', '.', '..', '../x', 'a/b', 'a\0b', '/', `${'x'.repeat(1025)}`]
  const shown = hostile.map(toShown)
  for (const [index, name] of shown.entries()) {
    if (index === hostile.length - 1) continue
    t.notMatch(name, /[/\0]|^\.{0,2}$/u, JSON.stringify(hostile[index]))
  }
  t.equal(new Set(shown).size, hostile.length)
})

t.test('any name survives the journey', async (t) => {
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  const alphabet = [...'abz·0123456789f.:*?"<>|\\ \t\x01中文：？é😀-_%~']
  for (let round = 0; round < 20_000; round++) {
    const length = 1 + random.below(12)
    const name = Array.from({ length }, () => random.pick(alphabet)).join('')
    if (name === '.' || name === '..') continue
    const sent = toService(name)
    if (REFUSED_BY_SERVICE.test(sent))
      t.fail(`${JSON.stringify(name)} is sent as ${JSON.stringify(sent)}`)
    if (toShown(sent) !== name)
      t.fail(`${JSON.stringify(name)} comes back as ${JSON.stringify(toShown(sent))}`)
  }
  t.pass('20,000 names')
})

t.test('the limit counts characters of what is sent', async (t) => {
  checkName('a'.repeat(128), 128)
  checkName('微'.repeat(85), 128)
  t.throws(() => checkName('a'.repeat(129), 128), { code: 'ENAMETOOLONG' })
  t.throws(() => checkName(`${'a'.repeat(127)}:`, 128), { code: 'ENAMETOOLONG' })
  t.throws(() => checkName('broken\ufffd', 128), { code: 'EILSEQ' })
})

t.test('side names keep the extension and avoid what is taken', async (t) => {
  const now = new Date(2026, 10, 23, 10, 20, 30)
  t.equal(
    sideName('report.pdf', 'conflict', now, () => false),
    'report (conflict 2026-11-23 10.20.30).pdf',
  )
  t.equal(
    sideName('.bashrc', 'conflict', now, () => false),
    '.bashrc (conflict 2026-11-23 10.20.30)',
  )
  const taken = new Set(['a (conflict 2026-11-23 10.20.30)'])
  t.equal(
    sideName('a', 'conflict', now, (name) => taken.has(name)),
    'a (conflict 2026-11-23 10.20.30 2)',
  )
})

t.test('a service that takes dots from both ends gets none', async (t) => {
  for (const name of ['.bashrc', '..x.txt', '...', '.a.b.', '.gitignore']) {
    const sent = toService(name, true)
    t.notMatch(sent, /^\.|\.$/u, name)
    t.equal(toShown(sent), name)
  }
  t.equal(toService('a.txt', true), 'a.txt')
})
