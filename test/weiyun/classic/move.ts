// Renames and moves: their steps, their repeats, and services that do not know them.
import t, { type Test } from 'tap'
import type { RemoveItem } from '../../../src/weiyun/index.ts'
import {
  type FakeService,
  fileItem,
  jsonp,
  listing,
  MAIN,
  type Reply,
  reset,
  type Script,
  SUB,
  withFakeDrive,
} from '../../fixtures/fake-service.ts'

const FILE: RemoveItem = {
  dir: SUB,
  entry: { kind: 'file', id: 'an-id', version: '7', name: 'old', size: 5 },
}

function moved(ret = 0): Script {
  return jsonp({ results: [{ result: ret }] })
}

function holding(...names: string[]): Script {
  return listing(
    names.map((name) =>
      fileItem({ file_id: name === 'taken' ? 'other' : 'an-id', file_attr: { file_name: name } }),
    ),
  )
}

async function setUp(t: Test) {
  const fake = await withFakeDrive(t)
  fake.service
    .on('file_attr_mod', jsonp({}))
    .on('batch_file_move', moved())
    .on('get_dir_list', listing())
  return fake
}

/** Names asked for in renames, in order. */
function renames({ seen }: FakeService): string[] {
  return seen
    .filter(({ name }) => name === 'file_attr_mod')
    .map(({ query }) => JSON.parse(query.get('data') ?? '').req_body.file_attr.file_name)
}

t.test('steps', async (t) => {
  const { service, drive } = await setUp(t)
  for (const [what, act, names] of [
    ['nothing to do', () => drive.move(FILE, SUB, 'old'), []],
    ['another name', () => drive.move(FILE, SUB, 'new'), ['file_attr_mod']],
    ['another place', () => drive.move(FILE, MAIN, 'old'), ['batch_file_move']],
    ['both', () => drive.move(FILE, MAIN, 'new'), ['batch_file_move', 'file_attr_mod']],
  ] as const) {
    service.seen.length = 0
    await act()
    t.strictSame(service.names, names, what)
  }
})

t.test('results that mean: it is so already', async (t) => {
  const { service, drive } = await setUp(t)
  service.on('file_attr_mod', jsonp({}, 1122)).on('batch_file_move', moved(1111))
  await drive.move(FILE, MAIN, 'new')
  service.on('batch_file_move', jsonp({}, 1111))
  await drive.move(FILE, MAIN, 'old')
  t.notOk(service.names.includes('get_dir_list'))
})

t.test('a name that is taken', async (t) => {
  const { service, drive } = await setUp(t)
  service.on('file_attr_mod', jsonp({}, 1051)).on('get_dir_list', holding('taken', 'old'))
  await t.rejects(drive.move(FILE, SUB, 'taken'), { code: 'EXISTS' })
  service.on('batch_file_move', moved(1051)).on('get_dir_list', holding('taken'))
  await t.rejects(drive.move(FILE, MAIN, 'taken'), { code: 'EXISTS' })
})

t.test('only the old name is taken in the new place: by way of a third', async (t) => {
  const { service, drive } = await setUp(t)
  service.on('batch_file_move', moved(1051), moved()).on('get_dir_list', listing())
  await drive.move(FILE, MAIN, 'new')
  t.strictSame(
    service.names.filter((name) => name !== 'get_dir_list'),
    ['batch_file_move', 'file_attr_mod', 'batch_file_move', 'file_attr_mod'],
  )
  t.strictSame(renames(service), ['moving-an-id', 'new'])
})

t.test('lost replies', async (t) => {
  t.test('the rename was done', async (t) => {
    const { service, drive } = await setUp(t)
    service.on('file_attr_mod', reset).on('get_dir_list', holding('new'))
    await drive.move(FILE, SUB, 'new')
    t.strictSame(service.names, ['file_attr_mod', 'get_dir_list'])
  })
  t.test('the rename was not done', async (t) => {
    const { service, drive } = await setUp(t)
    service.on('file_attr_mod', reset, jsonp({})).on('get_dir_list', holding('old'))
    await drive.move(FILE, SUB, 'new')
    t.strictSame(service.names, ['file_attr_mod', 'get_dir_list', 'file_attr_mod'])
  })
  t.test('the rename was done late, and now its name is taken by itself', async (t) => {
    const { service, drive } = await setUp(t)
    service
      .on('file_attr_mod', { status: 502 }, jsonp({}, 1051))
      .on('get_dir_list', holding('old'), holding('new'))
    await drive.move(FILE, SUB, 'new')
    t.equal(renames(service).length, 2)
  })
  t.test('the move was done', async (t) => {
    const { service, drive } = await setUp(t)
    service.on('batch_file_move', reset).on('get_dir_list', holding('old'))
    await drive.move(FILE, MAIN, 'new')
    t.strictSame(service.names, ['batch_file_move', 'get_dir_list', 'file_attr_mod'])
  })
})

t.test('repeated after a restart', async (t) => {
  for (const [what, there, expected] of [
    ['all was done', 'new', []],
    ['half was done', 'old', ['new']],
  ] as const) {
    const { service, drive } = await setUp(t)
    service
      .on('batch_file_move', moved(1020))
      .on('file_attr_mod', there === 'new' ? jsonp({}, 1122) : jsonp({}))
      .on('get_dir_list', holding(there))
    await drive.move(FILE, MAIN, 'new')
    if (expected.length > 0) t.strictSame(renames(service), expected, what)
    service.on('get_dir_list', listing())
    await t.rejects(drive.move(FILE, MAIN, 'new'), { code: 'NOT_FOUND' }, 'unless it is gone')
  }
})

for (const [what, reply] of [
  ['invalid command', jsonp({}, 190012)],
  ['invalid command word', jsonp({}, 1008)],
  ['no such page', { status: 404 }],
] as const) {
  t.test(`a service without renames: ${what}`, async (t) => {
    const { service, drive } = await setUp(t)
    t.equal(drive.features.nativeRename, true)
    service.on('file_attr_mod', reply as Reply)
    await t.rejects(drive.move(FILE, SUB, 'new'), { code: 'UNSUPPORTED' })
    t.equal(drive.features.nativeRename, false)
    await t.rejects(drive.move(FILE, SUB, 'new'), { code: 'UNSUPPORTED' })
    t.equal(service.seen.length, 1, 'is not asked again')
  })
}
