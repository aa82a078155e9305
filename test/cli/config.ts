import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConfigSources, configFile, envName, loadConfig } from '../../src/cli/config.ts'
import { CliError, EXIT } from '../../src/cli/exit.ts'
import { parseMountOptions } from '../../src/cli/mount-options.ts'
import { OPTION_GROUPS, OPTIONS, type OptionKey, type OptionSpec } from '../../src/cli/options.ts'
import { homeEnv, tempDir } from '../fixtures/cli.ts'

async function homeWith(t: Test, toml?: string): Promise<NodeJS.ProcessEnv> {
  const env = homeEnv(await tempDir(t))
  await mkdir(join(env.HOME ?? '', '.config/weiyun-mount'), { recursive: true })
  if (toml !== undefined) await writeFile(configFile(env), toml)
  return env
}

async function failure(sources: ConfigSources): Promise<CliError> {
  const error = await loadConfig(sources).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof CliError)) throw new Error(`expected a CliError, got ${error}`)
  return error
}

t.test('defaults', async (t) => {
  const env = await homeWith(t)
  const config = await loadConfig({ env })
  t.match(config, {
    cacheDir: join(env.HOME ?? '', '.cache/weiyun-mount'),
    stateDir: join(env.HOME ?? '', '.local/state/weiyun-mount'),
    cacheSize: 10 * 1024 ** 3,
    dirTtlMs: 60_000,
    writeBackMs: 1000,
    fsync: 'local',
    drainMs: 30_000,
    timeoutMs: 15_000,
    readOnly: false,
    root: '/',
    uid: process.getuid?.(),
    umask: 0o022,
    localOnly: ['.fuse_hidden*'],
  })
  t.equal(config.local, undefined)
  t.equal(config.session, undefined)
  t.ok(Object.isFrozen(config))
})

t.test('every kind of value can stand in the file', async (t) => {
  const env = await homeWith(
    t,
    `
    read-only = true
    allow-other = false
    uid = 1000
    dir-ttl = 5
    bwlimit-up = "1M"
    local-only = ["*.tmp", "~*"]
    cache-dir = "/var/cache/wm"
    root = "/some//folder/"
    service = "http://127.0.0.1:8080/"
    dialect = "webapp"
    `,
  )
  const config = await loadConfig({ env })
  t.match(config, {
    readOnly: true,
    allowOther: false,
    uid: 1000,
    dirTtlMs: 5000,
    bwlimitUp: 1024 ** 2,
    cacheDir: '/var/cache/wm',
    root: '/some/folder',
    service: 'http://127.0.0.1:8080',
    dialect: 'webapp',
  })
  t.same(config.localOnly.slice(-2), ['*.tmp', '~*'])
  t.ok(config.localOnly.includes('Thumbs.db'), 'they are added')
})

/** A value of each option that is not its default: word, and what it means. */
const SAMPLES: Record<OptionKey, [word: string, value: unknown]> = {
  local: ['/srv/drive', '/srv/drive'],
  session: ['/etc/s.json', '/etc/s.json'],
  dialect: ['webapp', 'webapp'],
  service: ['http://127.0.0.1:1', 'http://127.0.0.1:1'],
  root: ['/a', '/a'],
  readOnly: ['true', true],
  allowOther: ['true', true],
  desktopRemote: ['true', true],
  uid: ['77', 77],
  gid: ['78', 78],
  umask: ['077', 0o077],
  localOnly: ['*.tmp', undefined],
  cacheDir: ['/c', '/c'],
  stateDir: ['/s', '/s'],
  cacheSize: ['2G', 2 * 1024 ** 3],
  dirTtlMs: ['7s', 7000],
  writeBackMs: ['8s', 8000],
  fsync: ['remote', 'remote'],
  drainMs: ['9s', 9000],
  timeoutMs: ['3s', 3000],
  requestRate: ['11', 11],
  bwlimitUp: ['1M', 1024 ** 2],
  bwlimitDown: ['2M', 2 * 1024 ** 2],
  logLevel: ['debug', 'debug'],
  logFile: ['/l', '/l'],
}

/** Another value of an option, for the places that come before. */
function otherThan(key: OptionKey, word: string): string {
  const { words }: OptionSpec<unknown> = OPTIONS[key]
  if (words !== undefined) return words.find((known) => known !== word) ?? ''
  if (word === 'true') return 'false'
  return /^\d+[A-Za-z]$/.test(word) ? `1${word}` : `${word}0`
}

const PLACES = ['file', 'environment', '-o', 'flag'] as const

t.test('every option can stand in every place, and goes before the ones above it', async (t) => {
  const env = await homeWith(t)
  for (const [key, [word, value]] of Object.entries(SAMPLES) as [OptionKey, [string, unknown]][]) {
    const { flag } = OPTIONS[key]
    const other = otherThan(key, word)
    for (const [last, place] of PLACES.entries()) {
      /** What the nth place says: another value in those above, nothing in those below. */
      const [file, variable, list, argument] = PLACES.map((_, n) =>
        n === last ? word : n < last ? other : undefined,
      )
      await writeFile(configFile(env), `${flag} = ${JSON.stringify(file)}`)
      const config = await loadConfig({
        env: { ...env, ...(variable !== undefined && { [envName(flag)]: variable }) },
        mountOptions: parseMountOptions(list === undefined ? [] : [`${flag}=${list}`]),
        flags: argument === undefined ? {} : { [key]: argument },
      })
      if (key === 'localOnly') t.equal(config.localOnly.at(-1), word, `${flag}: ${place}`)
      else t.same(config[key], value, `${flag}: ${place}`)
      t.not(other, word)
    }
  }
})

t.test('lists add up, and an empty value forgets what came before', async (t) => {
  const env = { ...(await homeWith(t)), WEIYUN_MOUNT_LOCAL_ONLY: 'a:b' }
  t.same((await loadConfig({ env })).localOnly.slice(-2), ['a', 'b'])
  const { localOnly } = await loadConfig({ env, flags: { localOnly: ['', 'c'] } })
  t.same(localOnly, ['c'])
})

t.test('a bare --local means the usual place', async (t) => {
  const env = await homeWith(t)
  t.match((await loadConfig({ env, flags: { local: 'true' } })).local, /weiyun-mount\/local$/)
  t.equal((await loadConfig({ env, flags: { local: '/data' } })).local, '/data')
  t.equal((await loadConfig({ env, flags: { local: 'false' } })).local, undefined)
})

t.test('what is wrong is named where the user wrote it', async (t) => {
  const env = await homeWith(t)
  const byFlag = await failure({ env, flags: { cacheSize: 'lots' } })
  t.equal(byFlag.exitCode, EXIT.USAGE)
  t.equal(byFlag.message, "--cache-size: 'lots' is not a size like 512M or 10G")
  const byEnv = await failure({ env: { ...env, WEIYUN_MOUNT_FSYNC: 'maybe' } })
  t.equal(byEnv.exitCode, EXIT.CONFIG)
  t.match(byEnv.message, /^WEIYUN_MOUNT_FSYNC: 'maybe' is none of local, remote/)
  for (const service of ['ftp://x', 'nonsense', 'http://user:pw@host', 'http://h/?skey=1']) {
    const error = await failure({ env, flags: { service } })
    t.equal(error.exitCode, EXIT.USAGE, service)
  }
  t.match((await failure({ env, flags: { root: '/a/../b' } })).message, /--root/)
  t.match((await failure({ env, flags: { cacheDir: '' } })).message, /--cache-dir: an empty path/)
})

t.test('a wrong file is refused as a whole', async (t) => {
  const wrong: [string, RegExp][] = [
    ['cache-sise = "1G"', /unknown option 'cache-sise'/],
    ['cacheSize = "1G"', /unknown option 'cacheSize'/],
    ['cache-size = "x"', /config\.toml: cache-size: 'x' is not a size/],
    ['cache-size = {}', /config\.toml: cache-size: neither/],
    ['local-only = [1]', /config\.toml: local-only: neither/],
    ['cache-size =', /config\.toml: /],
  ]
  for (const [toml, message] of wrong) {
    const error = await failure({ env: await homeWith(t, toml) })
    t.equal(error.exitCode, EXIT.CONFIG, toml)
    t.match(error.message, message)
  }
})

t.test('the table has no two options of one name, and help shows each once', async (t) => {
  const keys = Object.keys(OPTIONS) as OptionKey[]
  const flags = keys.map((key) => OPTIONS[key].flag)
  t.equal(new Set(flags).size, flags.length)
  t.same(Object.values(OPTION_GROUPS).flat().sort(), keys.sort())
  t.equal(envName('cache-size'), 'WEIYUN_MOUNT_CACHE_SIZE')
})
