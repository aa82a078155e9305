// rsync trusts sizes and times: what it stores has to be there the next time, after a remount too.
import t from 'tap'
import { mountTest, Rig, sourceTree, WIRE } from '../fixtures/mount.ts'

mountTest(t, 'rsync -a twice: the second moves nothing and asks for no byte', async (t) => {
  const source = await sourceTree(
    t,
    `mkdir -p a/b 'c d'; seq 1000 > a/numbers; echo x > 'c d/x'; : > a/b/empty
     chmod 640 a/numbers; chmod 750 a/b
     touch -d '2001-02-03 04:05:06.789' a/numbers; touch -d '1999-12-31' 'c d' a/b/empty`,
  )
  const rig = await Rig.open(t)
  const moved = () => rig.run('rsync -a --itemize-changes "$1/" copy', source)
  t.match(await moved(), 'a/numbers')
  t.equal(await moved(), '', 'at once')
  await rig.sync()
  t.equal(await moved(), '', 'after the upload')
  await rig.restart()
  const asked = await rig.requests(async () => t.equal(await moved(), '', 'after a remount'))
  const data = Object.keys(asked).filter((name) => ![WIRE.list, WIRE.account].includes(name))
  t.same(data, [], 'nothing but listings')
  t.equal(await rig.run('stat -c %a copy/a/numbers copy/a/b'), '640\n750\n')
})
