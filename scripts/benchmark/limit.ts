// What the line itself allows: the same bytes by plain HTTP, one range for each of so many
// connections, through the same network.
import { open } from 'node:fs/promises'
import { Agent, createServer, get, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { Network } from './network.ts'

/** Seconds to fetch a file over `connections` connections, their set-up included. */
export async function fetchPlainly(
  network: Network,
  path: string,
  size: number,
  connections: number,
): Promise<number> {
  const server = createServer((request, response) => {
    serveRange(path, String(request.headers.range), response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const agent = new Agent()
  try {
    const port = await network.forward((server.address() as AddressInfo).port)
    const share = Math.ceil(size / connections)
    const startMs = performance.now()
    const lengths = await Promise.all(
      Array.from({ length: connections }, (_, index) =>
        fetchRange(agent, port, index * share, Math.min((index + 1) * share, size)),
      ),
    )
    const seconds = (performance.now() - startMs) / 1000
    if (lengths.reduce((sum, length) => sum + length) !== size) throw new Error('bytes are missing')
    return seconds
  } finally {
    agent.destroy()
    server.close()
  }
}

async function serveRange(path: string, range: string, response: ServerResponse): Promise<void> {
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? []
  const file = await open(path)
  const stream = file.createReadStream({
    start: Number(start),
    end: Number(end),
    highWaterMark: 256 * 1024,
  })
  response.writeHead(206, { 'Content-Length': Number(end) - Number(start) + 1 })
  await pipeline(stream, response)
}

function fetchRange(agent: Agent, port: number, from: number, to: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { Range: `bytes=${from}-${to - 1}` }
    get({ host: '127.0.0.1', port, agent, headers }, (response) => {
      let length = 0
      response.on('data', (bytes: Buffer) => {
        length += bytes.length
      })
      response.on('end', () => resolve(length))
      response.on('error', reject)
    }).on('error', reject)
  })
}
