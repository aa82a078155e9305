// What players and `ffprobe` do to large files: a jump costs a round trip and little more, however
// large the file is and whatever was being read ahead.
import { type FileHandle, open } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { seededContent } from '../../src/standin/store/seeded.ts'
import { mountTest, names, Rig, WIRE } from '../fixtures/mount.ts'
import { askedBy, costOf, rangesAsked, still } from '../fixtures/traffic.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const SEED = 7
/** What a player asks for at once. */
const PART_BYTES = 64 * KiB

/** Downloads at once, as the account allows (`max_dl_tasks`). */
const SLOTS = 5

function inFlight(rig: Rig): number {
  return rig.admin.counters()[WIRE.data]?.inFlight ?? 0
}

/** A mount that knows a film of `size`, of which nothing was read. */
async function withFilm(t: Test, size: number): Promise<{ rig: Rig; film: FileHandle }> {
  const rig = await Rig.open(t, {
    prepare: (admin) => admin.pretend({ path: 'film', size, seed: SEED }),
  })
  await names(rig.path())
  const film = await open(rig.path('film'))
  t.teardown(() => film.close().catch(() => {}))
  return { rig, film }
}

async function readRight(t: Test, film: FileHandle, at: number, length: number): Promise<void> {
  const { buffer } = await film.read(Buffer.alloc(length), 0, length, at)
  const right = Buffer.concat([...seededContent(at + length, SEED, at)])
  t.ok(buffer.equals(right), `the bytes at ${at}`)
}

mountTest(t, 'a seek anywhere in 10 GiB costs one round trip, at once', async (t) => {
  const size = 10 * GiB
  const { rig, film } = await withFilm(t, size)
  const first = await costOf(rig, () => readRight(t, film, 3 * GiB + 5, PART_BYTES))
  t.match(first, { addresses: 1, lists: undefined, other: undefined }, 'its address, then bytes')

  for (let at = 0; at < 4 * MiB; at += PART_BYTES) await readRight(t, film, at, PART_BYTES)
  // From now on read-ahead takes all slots, for half a minute.
  rig.admin.setKnobs({ bandwidth: 128 * KiB })
  for (let at = 4 * MiB; inFlight(rig) < SLOTS; at += PART_BYTES)
    await readRight(t, film, at, PART_BYTES)
  const ahead = rig.admin.journal().slice(-SLOTS)
  await readRight(t, film, 7 * GiB, PART_BYTES)
  await still(rig)
  for (const { start, end, sent } of ahead.map(askedBy))
    t.ok(sent < end - start, `read-ahead of ${end - start} bytes was given up after ${sent}`)

  for (const at of [9 * GiB + 123, 5 * GiB, GiB - 1, size - MiB]) {
    rig.admin.clearJournal()
    await readRight(t, film, at, PART_BYTES)
    const [wanted, ...others] = rangesAsked(rig)
    t.ok(
      wanted !== undefined && wanted.start <= at && at < wanted.end,
      'the first request is for it',
    )
    t.ok((wanted?.end ?? 0) - at <= 4 * PART_BYTES, 'and not for much more')
    const before = others.filter(({ start, end }) => start < at && end > at + PART_BYTES)
    t.same(before, [], 'nothing comes twice')
    t.equal(rig.admin.journal().length, 1 + others.length, 'and there is no other request')
  }
  const { inFlightMax = 0 } = rig.admin.counters()[WIRE.data] ?? {}
  t.ok(inFlightMax <= SLOTS, 'never more requests at once than the account allows')
})

mountTest(t, 'head, tail and eight seeks of 4 GiB fetch a few MiB at most', async (t) => {
  const size = 4 * GiB
  const { rig, film } = await withFilm(t, size)
  const cost = await costOf(rig, async () => {
    for (let at = 0; at < 4 * PART_BYTES; at += PART_BYTES) await readRight(t, film, at, PART_BYTES)
    await readRight(t, film, size - PART_BYTES, PART_BYTES)
    for (let n = 1; n <= 8; n++) await readRight(t, film, n * 400 * MiB + n, 32 * KiB)
    await film.close()
  })
  t.match(cost, { addresses: 1, lists: undefined, other: undefined })
  t.ok(cost.bytes <= 4 * MiB, `${cost.bytes} bytes`)
})
