// The peer: rclone's mount over rclone's own WebDAV server, both as they come, with the cache mode
// that keeps reads and writes on disk as we do.
import type { ChildProcess } from 'node:child_process'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { seededContent } from '../../src/standin/store/seeded.ts'
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

const ENV = { RCLONE_CONFIG: '/dev/null' }

export class Rclone implements Program {
  readonly name = 'rclone'
  readonly #dir: string
  readonly #server: ChildProcess
  readonly #port: number
  #mount: Mount | undefined

  private constructor(dir: string, server: ChildProcess, port: number) {
    this.#dir = dir
    this.#server = server
    this.#port = port
  }

  static async start({ dir, network }: { dir: string; network: Network }): Promise<Rclone> {
    await mkdir(join(dir, 'service'), { recursive: true })
    const args = ['serve', 'webdav', join(dir, 'service'), '--addr', '127.0.0.1:0']
    const server = start('rclone', args, ENV)
    const [, port] = await lineOf(server, server.stderr!, /started on.*127\.0\.0\.1:(\d+)/)
    return new Rclone(dir, server, await network.forward(Number(port)))
  }

  async put(path: string, size: number, seed: number): Promise<void> {
    const target = this.#onService(path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, seededContent(size, seed))
  }

  async fill(path: string, count: number): Promise<void> {
    await mkdir(this.#onService(path), { recursive: true })
    for (let index = 0; index < count; index++) {
      await writeFile(join(this.#onService(path), `file-${String(index).padStart(5, '0')}`), '')
    }
  }

  /** Where the server has a file on this disk. */
  #onService(path: string): string {
    return join(this.#dir, 'service', path)
  }

  async mount(caches: string): Promise<Mount> {
    const point = join(this.#dir, 'mount')
    await mkdir(point, { recursive: true })
    const url = `http://127.0.0.1:${this.#port}`
    const args = ['mount', ':webdav:', point, '--webdav-url', url, '--webdav-vendor', 'other']
    args.push('--vfs-cache-mode', 'full', '--cache-dir', join(this.#dir, caches))
    const child = start('rclone', args, ENV)
    child.stderr?.resume()
    await waitUntil(() => isMounted(point), 20)
    this.#mount = {
      point,
      pid: child.pid as number,
      settle: (dir, count, bytes) =>
        waitUntil(async () => {
          const sizes = await this.#sizes(dir)
          return sizes.length === count && sizes.reduce((sum, size) => sum + size, 0) === bytes
        }, 200),
      async unmount() {
        if (await isMounted(point)) await run('fusermount3', ['-uz', point])
        await stop(child)
      },
    }
    return this.#mount
  }

  async close(): Promise<void> {
    await this.#mount?.unmount()
    await stop(this.#server)
  }

  /** Its server makes files empty first, and fills them as the bytes come. */
  async #sizes(dir: string): Promise<number[]> {
    const entries = await readdir(this.#onService(dir), { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    return Promise.all(
      files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
    )
  }
}
