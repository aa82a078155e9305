import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { CHINESE } from '../../src/cli/chinese.ts'
import { languageOf, type Message, translate } from '../../src/cli/language.ts'
import { homeEnv, runCli, tempDir } from '../fixtures/cli.ts'

t.test('the locale decides, as in the C library', async (t) => {
  const rows: [Record<string, string>, string][] = [
    [{}, 'en'],
    [{ LANG: 'zh_CN.UTF-8' }, 'zh'],
    [{ LANG: 'zh' }, 'zh'],
    [{ LANG: 'en_US.UTF-8', LC_MESSAGES: 'zh_CN.UTF-8' }, 'zh'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: 'C' }, 'en'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: '' }, 'zh'],
    [{ LANG: 'zhx' }, 'en'],
  ]
  for (const [env, language] of rows) t.equal(languageOf(env), language, JSON.stringify(env))
})

t.test('every message is there in both languages, with the same slots', async (t) => {
  const slots = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort()
  for (const [english, chinese] of Object.entries(CHINESE)) {
    t.same(slots(chinese), slots(english), english)
    t.not(chinese.trim(), '', english)
    t.match(chinese, /[\u4e00-\u9fff]|^\W|^\S+、/u, `${english} is translated`)
  }
})

t.test('no message is left over that nobody says', async (t) => {
  const dir = new URL('../../src/cli/', import.meta.url)
  const names = await readdir(dir, { recursive: true })
  const files = names.filter((name) => /\.(?:ts|html)$/.test(name))
  const texts = await Promise.all(
    files
      .filter((name) => name !== 'chinese.ts')
      .map((name) => readFile(new URL(name, dir), 'utf8')),
  )
  const source = texts.join('').replaceAll("\\'", "'")
  // Commander's own titles, which are in no file of ours.
  const foreign = ['Usage:', 'Arguments:', 'Options:']
  const unused = Object.keys(CHINESE).filter(
    (message) => !foreign.includes(message) && !source.includes(message),
  )
  t.same(unused, [])
})

t.test('values go into their slots as they are', async (t) => {
  const message: Message = '{path}: no such directory'
  t.equal(translate('en', message, { path: '/a {why}' }), '/a {why}: no such directory')
  t.equal(translate('zh', message, { path: '/$&' }), '/$&：没有这个目录')
})

t.test('help and errors come in the language of the locale', async (t) => {
  const env = { ...homeEnv(await tempDir(t)), LANG: 'zh_CN.UTF-8' }
  const help = await runCli(['--help'], env)
  t.equal(help.code, 0)
  for (const text of ['用法：', '缓存与上传：', '退出码：', '把腾讯微云网盘变成一个文件夹']) {
    t.match(help.stdout, text)
  }
  const rows: [string[], number, string][] = [
    [['--frobnicate', '/mnt'], 64, 'weiyun-mount: 没有“--frobnicate”这个选项\n'],
    [['/mnt', '--cache-siz', '1G'], 64, '（是不是想用 --cache-size？）'],
    [['/mnt', '--cache-size', 'lots'], 64, '“lots”不是 512M 或 10G 这样的大小'],
    [['/mnt', '--cache-size'], 64, '需要一个值'],
    [['status', 'a', 'b'], 64, '参数太多'],
    [['unmount'], 64, '缺少参数 MOUNTPOINT'],
    [['status'], 66, '没有任何挂载'],
    [['/nowhere'], 66, '没有这个目录'],
  ]
  for (const [args, exitCode, text] of rows) {
    const { code, stderr } = await runCli(args, env)
    t.equal(code, exitCode, args.join(' '))
    t.match(stderr, text)
    t.match(stderr, /^weiyun-mount: /)
  }
})
