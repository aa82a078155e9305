import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { createLogger } from '../../src/base/log.ts'
import { tempDir } from '../fixtures/cli.ts'

const MODULE = new URL('../../src/base/log.ts', import.meta.url).href

/** What a process of its own logs to stderr. */
async function logged(options: object): Promise<string> {
  const script = `const { createLogger } = await import(${JSON.stringify(MODULE)})
    const log = await createLogger(${JSON.stringify(options)})
    log.debug('unseen'); log.warn({ request: 7 }, 'trying again')`
  const args = ['--input-type=module', '-e', script]
  return (await promisify(execFile)(process.execPath, args)).stderr
}

t.test('a file: JSON, for its owner alone', async (t) => {
  const file = join(await tempDir(t), 'logs/mount.log')
  const log = await createLogger({ level: 'info', file, terminal: true })
  log.info({ request: 7 }, 'hello')
  let text = ''
  while (!text.endsWith('\n')) {
    text = await readFile(file, 'utf8').catch(() => '')
    await sleep(10)
  }
  t.match(JSON.parse(text), { level: 30, request: 7, msg: 'hello', pid: process.pid })
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('a service manager: JSON on stderr', async (t) => {
  const line = JSON.parse(await logged({ level: 'info' }))
  t.match(line, { level: 40, request: 7, msg: 'trying again' })
  t.match(line.time, /^\d{4}-\d\d-\d\dT/)
})

t.test('a terminal: a line that people read', async (t) => {
  const text = await logged({ level: 'info', terminal: true })
  t.match(text, /^\[\d\d:\d\d:\d\d\] .*WARN.*trying again.*"request":7/)
  t.notMatch(text, 'unseen')
})
