// Directories made, entries removed, and names with a "%", each with lost replies and odd services.
import t from 'tap'
import type { RemoveItem } from '../../../src/weiyun/index.ts'
import {
  announcement,
  fileItem,
  jsonp,
  listing,
  reset,
  type Seen,
  SUB,
  withFakeDrive,
} from '../../fixtures/fake-service.ts'
import { sourceOf } from '../../fixtures/upload-source.ts'

function dataOf(seen: Seen | undefined) {
  return JSON.parse(seen?.query.get('data') ?? '').req_body
}

function dirItem(name: string, key = 'made') {
  return { dir_key: key, dir_attr: { dir_name: name }, dir_ctime: '2015-01-02 20:30:03 000' }
}

function files(count: number): RemoveItem[] {
  return Array.from({ length: count }, (_, index) => ({
    dir: SUB,
    entry: { kind: 'file', id: `id-${index}`, version: '1', name: `f${index}`, size: 1 },
  }))
}

t.test('a directory', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const times = { dir_ctime: '2015-01-02 20:30:03 500', dir_mtime: '2015-01-02 20:30:04' }
  service.on('dir_create', jsonp({ dir_key: 'made', ...times }))
  t.strictSame(await drive.makeDir(SUB, 'new'), {
    kind: 'dir',
    key: 'made',
    name: 'new',
    ctimeMs: Date.UTC(2015, 0, 2, 12, 30, 3, 500),
    mtimeMs: Date.UTC(2015, 0, 2, 12, 30, 4),
  })
  service.on('dir_create', jsonp({})).on('get_dir_list', listing([], [dirItem('new')]))
  t.match(
    await drive.makeDir(SUB, 'new'),
    { key: 'made' },
    'found by listing where the reply has no key',
  )
  for (const ret of [1051, 1021]) {
    service.on('dir_create', jsonp({}, ret))
    await t.rejects(drive.makeDir(SUB, 'new'), { code: 'EXISTS' })
  }
})

t.test('a directory whose reply is lost', async (t) => {
  t.test('was made', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service.on('dir_create', reset).on('get_dir_list', listing([], [dirItem('new')]))
    t.match(await drive.makeDir(SUB, 'new'), { key: 'made' })
    t.strictSame(service.names, ['dir_create', 'get_dir_list'])
  })
  t.test('was made a moment later', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service
      .on('dir_create', reset, jsonp({}, 1051))
      .on('get_dir_list', listing(), listing([], [dirItem('new')]))
    t.match(await drive.makeDir(SUB, 'new'), { key: 'made' })
  })
  t.test('was not made', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service
      .on('dir_create', { body: '<html>' }, jsonp({ dir_key: 'second' }))
      .on('get_dir_list', listing())
    t.match(await drive.makeDir(SUB, 'new'), { key: 'second' })
    t.strictSame(service.names, ['dir_create', 'get_dir_list', 'dir_create'])
  })
})

t.test('removals go in batches, by count and by length', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  service.on('batch_file_delete', (seen, response) =>
    jsonp({ results: dataOf(seen).del_files.map(() => ({ result: 0 })) })(seen, response),
  )
  service.on('batch_folder_delete', (seen, response) =>
    jsonp({ results: dataOf(seen).del_folders.map(() => ({ result: 0 })) })(seen, response),
  )
  const dirs = Array.from({ length: 21 }, (_, index) => ({
    dir: SUB,
    entry: { kind: 'dir' as const, key: `k${index}`, name: `d${index}` },
  }))
  const long = files(5).map(({ dir, entry }) => ({
    dir,
    entry: { ...entry, name: '长'.repeat(128) },
  }))
  const items = [...files(200), ...dirs, ...long] as RemoveItem[]
  t.strictSame(
    await drive.remove(items),
    items.map(() => undefined),
  )
  const removed = service.seen.flatMap((seen) => Object.values(dataOf(seen)).flat())
  t.equal(removed.length, items.length)
  for (const seen of service.seen) {
    const query = new URLSearchParams(seen.query).toString()
    const count = Object.values(dataOf(seen)).flat().length
    t.ok(query.length < 8000, `${count} items in ${query.length} bytes`)
    t.ok(count <= (seen.name === 'batch_folder_delete' ? 10 : 50))
  }
})

t.test('a batch that is refused as a whole goes item by item', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  for (const refusal of [jsonp({}, 1086), jsonp({}, 199012), { status: 414 }, jsonp({}, 1054)]) {
    service.seen.length = 0
    service.on('batch_file_delete', refusal, (seen, response) => {
      const [{ file_id }] = dataOf(seen).del_files
      return jsonp({ results: [{ result: file_id === 'id-1' ? 1054 : 0 }] })(seen, response)
    })
    const errors = await drive.remove(files(3))
    t.match(errors, [undefined, { code: 'FORBIDDEN' }, undefined])
    t.equal(service.seen.length, 4)
  }
})

t.test('a removal whose reply is lost', async (t) => {
  const { service, drive } = await withFakeDrive(t)
  const gone = jsonp({ results: [{ result: 1020 }, { result: 1026 }] })
  service.on('batch_file_delete', reset, gone).on('get_dir_list', listing([]))
  t.strictSame(await drive.remove(files(2)), [undefined, undefined])
  service.on('batch_file_delete', { status: 503 })
  const errors = await drive.remove(files(2), { priority: 'background' })
  t.match(errors, [{ code: 'SERVER' }, { code: 'SERVER' }])
  service.on('batch_file_delete', jsonp({}, 190051))
  await t.rejects(drive.remove(files(2)), { code: 'SESSION_EXPIRED' })
  t.strictSame(await drive.remove([]), [])
})

t.test('names with a percent sign', async (t) => {
  t.test('on a service that keeps them', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service
      .on('dir_create', jsonp({ dir_key: 'made' }))
      .on('get_dir_list', listing([], [dirItem('a%20b')]))
    t.match(await drive.makeDir(SUB, 'a%20b'), { name: 'a%20b' })
    await drive.makeDir(SUB, '100%25')
    t.strictSame(service.names, ['dir_create', 'get_dir_list', 'dir_create'], 'looks once')
    t.equal(dataOf(service.seen[2]).dir_attr.dir_name, '100%25')
  })
  t.test('on a service that decodes them', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service
      .on('dir_create', jsonp({ dir_key: 'made' }))
      .on('dir_attr_mod', jsonp({}))
      .on('get_dir_list', listing([], [dirItem('a b')]))
    t.match(await drive.makeDir(SUB, 'a%20b'), { name: 'a%20b' })
    t.equal(dataOf(service.only('dir_attr_mod')).dir_attr.dir_name, 'a%2520b', 'mended')
    await drive.makeDir(SUB, '100%')
    t.equal(dataOf(service.seen.at(-1)).dir_attr.dir_name, '100%25', 'encoded from then on')
    t.equal(service.names.filter((name) => name === 'get_dir_list').length, 1)
  })
  t.test('in an upload', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    const name = 'a%41.txt'
    service
      .on(
        '2301',
        announcement({ file_exist: true, file_id: 'new-id', filename: name, file_ver: '1' }),
      )
      .on(
        'get_dir_list',
        listing([fileItem({ file_id: 'new-id', file_attr: { file_name: 'aA.txt' } })]),
      )
      .on('file_attr_mod', jsonp({}))
    t.match(await drive.upload(SUB, name, sourceOf(Buffer.from('hello'))), { name })
    t.equal(dataOf(service.only('file_attr_mod')).file_attr.file_name, 'a%2541.txt')
  })
  t.test('that mean nothing', async (t) => {
    const { service, drive } = await withFakeDrive(t)
    service.on('dir_create', jsonp({ dir_key: 'made' }))
    await drive.makeDir(SUB, '100%')
    t.strictSame(service.names, ['dir_create'])
  })
})
