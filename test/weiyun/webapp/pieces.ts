// Large files of the webapp dialect against the local service: bad lines, and restarts half way.
import t from 'tap'
import { type Standin, startStandin } from '../../../src/standin/index.ts'
import { isWeiyunError, loadSession, openDrive } from '../../../src/weiyun/index.ts'
import { openSubject, readAll } from '../../fixtures/drive-suite.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { Random } from '../../fixtures/random.ts'
import { sourceOf } from '../../fixtures/upload-source.ts'

const WEBAPP = { name: 'webapp' } as const
const MIB = 1024 * 1024

function piecesOf({ admin }: Standin): number {
  return admin.journal().filter(({ name }) => name === 'UploadPiece').length
}

t.test('large files over a bad line', async (t) => {
  const { standin, drive, main } = await openSubject(t, WEBAPP)
  const match = 'UploadPiece'
  standin.admin.setFaults([
    { kind: 'dead-channel', rate: 0.08, match },
    { kind: 'ret:-90106', rate: 0.05, match },
    { kind: 'ret:-89001', rate: 0.03, match },
    { kind: 'lost-reply', rate: 0.05 },
    { kind: 'state-1', rate: 0.03, match },
    { kind: 'state-2', rate: 0.03, match },
    { kind: 'state-3', rate: 0.03, match },
    { kind: 'state-9', rate: 0.02, match },
    { kind: 'stale-token', rate: 0.05 },
    { kind: 'html', rate: 0.03 },
    { kind: 'ret:190054', rate: 0.02 },
  ])
  const random = new Random()
  t.comment(`seed ${random.seed}`)
  for (let turn = 0; turn < 2; turn++) {
    const content = pattern(2 * MIB + random.below(4 * MIB)).subarray(random.below(64))
    let resume: string | undefined
    for (let attempt = 0; ; attempt++) {
      try {
        await drive.upload(main, `f${turn}`, sourceOf(content), {
          ...(resume !== undefined && { resume }),
          onResumable: (token) => {
            resume = token
          },
        })
        break
      } catch (error) {
        if (!isWeiyunError(error) || !error.retryable || attempt > 30) throw error
      }
    }
    const saved = await standin.admin.read({ path: `f${turn}` })
    t.ok(saved.equals(content), `turn ${turn}: the service has the bytes`)
  }
  standin.admin.setFaults([])
  const listing = await drive.list(main)
  const entries = listing === 'unchanged' ? [] : listing.entries
  t.strictSame(entries.map(({ name }) => name).sort(), ['f0', 'f1'], 'and no others')
})

t.test('an upload goes on after both sides were restarted', async (t) => {
  const dataDir = t.testdir({})
  const content = pattern(8 * MIB + 99)
  const start = async () => {
    const standin = await startStandin({ dataDir })
    const session = await loadSession(standin.sessions.webapp as string)
    const drive = openDrive({ session, service: standin.url })
    return { standin, drive, main: (await drive.account()).mainDir }
  }
  const first = await start()
  first.standin.admin.setFaults([{ kind: 'ret:190041', match: 'UploadPiece', after: 5 }])
  let resume: string | undefined
  const upload = first.drive.upload(first.main, 'f', sourceOf(content), {
    priority: 'background',
    onResumable: (token) => {
      resume = token
    },
  })
  await t.rejects(upload, { code: 'SERVER' })
  await first.drive.close()
  await first.standin.close()

  const { standin, drive, main } = await start()
  if (resume === undefined) throw new Error('no token')
  const entry = await drive.upload(main, 'f', sourceOf(content), { resume })
  t.equal(entry.name, 'f')
  t.ok((await readAll(drive, main, entry)).equals(content))
  t.teardown(() => standin.close())
  t.teardown(() => drive.close())
  t.ok(piecesOf(standin) <= 4, `only what was missing: ${piecesOf(standin)} pieces`)
})
