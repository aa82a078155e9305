// The service does what it was asked and the reply is lost, or the request is done twice: every
// command can be repeated, so that one entry of the right name is there in the end, and nobody
// else's is touched.
import t from 'tap'
import type { Admin } from '../../src/standin/admin/admin.ts'
import { mountTest, names, Rig } from '../fixtures/mount.ts'

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

/** By the command that the script leads to. Names that end in `/` are directories. */
const CASES: Record<string, Case> = {
  dir_create: { script: 'mkdir made; mkdir made/below', after: ['made/', 'made/below/'] },
  2301: { script: 'cp "$content" made', after: ['made'] },
  'ftn-chunk': { script: 'cp "$content" made; echo >> made', after: ['made'] },
  batch_file_delete: { there: ['gone', 'kept'], script: 'rm gone', after: ['kept'] },
  batch_folder_delete: {
    there: ['gone/', 'gone/sub/', 'kept/'],
    script: 'rm -r gone',
    after: ['kept/'],
  },
  file_attr_mod: { there: ['old'], script: 'mv old new', after: ['new'] },
  dir_attr_mod: { there: ['old/', 'old/in'], script: 'mv old new', after: ['new/', 'new/in'] },
  batch_file_move: {
    there: ['from/', 'from/file', 'to/'],
    script: 'mv from/file to/other',
    after: ['from/', 'to/', 'to/other'],
  },
  batch_folder_move: {
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
  rig.admin.setFaults(Object.keys(CASES).map((command) => ({ kind, times, match: `^${command}$` })))
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
    const [first, second] = ['2301/made', 'ftn-chunk/made'].map((path) => rig.remote().get(path))
    t.same([first?.size, second?.size], [300_000, 300_001])
  })
}
