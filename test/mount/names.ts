// Names: whatever a user may type, and whatever the service may hold.
import { mkdir, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { errno, mountTest, names, Rig, text, WIRE } from '../fixtures/mount.ts'

/** Stay as they are on both sides. */
const ORDINARY = [
  'with spaces and  two',
  '🚀 emoji 👩‍👩‍👧.txt',
  '中文名字：真的吗？＊没问题＊.txt',
  '微云（副本）【1】.txt',
  'a%20b+c&d=e#f;g.txt',
  "quote's.txt",
  '-rf',
  `${'x'.repeat(124)}.txt`,
  '长'.repeat(85),
  'caf\u00e9.txt', // composed
  'cafe\u0301.txt', // decomposed: another name
  'Case',
  'case',
  '·middle·dots·',
]

/** The drive refuses these; they come back as they were. */
const REFUSED = [
  'a:b*c?d"e<f>g|h\\i.txt',
  'trailing dot.',
  'trailing space ',
  'tab\tand\nnewline',
  ' · : ',
  '::::',
]

mountTest(t, 'ordinary names are the same on both sides, after a cold start too', async (t) => {
  const rig = await Rig.open(t)
  await mkdir(rig.path('空 folder 🗂'))
  for (const name of ORDINARY) {
    await writeFile(rig.path(name), name)
    await writeFile(rig.path('空 folder 🗂', name), name)
  }
  await rig.sync()
  t.same(rig.remoteNames('空 folder 🗂'), [...ORDINARY].sort())
  await rig.stop()
  await rig.forgetCaches()
  await rig.start()
  t.same(await names(rig.path()), [...ORDINARY, '空 folder 🗂'].sort())
  for (const name of ORDINARY) t.equal(await text(rig.path('空 folder 🗂', name)), name)
})

mountTest(t, 'names that the drive refuses travel encoded and come back', async (t) => {
  const rig = await Rig.open(t)
  for (const name of REFUSED) {
    await writeFile(rig.path(name), name)
    await mkdir(rig.path(`dir ${name}`))
    await writeFile(rig.path(`dir ${name}`, name), 'inside')
  }
  await rig.sync()
  for (const path of rig.remoteNames()) {
    t.notMatch(path, /[\\:*?"<>|\t\n]|[. ](?:\/|$)/, 'nothing that the drive refuses')
  }
  await rig.stop()
  await rig.forgetCaches()
  await rig.start()
  t.same(await names(rig.path()), [...REFUSED, ...REFUSED.map((name) => `dir ${name}`)].sort())
  for (const name of REFUSED) {
    t.equal(await text(rig.path(name)), name)
    t.equal(await text(rig.path(`dir ${name}`, name)), 'inside')
  }
})

mountTest(
  t,
  'a name that is too long, or no text, is refused before anything is sent',
  async (t) => {
    const rig = await Rig.open(t)
    const tooLong = 1 + Number(await rig.run('stat -f -c %l .'))
    const asked = await rig.requests(async () => {
      t.equal(await errno(writeFile(rig.path('x'.repeat(tooLong)), '')), 'ENAMETOOLONG')
      t.equal(await errno(mkdir(rig.path('长'.repeat(86)))), 'ENAMETOOLONG', 'too many bytes')
      const bytes = Buffer.concat([Buffer.from(rig.path('bad ')), Buffer.from([0xff, 0xfe])])
      t.equal(await errno(writeFile(bytes, '')), 'EILSEQ')
      await writeFile(rig.path('fine'), '')
      t.equal(await errno(stat(rig.path('fine', 'below'))), 'ENOTDIR')
      const { code } = await rig.sh(`mv fine ${'y'.repeat(tooLong)}`)
      t.equal(code, 1)
      await rig.sync()
    })
    t.same(
      Object.keys(asked).filter((name) => ![WIRE.list, WIRE.account].includes(name)),
      [WIRE.announce],
      'only the one that is fine',
    )
  },
)

mountTest(t, '25 levels are the deepest', async (t) => {
  const rig = await Rig.open(t)
  const deep = Array.from({ length: 25 }, (_, n) => `level ${n}`)
  await mkdir(rig.path(...deep), { recursive: true })
  await writeFile(rig.path(...deep, 'file'), 'deep')
  t.equal(await errno(mkdir(rig.path(...deep, 'one more'))), 'ENAMETOOLONG')
  await rig.sync()
  t.ok(rig.remote().has([...deep, 'file'].join('/')))
  await rig.restart()
  t.equal(await text(rig.path(...deep, 'file')), 'deep')
})

mountTest(t, 'hostile names from the service neither escape nor crash the mount', async (t) => {
  const HOSTILE = ['..', '.', 'a/b', '/etc', 'nul\0byte', '../../x', '长'.repeat(128)]
  const rig = await Rig.open(t, {
    prepare: async (admin) => {
      for (const [n, name] of HOSTILE.entries()) {
        await admin.insert({ dir: '', name, bytes: { content: Buffer.from(`${n}`) } })
      }
      await admin.insert({ dir: '', name: '../dir' })
      await admin.put({ path: 'good', content: Buffer.from('good') })
    },
  })
  const seen = await names(rig.path())
  t.equal(seen.length, HOSTILE.length + 2)
  t.ok(seen.every((name) => !['', '.', '..'].includes(name) && !/[/\0]/.test(name)))
  const contents: string[] = []
  for (const name of seen) contents.push(await text(rig.path(name)).catch(({ code }) => code))
  t.same(contents.sort(), ['0', '1', '2', '3', '4', '5', '6', 'EISDIR', 'good'])
  await rig.run('shopt -s dotglob; n=0; for f in *; do n=$((n+1)); mv -- "$f" "$n renamed"; done')
  t.ok((await names(rig.path())).every((name) => name.endsWith('renamed')))
  await rig.run('find . -mindepth 1 -delete')
  await rig.sync()
  t.same(rig.remoteNames(), [])
})

mountTest(t, 'litter of desktops and editors stays on this machine', async (t) => {
  const rig = await Rig.open(t)
  const litter = [
    '.DS_Store',
    '._thing',
    'Thumbs.db',
    'desktop.ini',
    '.~lock.letter.odt#',
    '.a.swp',
  ]
  const asked = await rig.requests(async () => {
    for (const name of litter) await writeFile(rig.path(name), name)
    await rig.sync()
  })
  t.notOk(WIRE.announce in asked)
  t.same(await names(rig.path()), litter.sort())
  await rig.restart()
  t.equal(await text(rig.path('Thumbs.db')), 'Thumbs.db', 'and survives there')
  await rig.run('mv .a.swp rescued.txt; rm Thumbs.db')
  await rig.sync()
  t.same(rig.remoteNames(), ['rescued.txt'], 'until it is renamed to something ordinary')
  t.equal(await rig.remoteText('rescued.txt'), '.a.swp')
})
