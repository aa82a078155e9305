import t from 'tap'
import { checkName, stampedName } from '../../src/standin/names.ts'
import { chinaTime } from '../../src/standin/times.ts'

/** 2015-01-02 20:30:03 in China, the moment in the seed's listing. */
const SEED_MS = Date.UTC(2015, 0, 2, 12, 30, 3)

t.test('names that the service refuses', async (t) => {
  const ret = (name: string) => {
    try {
      checkName(name, 128)
      return 0
    } catch (error) {
      return (error as { ret: number }).ret
    }
  }
  for (const name of ['', '.', '..', '...', 'a.', 'a ', 'a\0', 'a\n', ...'\\/:*?"<>|']) {
    t.equal(ret(name), 1088, JSON.stringify(name))
  }
  for (const name of ['.a', ' a', 'a.b', '文件', '：？＊', 'x'.repeat(128), '💾'.repeat(128)]) {
    t.equal(ret(name), 0, JSON.stringify(name))
  }
  t.equal(ret('x'.repeat(129)), 1080)
})

t.test('a taken name gets the stamp of the seed', async (t) => {
  t.equal(stampedName('Amazon.pdf', SEED_MS, 128), 'Amazon2015-1-2 20.30.3.pdf')
  t.equal(stampedName('.bashrc', SEED_MS, 128), '.bashrc2015-1-2 20.30.3')
  const long = stampedName(`${'x'.repeat(124)}.pdf`, SEED_MS, 128)
  t.equal(long.length, 128)
  t.ok(long.endsWith('x2015-1-2 20.30.3.pdf'))
})

t.test('times are written for China, to the millisecond', async (t) => {
  t.equal(chinaTime(SEED_MS + 7), '2015-01-02 20:30:03 007')
  t.equal(chinaTime(Date.UTC(2014, 11, 31, 16)), '2015-01-01 00:00:00 000')
})
