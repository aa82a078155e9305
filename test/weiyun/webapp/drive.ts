// The webapp dialect against the local service.
import t from 'tap'
import { driveSuite, openSubject } from '../../fixtures/drive-suite.ts'
import { sourceOf } from '../../fixtures/upload-source.ts'

const DIALECT = {
  name: 'webapp',
  uploadNew: ['PreUpload', 'UploadPiece'],
  uploadKnown: ['PreUpload'],
  list: 'DiskDirList',
  locate: 'DiskFileBatchDownload',
  fetch: 'ftn-get',
} as const

driveSuite(t, DIALECT)

t.test('a directory of several pages', async (t) => {
  const { standin, drive, main } = await openSubject(t, DIALECT)
  standin.admin.mkdir({ path: 'dir' })
  standin.admin.fill({ path: 'dir', count: 2345 })
  const listing = await drive.list(main)
  const [dir] = listing === 'unchanged' ? [] : listing.entries
  if (dir?.kind !== 'dir') throw new Error('no directory')
  const inside = await drive.list({ key: dir.key, parentKey: main.key })
  const names = inside === 'unchanged' ? [] : inside.entries.map(({ name }) => name)
  t.equal(new Set(names).size, 2345)
})

t.test('documents that have no bytes are not listed', async (t) => {
  const { standin, drive, main } = await openSubject(t, DIALECT)
  await standin.admin.put({ path: 'real', content: Buffer.from('x') })
  await standin.admin.put({ path: 'online', content: Buffer.from('x') })
  standin.admin.mark({ path: 'online', mark: 'document' })
  t.match(await drive.list(main), { entries: [{ name: 'real' }] })
})

t.test('names that the service cuts', async (t) => {
  const { drive, main } = await openSubject(t, DIALECT)
  t.equal(drive.features.stripsDots, true)
  t.match(await drive.upload(main, '.rc.', sourceOf(Buffer.from('x'))), { name: 'rc' })
  t.match(await drive.makeDir(main, '.config'), { name: '.config' })
})
