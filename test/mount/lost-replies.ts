// The service does what it was asked and the reply is lost, or the request is done twice: every
// command can be repeated, so that one entry of the right name is there in the end, and nobody
// else's is touched.
import { unlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import type { Admin } from '../../src/standin/admin/admin.ts'
import type { Wire } from '../fixtures/dialect.ts'
import { mountTest, names, Rig, until, WIRE } from '../fixtures/mount.ts'

const CONTENT = 'ours\n'.repeat(60_000)
const STRANGER = 'made2015-1-2 20.30.3'
const bytes = (content: string) => ({ content: Buffer.from(content) })

interface Case {
  /** What is on the drive before; all paths are below a directory of the case. */
  there?: readonly string[]
  /** What a user does. */
  script: string
  after: readonly string[]
}

/** By what the script leads to. Names that end in `/` are directories. */
const CASES: Partial<Record<keyof Wire, Case>> = {
  makeDir: { script: 'mkdir made; mkdir made/below', after: ['made/', 'made/below/'] },
  announce: { script: 'cp "$content" made', after: ['made'] },
  piece: { script: 'cp "$content" made; echo >> made', after: ['made'] },
  removeFiles: { there: ['gone', 'kept'], script: 'rm gone', after: ['kept'] },
  removeDirs: {
    there: ['gone/', 'gone/sub/', 'kept/'],
    script: 'rm -r gone',
    after: ['kept/'],
  },
  renameFile: { there: ['old'], script: 'mv old new', after: ['new'] },
  renameDir: { there: ['old/', 'old/in'], script: 'mv old new', after: ['new/', 'new/in'] },
  moveFiles: {
    there: ['from/', 'from/file', 'to/'],
    script: 'mv from/file to/other',
    after: ['from/', 'to/', 'to/other'],
  },
  moveDirs: {
    there: ['from/', 'from/dir/', 'from/dir/in', 'to/'],
    script: 'mv from/dir to/',
    after: ['from/', 'to/', 'to/dir/', 'to/dir/in'],
  },
}

/** The cases, and beside each a stranger's copy of what is sent, under a name like ours. */
async function prepare(admin: Admin): Promise<void> {
  for (const [command, { there = [] }] of Object.entries(CASES)) {
    admin.mkdir({ path: command })
    await admin.put({ path: `${command}/${STRANGER}`, ...bytes(CONTENT) })
    for (const path of there) {
      if (path.endsWith('/')) admin.mkdir({ path: `${command}/${path}` })
      else await admin.put({ path: `${command}/${path}`, ...bytes(`content of ${path}`) })
    }
  }
}

function remotePaths(rig: Rig, command: string): string[] {
  const found = [...rig.remote(command)].map(([path, { kind }]) =>
    kind === 'dir' ? `${path}/` : path,
  )
  return found.sort()
}

async function tryAll(rig: Rig, kind: string, times: number): Promise<void> {
  for (const command of Object.keys(CASES)) await names(rig.path(command))
  const commands = Object.keys(CASES).map((what) => WIRE[what as keyof Wire])
  rig.admin.setFaults([...new Set(commands)].map((name) => ({ kind, times, match: `^${name}$` })))
  await rig.run('yes ours | head -c 300000 > "$HOME/content"')
  for (const [command, { script }] of Object.entries(CASES)) {
    await rig.run(`content=$HOME/content; cd ${command}; ${script}`)
  }
  await rig.sync()
}

const WEATHER = [
  ['lost-reply', 1, 'one lost reply each'],
  ['lost-reply', 4, 'lost replies, for longer than anybody tries in one go'],
  ['duplicate-reply', 2, 'requests done twice'],
] as const

for (const [kind, times, title] of WEATHER) {
  mountTest(t, `${title}: every command ends in one entry of the right name`, async (t) => {
    const rig = await Rig.open(t, { prepare })
    await tryAll(rig, kind, times)
    for (const [command, { after }] of Object.entries(CASES)) {
      const wanted = [...after, STRANGER].sort()
      t.same(remotePaths(rig, command), wanted, command)
    }
    for (const { match, hits } of rig.admin.faults()) t.ok(hits > 0, `${match} was hit`)
    t.same(rig.remoteBroken(), [], 'no broken entry of ours is left')
    t.same((await rig.status()).pending, [])
    rig.admin.setFaults([])
    await rig.restart()
    for (const [command, { after }] of Object.entries(CASES)) {
      const shown = await rig.run(
        `cd ${command}; find . -mindepth 1 '(' -type d -printf '%P/\\n' -o -printf '%P\\n' ')'`,
      )
      t.same(shown.trim().split('\n').sort(), [...after, STRANGER].sort(), `${command}: shown`)
    }
    const [first, second] = ['announce/made', 'piece/made'].map((path) => rig.remote().get(path))
    t.same([first?.size, second?.size], [300_000, 300_001])
  })
}

mountTest(
  t,
  'removed before anybody heard that its new version had arrived: it goes',
  async (t) => {
    const rig = await Rig.open(t, {
      args: ['--timeout', '5s'],
      prepare: (admin) => admin.put({ path: 'file', ...bytes('old') }),
    })
    await names(rig.path())
    rig.admin.setFaults([
      { kind: 'lost-reply', match: `^${WIRE.piece}$` },
      { kind: 'status-500', match: `^${WIRE.list}$`, after: 1 },
    ])
    await writeFile(rig.path('file'), 'another')
    const sent = () => [...rig.remote().values()].some(({ size }) => size === 7)
    await until(sent, 'the service to have it')
    await until(() => rig.log.includes('could not be sent'), 'it to be given up')
    await unlink(rig.path('file'))
    rig.admin.setFaults([])
    await rig.sync()
    t.same(await names(rig.path()), [])
    t.same(rig.remoteNames(), [])
  },
)
