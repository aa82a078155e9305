import { stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  askControl,
  askMount,
  findSockets,
  type Handler,
  NotRunning,
  type Request,
  serveControl,
} from '../../src/cli/control.ts'
import { runtimeDir } from '../../src/cli/dirs.ts'
import { CliError, EXIT } from '../../src/cli/exit.ts'
import { tr } from '../../src/cli/language.ts'
import { tempDir } from '../fixtures/cli.ts'

const HANDLERS: Record<Request['do'], Handler> = {
  status: () => ({ pid: 1 }),
  sync: ({ path }) => {
    if (path === '/bad') throw new CliError(EXIT.TEMPORARY, 'not now')
    throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
  },
  refresh: () => undefined,
  metrics: () => undefined,
  keep: () => undefined,
  async ended(_request, progress) {
    progress({ files: 2 })
    progress({ files: 1 })
    return { files: 0 }
  },
}

t.beforeEach(async (t) => {
  process.env.XDG_RUNTIME_DIR = await tempDir(t)
})

t.test('questions, progress and answers', async (t) => {
  const control = await serveControl('/mnt/a', HANDLERS)
  t.teardown(() => control.close())
  t.same(await askMount('/mnt/a', { do: 'status' }), { pid: 1 })
  t.equal(await askMount('/mnt/a', { do: 'refresh' }), null)
  const seen: unknown[] = []
  const last = await askMount('/mnt/a', { do: 'ended' }, (progress) => seen.push(progress))
  t.same(seen, [{ files: 2 }, { files: 1 }])
  t.same(last, { files: 0 })
})

t.test('failures keep their exit code', async (t) => {
  const control = await serveControl('/mnt/a', HANDLERS)
  t.teardown(() => control.close())
  const bad = askMount('/mnt/a', { do: 'sync', path: '/bad' })
  await t.rejects(bad, { exitCode: EXIT.TEMPORARY, message: 'not now' })
  const plain = askMount('/mnt/a', { do: 'sync', path: '/x' })
  await t.rejects(plain, { exitCode: EXIT.FAILURE, message: 'no /x' })
  const [socket = ''] = await findSockets()
  const unknown = askControl(socket, { do: 'toString' as 'status' })
  await t.rejects(unknown, { exitCode: EXIT.USAGE, message: "unknown request 'toString'" })
})

t.test('failures come in the language of whoever asks', async (t) => {
  const control = await serveControl('/mnt/a', {
    ...HANDLERS,
    async sync({ path = '' }) {
      await sleep(1)
      throw new CliError(EXIT.NO_INPUT, tr('{path}: no such directory', { path }))
    },
  })
  t.teardown(() => control.close())
  const ask = (language: 'en' | 'zh') => askMount('/mnt/a', { do: 'sync', path: '/x', language })
  const both = await Promise.allSettled([ask('zh'), ask('en')])
  t.match(both, [
    { reason: { message: '/x：没有这个目录' } },
    { reason: { message: '/x: no such directory' } },
  ])
})

t.test('only the user can reach it', async (t) => {
  const control = await serveControl('/mnt/a', HANDLERS)
  t.teardown(() => control.close())
  const [socket = ''] = await findSockets('/mnt/a')
  t.equal((await stat(socket)).mode & 0o777, 0o600)
  t.equal((await stat(runtimeDir(process.env))).mode & 0o777, 0o700)
})

t.test('garbage on the socket harms nobody', async (t) => {
  const control = await serveControl('/mnt/a', HANDLERS)
  t.teardown(() => control.close())
  const [socket = ''] = await findSockets('/mnt/a')
  const garbage = connect(socket)
  garbage.end('nonsense\n')
  t.match(await text(garbage), /"error"/)
  t.same(await askMount('/mnt/a', { do: 'status' }), { pid: 1 })
})

t.test('closing ends what waits for an answer', async (t) => {
  const waiting = Promise.withResolvers<void>()
  const control = await serveControl('/mnt/a', {
    ...HANDLERS,
    sync() {
      waiting.resolve()
      return new Promise(() => {})
    },
  })
  const asked = askMount('/mnt/a', { do: 'sync', path: '/' })
  asked.catch(() => {})
  await waiting.promise
  await control.close()
  await t.rejects(asked, { exitCode: EXIT.UNAVAILABLE, message: /ended before/ })
  await t.rejects(askMount('/mnt/a', { do: 'status' }), NotRunning)
})

t.test('what a killed process left behind is cleared away', async (t) => {
  const control = await serveControl('/mnt/a', HANDLERS)
  const [socket = ''] = await findSockets('/mnt/a')
  await control.close()
  t.same(await findSockets(), [], 'nothing stays after an ordinary end')
  await writeFile(socket, '')
  await t.rejects(askMount('/mnt/a', { do: 'status' }), NotRunning)
  t.same(await findSockets(), [])
})

t.test('a path too long for a socket is refused with a remedy', async (t) => {
  process.env.XDG_RUNTIME_DIR = join(await tempDir(t), 'x'.repeat(100))
  await t.rejects(serveControl('/mnt/a', HANDLERS), {
    exitCode: EXIT.CANNOT_CREATE,
    message: /XDG_RUNTIME_DIR/,
  })
})
