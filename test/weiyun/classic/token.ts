import { readFile } from 'node:fs/promises'
import t from 'tap'
import { gtkOf, tokenOf } from '../../../src/weiyun/classic/token.ts'

const vectors = JSON.parse(
  await readFile(new URL('../../vectors/classic.json', import.meta.url), 'utf8'),
)

for (const { skey, g_tk, token } of vectors.skey) {
  t.equal(gtkOf(skey), g_tk, `g_tk of ${skey}`)
  t.equal(tokenOf(skey), token, `token of ${skey}`)
}

t.test('a long skey stays within 31 bits', async (t) => {
  const skey = `@${'~'.repeat(500)}`
  let expected = 5381n
  for (const character of skey) {
    expected += (expected << 5n) + BigInt(character.charCodeAt(0))
  }
  t.equal(gtkOf(skey), Number(expected & 0x7fffffffn))
})
