import t from 'tap'
import { withWebapp } from '../../fixtures/webapp-client.ts'
import { pattern } from '../../fixtures/webapp-vectors.ts'

t.test('what one dialect writes the other lists and reads', async (t) => {
  const { classic, client } = await withWebapp(t)
  const [a, b] = [pattern(300_000), pattern(1_100_000)]
  const dir = await classic.mkdir('目录')
  await classic.upload(dir, 'classic', a)
  const { common_upload_rsp: made } = await client.upload('webapp', b, { dir })

  const { dir_list } = await client.list()
  t.match(dir_list, [{ dir_key: dir.key, dir_name: '目录' }])
  const { file_list } = await client.list(dir)
  t.match(file_list, [
    { filename: 'classic', file_size: a.length },
    { filename: 'webapp', file_id: made.file_id },
  ])
  t.ok((await client.read(file_list[0].file_id, dir)).equals(a))
  const { files } = await classic.list(dir)
  const other = files.find(({ file_id }: { file_id: string }) => file_id === made.file_id)
  t.match(other, { file_attr: { file_name: 'webapp' }, file_size: String(b.length) })
  t.equal(other.file_sha, file_list[1].file_sha)
  t.equal(other.file_md5, file_list[1].file_md5)
  const located = await classic.locate(made.file_id, 'webapp', {}, dir)
  t.ok((await classic.fetch(String(located.headers.location))).body.equals(b))
})

t.test('content that came through one is known to the other', async (t) => {
  const { classic, client } = await withWebapp(t)
  const content = pattern(5000)
  await client.upload('a', content)
  const { body } = await classic.announce(classic.main, { name: 'b', content })
  t.equal(body.file_exist, true)
  const more = pattern(6000)
  await classic.upload(classic.main, 'c', more)
  t.equal((await client.upload('d', more)).file_exist, true)
})

t.test('longer names and bigger files than the older generation allows', async (t) => {
  const { classic, client } = await withWebapp(t)
  const name = 'x'.repeat(200)
  await client.upload(name, Buffer.from('1'))
  t.equal((await classic.list()).files[0].file_attr.file_name, name)
  const again = await client.upload(name, Buffer.from('2'), { common: { file_exist_option: 6 } })
  t.equal(again.common_upload_rsp.filename.length, 200)
  const size = 3 * 1024 ** 3
  const announced = await classic.announce(classic.main, {
    upload_type: 0,
    file_md5: '0'.repeat(32),
    file_sha: '0'.repeat(40),
    file_size: size,
    filename: 'big',
    file_exist_option: 4,
    ppdir_key: classic.rootKey,
    pdir_key: classic.mainKey,
  })
  t.equal(announced.ret, 1029)
})
