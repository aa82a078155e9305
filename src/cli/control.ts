// The control socket: one JSON object a line each way, between a running mount and the other
// commands. A request is {"do": NAME, …}; the answers are any number of {"progress": …} and then
// one {"result": …} or {"error": {"message", "exitCode"}}. `GET /metrics` is answered too, in HTTP,
// for whoever gathers figures. Only the user who mounted can reach it (0600 in a 0700 directory).
import { createHash } from 'node:crypto'
import { chmod, readdir, rm, stat } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { KeepAction } from '../vfs/vfs.ts'
import { makePrivateDir, runtimeDir } from './dirs.ts'
import { CliError, EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { LANGUAGE, type Language, speaking, tr } from './language.ts'
import type { Metrics } from './metrics.ts'
import type { Status } from './status.ts'

export interface Request {
  readonly do: 'status' | 'sync' | 'refresh' | 'metrics' | 'ended' | 'keep'
  readonly path?: string
  /** What `keep` is to do. */
  readonly action?: KeepAction
  /** What a failure is told in. */
  readonly language?: Language
}

export type Progress = (value: unknown) => void

/**
 * Answers one kind of request. A CliError keeps its exit code on the other side. `gone` is aborted
 * when whoever asked has gone away.
 */
export type Handler = (request: Request, progress: Progress, gone: AbortSignal) => unknown

/**
 * Silence after which a mount counts as hung, in ms: for what is answered at once, and for the end,
 * which is told of as it comes nearer. `sync` and `keep` may take as long as they take.
 */
const SILENCE_MS_MAX: ReadonlyMap<Request['do'], number> = new Map([
  ['status', 5_000],
  ['metrics', 5_000],
  ['ended', 15_000],
])

/** Longest path of a Unix socket, without the closing NUL (unix(7)). */
const SOCKET_PATH_MAX = 107

function mountHash(mountpoint: string): string {
  return createHash('sha256').update(mountpoint).digest('hex').slice(0, 16)
}

/**
 * Sockets of this user's mounts, or of one, the newest first: a process that still drains its
 * uploads has one beside that of the process which took its place. Some may be dead.
 */
export async function findSockets(mountpoint?: string): Promise<string[]> {
  const dir = runtimeDir(process.env)
  const prefix = mountpoint === undefined ? '' : mountHash(mountpoint)
  const names = await readdir(dir).catch(() => [])
  const sockets = names
    .filter((name) => name.startsWith(prefix) && name.endsWith('.sock'))
    .map(async (name) => {
      const path = join(dir, name)
      return { path, mtimeMs: (await stat(path).catch(() => undefined))?.mtimeMs ?? 0 }
    })
  const found = await Promise.all(sockets)
  return found.sort((a, b) => b.mtimeMs - a.mtimeMs).map(({ path }) => path)
}

/** Listens for the other commands. */
export async function serveControl(
  mountpoint: string,
  handlers: Readonly<Record<Request['do'], Handler>>,
): Promise<{ close(): Promise<void> }> {
  const path = join(runtimeDir(process.env), `${mountHash(mountpoint)}-${process.pid}.sock`)
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
    throw new CliError(
      EXIT.CANNOT_CREATE,
      tr('{path} is too long for a socket: set XDG_RUNTIME_DIR', { path }),
    )
  }
  await makePrivateDir(runtimeDir(process.env))
  await rm(path, { force: true })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    void serveConnection(socket, handlers)
  })
  await listen(server, path)
  await chmod(path, 0o600)
  return {
    async close() {
      const closed = new Promise((done) => server.close(done))
      for (const socket of sockets) socket.end()
      await closed
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => resolve())
  })
}

async function serveConnection(
  socket: Socket,
  handlers: Readonly<Record<string, Handler>>,
): Promise<void> {
  const send = (line: unknown) => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`)
  }
  // Whoever asked may go away at any time; what was asked for goes on unless it is for him alone.
  const gone = new AbortController()
  socket.on('error', () => socket.destroy())
  socket.on('close', () => gone.abort())
  for await (const line of createInterface({ input: socket })) {
    if (line.startsWith('GET ')) return answerScrape(socket, line, handlers, gone.signal)
    const request = parseRequest(line)
    const progress: Progress = (value) => send({ progress: value })
    await speaking(request.language ?? LANGUAGE, async () => {
      try {
        const handler = Object.hasOwn(handlers, request.do) ? handlers[request.do] : undefined
        if (handler === undefined)
          throw new CliError(EXIT.USAGE, tr("unknown request '{name}'", { name: request.do }))
        send({ result: (await handler(request, progress, gone.signal)) ?? null })
      } catch (error) {
        send({ error: explain(error) })
      }
    })
  }
}

/** One answer a connection: `curl --unix-socket SOCKET http://mount/metrics`. */
async function answerScrape(
  socket: Socket,
  line: string,
  { status, metrics }: Readonly<Record<string, Handler>>,
  gone: AbortSignal,
): Promise<void> {
  const ask = (handler: Handler | undefined, what: Request['do']) =>
    handler?.({ do: what }, () => {}, gone)
  let text = ''
  if (line.startsWith('GET /metrics ')) {
    const { prometheusText } = await import('./prometheus.ts')
    const [state, figures] = [await ask(status, 'status'), await ask(metrics, 'metrics')]
    text = prometheusText([state as Status], [figures as Metrics])
  }
  const head = [
    text === '' ? 'HTTP/1.1 404 Not Found' : 'HTTP/1.1 200 OK',
    'Content-Type: text/plain; version=0.0.4; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
}

/** What is no request asks for nothing that there is. */
function parseRequest(line: string): Request {
  try {
    const request: unknown = JSON.parse(line)
    if (typeof request === 'object' && request !== null && 'do' in request) {
      return request as Request
    }
  } catch {}
  return { do: line.slice(0, 80) as Request['do'] }
}

/** No process listens there: nothing is mounted, or its process was killed. */
export class NotRunning extends CliError {
  constructor(where: string) {
    super(EXIT.UNAVAILABLE, tr('{where}: no weiyun-mount is running there', { where }))
    this.name = 'NotRunning'
  }
}

/** Asks the process that serves a mount point; as `askControl` otherwise. */
export async function askMount(
  mountpoint: string,
  request: Request,
  onProgress?: Progress,
): Promise<unknown> {
  for (const path of await findSockets(mountpoint)) {
    try {
      return await askControl(path, request, onProgress)
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error
    }
  }
  throw new NotRunning(mountpoint)
}

/** Asks a running mount. Rejects with NotRunning, or with what the mount's handler threw. */
export async function askControl(
  path: string,
  request: Request,
  onProgress: Progress = () => {},
): Promise<unknown> {
  const socket = createConnection(path)
  let isSilent = false
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.on('error', () => reject(new NotRunning(path)))
    }).catch(async (error) => {
      await rm(path, { force: true })
      throw error
    })
    socket.setTimeout(SILENCE_MS_MAX.get(request.do) ?? 0, () => {
      isSilent = true
      socket.destroy()
    })
    socket.write(`${JSON.stringify({ language: LANGUAGE, ...request })}\n`)
    const lines = createInterface({ input: socket })
    // A socket that is destroyed has no end that readline would see.
    socket.on('close', () => lines.close())
    for await (const line of lines) {
      const reply = JSON.parse(line)
      if ('result' in reply) return reply.result
      if ('error' in reply) throw new CliError(reply.error.exitCode, reply.error.message)
      onProgress(reply.progress)
    }
  } finally {
    socket.destroy()
  }
  throw new CliError(
    EXIT.UNAVAILABLE,
    isSilent
      ? tr('the mount does not answer; `weiyun-mount doctor` says more')
      : tr('the mount ended before it answered'),
  )
}
