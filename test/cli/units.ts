import t from 'tap'
import {
  formatDuration,
  formatSize,
  parseBoolean,
  parseCount,
  parseDurationMs,
  parseSize,
  parseUmask,
} from '../../src/cli/units.ts'

t.test('sizes count in 1024s, and in 1000s with a B', async (t) => {
  const sizes: [string, number][] = [
    ['0', 0],
    ['512', 512],
    ['64K', 65_536],
    ['64k', 65_536],
    ['1.5M', 1_572_864],
    ['10G', 10_737_418_240],
    ['10GiB', 10_737_418_240],
    ['10GB', 10_000_000_000],
    ['2T', 2_199_023_255_552],
    [' 8M ', 8_388_608],
  ]
  for (const [text, size] of sizes) t.equal(parseSize(text), size, text)
  for (const text of ['', 'x', '-1', '1X', '1 2', '1e3', '0x10', '9999P', 'G', '1.M']) {
    t.throws(() => parseSize(text), RangeError, text)
  }
})

t.test('times need no unit for seconds', async (t) => {
  const times: [string, number][] = [
    ['0', 0],
    ['30', 30_000],
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
  ]
  for (const [text, ms] of times) t.equal(parseDurationMs(text), ms, text)
  for (const text of ['', '-1s', '1 m', '1w', 's', '1m30s']) {
    t.throws(() => parseDurationMs(text), RangeError, text)
  }
})

t.test('counts, masks and switches', async (t) => {
  t.equal(parseCount('1000'), 1000)
  for (const text of ['', '-1', '1.5', '1e3', '12345678901']) {
    t.throws(() => parseCount(text), RangeError, text)
  }
  t.equal(parseUmask('022'), 0o022)
  t.equal(parseUmask('77'), 0o077)
  for (const text of ['', '8', '0o22', '01777']) t.throws(() => parseUmask(text), RangeError, text)
  for (const text of ['1', 'true', 'Yes', 'on', '']) t.equal(parseBoolean(text), true, text)
  for (const text of ['0', 'false', 'NO', 'off']) t.equal(parseBoolean(text), false, text)
  t.throws(() => parseBoolean('maybe'), RangeError)
})

t.test('for people', async (t) => {
  t.equal(formatSize(0), '0 B')
  t.equal(formatSize(1023), '1023 B')
  t.equal(formatSize(1536), '1.5 KiB')
  t.equal(formatSize(10 * 1024 ** 3), '10 GiB')
  t.equal(formatSize(3 * 1024 ** 5), '3.0 PiB')
  t.equal(formatDuration(4200), '4s')
  t.equal(formatDuration(200_000), '3m 20s')
  t.equal(formatDuration(7_500_000), '2h 5m')
  t.equal(formatDuration(273_600_000), '3d 4h')
})
