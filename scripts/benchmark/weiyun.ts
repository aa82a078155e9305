// weiyun-mount over its stand-in service. The network is the benchmark's: the knobs of the service
// stay off.
import type { ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { askMount } from '../../src/cli/control.ts'
import type { Metrics } from '../../src/cli/metrics.ts'
import type { Network } from './network.ts'
import {
  isMounted,
  lineOf,
  type Mount,
  type Program,
  run,
  start,
  stop,
  waitUntil,
} from './program.ts'

const COMMAND = fileURLToPath(new URL('../weiyun-mount', import.meta.url))

export interface WeiyunOptions {
  dir: string
  network: Network
  dialect: string
  /** Where the mounts leave profiles of their processors; undefined: no profiles. */
  profileDir: string | undefined
}

interface Counter {
  requests: number
}

interface Service {
  child: ChildProcess
  url: string
  session: string
}

export class Weiyun implements Program {
  readonly name = 'weiyun-mount'
  readonly #options: WeiyunOptions
  readonly #service: Service
  readonly #port: number
  #mount: WeiyunMount | undefined

  private constructor(options: WeiyunOptions, service: Service, port: number) {
    this.#options = options
    this.#service = service
    this.#port = port
  }

  static async start(options: WeiyunOptions): Promise<Weiyun> {
    const { dir, network, dialect } = options
    await mkdir(dir, { recursive: true })
    const child = start(COMMAND, ['local', '--data', join(dir, 'service')])
    child.stderr?.pipe(process.stderr)
    const [line] = await lineOf(child, child.stdout!, /^\{.*\}$/)
    const { url, sessions } = JSON.parse(line)
    const session = sessions[dialect]
    if (session === undefined) throw new Error(`the local service has no dialect ${dialect}`)
    const port = await network.forward(Number(new URL(url).port))
    const weiyun = new Weiyun(options, { child, url, session }, port)
    // All rows together are more than one account may have.
    await weiyun.#admin('PUT', 'limits', { entriesMax: 1_000_000 })
    return weiyun
  }

  async put(path: string, size: number, seed: number): Promise<void> {
    await this.#makeDirs(path.split('/').slice(0, -1).join('/'))
    await this.#admin('POST', 'files/put', { path, size, seed })
  }

  async fill(path: string, count: number): Promise<void> {
    await this.#makeDirs(path)
    await this.#admin('POST', 'files/fill', { path, count })
  }

  /** Requests that the service got so far, of all kinds. */
  async requests(): Promise<number> {
    const counters = await this.#admin<Record<string, Counter>>('GET', 'counters')
    return Object.values(counters).reduce((sum, { requests }) => sum + requests, 0)
  }

  /** `port` leads to the service; another one, somewhere else. */
  async mount(caches: string, port = this.#port): Promise<WeiyunMount> {
    const { dir, profileDir, dialect } = this.#options
    const point = join(dir, 'mount')
    await mkdir(point, { recursive: true })
    const args = ['-f', point, '--service', `http://127.0.0.1:${port}`, '--dialect', dialect]
    args.push('--session', this.#service.session, '--drain', '0')
    args.push('--cache-dir', join(dir, caches, 'cache'), '--state-dir', join(dir, caches, 'state'))
    args.push('--log-level', 'warn', '--log-file', join(dir, 'mount.log'))
    const profile = `--cpu-prof --cpu-prof-dir=${profileDir}`
    const child = start(COMMAND, args, profileDir === undefined ? {} : { NODE_OPTIONS: profile })
    const complaints = lineOf(child, child.stderr!, /^Error|^weiyun-mount: .*/)
    await Promise.race([
      lineOf(child, child.stdout!, /^mounted /),
      complaints.then(([line]) => Promise.reject(new Error(line))),
    ])
    this.#mount = new WeiyunMount(point, child, (path) => this.#sizes(path))
    return this.#mount
  }

  async close(): Promise<void> {
    await this.#mount?.unmount()
    await stop(this.#service.child)
  }

  async #makeDirs(path: string): Promise<void> {
    await this.#admin('POST', 'files/mkdir', { path })
  }

  /** Of the files that are whole. */
  async #sizes(path: string): Promise<number[]> {
    const query = new URLSearchParams({ path })
    const entries = await this.#admin<{ kind: string; state: string; size: number }[]>(
      'GET',
      `files/tree?${query}`,
    )
    return entries
      .filter(({ kind, state }) => kind === 'file' && state === 'complete')
      .map(({ size }) => size)
  }

  async #admin<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`${this.#service.url}/_admin/${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return (await response.json()) as T
  }
}

export class WeiyunMount implements Mount {
  readonly point: string
  readonly #child: ChildProcess
  readonly #sizes: (path: string) => Promise<number[]>

  constructor(point: string, child: ChildProcess, sizes: (path: string) => Promise<number[]>) {
    this.point = point
    this.#child = child
    this.#sizes = sizes
  }

  get pid(): number {
    return this.#child.pid as number
  }

  async settle(dir: string, count: number, bytes: number): Promise<void> {
    await askMount(this.point, { do: 'sync' })
    const sizes = await this.#sizes(dir)
    const found = sizes.reduce((sum, size) => sum + size, 0)
    if (sizes.length !== count || found !== bytes)
      throw new Error(`${sizes.length} of ${count} files are on the service, with ${found} bytes`)
  }

  async metrics(): Promise<Metrics> {
    return (await askMount(this.point, { do: 'metrics' })) as Metrics
  }

  async unmount(): Promise<void> {
    await stop(this.#child)
    if (await isMounted(this.point)) await run('fusermount3', ['-uz', this.point])
    await waitUntil(async () => !(await isMounted(this.point)), 50)
  }
}
