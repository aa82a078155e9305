// The simulated network, in a process of its own (network.ts starts it): forwards TCP connections,
// each over a line of its own that delays by half the round trip each way and carries so many bytes
// a second. Knows nothing of HTTP. What it leaves out of a real network: slow start, loss, and
// jitter above 1 ms.
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export interface Shape {
  rttMs: number
  /** Bytes a second of one connection, each way. */
  bandwidth: number
}

export type Order =
  | ({ do: 'shape' } & Shape)
  /** Without a target: connections are taken, and nothing ever comes back. */
  | { do: 'forward'; target: number | undefined }
  | { do: 'counters' }

export interface Counters {
  connections: number
  /** Bytes towards the service, and back. */
  up: number
  down: number
  /** Of this process, since it started. */
  cpuMs: number
}

/** What is cut off a large read at once: 2 ms of a line of 8 MiB/s. */
const PIECE_BYTES = 16 * 1024
/** Room at the entrance of a line, beside what is on its way: the send buffer of a router. */
const ENTRANCE_BYTES = 256 * 1024

const shape: Shape = { rttMs: 0, bandwidth: Number.POSITIVE_INFINITY }
const totals = { connections: 0, up: 0, down: 0 }
const servers: Server[] = []

/** One direction of one connection. */
class Line {
  readonly #from: Socket
  readonly #to: Socket
  readonly #direction: 'up' | 'down'
  /** `undefined` is the end of the stream. */
  readonly #pieces: { dueMs: number; bytes: Buffer | undefined }[] = []
  #held = 0
  /** When the line has sent everything that was given to it. */
  #freeMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, direction: 'up' | 'down', openMs: number) {
    this.#from = from
    this.#to = to
    this.#direction = direction
    this.#freeMs = openMs
    from.on('data', (bytes) => this.#enter(bytes))
    from.on('end', () => this.#push(undefined))
    to.on('drain', () => this.#deliver())
    to.on('close', () => clearTimeout(this.#timer))
  }

  #enter(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this.#push(bytes.subarray(at, at + PIECE_BYTES))
    }
    if (this.#held > this.#room) this.#from.pause()
  }

  #push(bytes: Buffer | undefined): void {
    const length = bytes?.length ?? 0
    this.#held += length
    this.#freeMs = Math.max(this.#freeMs, performance.now()) + (length / shape.bandwidth) * 1000
    this.#pieces.push({ dueMs: this.#freeMs + shape.rttMs / 2, bytes })
    if (this.#timer === undefined) this.#deliver()
  }

  #deliver(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const nowMs = performance.now()
    while (!this.#to.writableNeedDrain) {
      const [next] = this.#pieces
      if (next === undefined) break
      // Timers count in whole milliseconds; what they add is not added up, for due times follow
      // from the line alone.
      if (next.dueMs > nowMs) {
        this.#timer = setTimeout(() => this.#deliver(), next.dueMs - nowMs)
        break
      }
      this.#pieces.shift()
      this.#leave(next.bytes)
    }
    if (this.#held < this.#room / 2) this.#from.resume()
  }

  #leave(bytes: Buffer | undefined): void {
    if (bytes === undefined) {
      this.#to.end()
      return
    }
    this.#held -= bytes.length
    totals[this.#direction] += bytes.length
    this.#to.write(bytes)
  }

  get #room(): number {
    return (shape.bandwidth * shape.rttMs) / 1000 + ENTRANCE_BYTES
  }
}

function connect(client: Socket, target: number): void {
  const service = createConnection({ port: target, host: '127.0.0.1', allowHalfOpen: true })
  for (const [socket, other] of [
    [client, service],
    [service, client],
  ] as const) {
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => setTimeout(() => other.destroy(), shape.rttMs / 2))
  }
  // Loopback lets the client speak at once; over a network its first byte leaves after the
  // handshake.
  const nowMs = performance.now()
  new Line(client, service, 'up', nowMs + shape.rttMs)
  new Line(service, client, 'down', nowMs)
}

function forward(target: number | undefined): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    totals.connections++
    if (target === undefined) client.on('error', () => {}).resume()
    else connect(client, target)
  })
  servers.push(server)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (typeof address === 'object' && address !== null) resolve(address.port)
    })
  })
}

async function obey(order: Order): Promise<unknown> {
  if (order.do === 'forward') return forward(order.target)
  if (order.do === 'shape') {
    shape.rttMs = order.rttMs
    shape.bandwidth = order.bandwidth > 0 ? order.bandwidth : Number.POSITIVE_INFINITY
    return null
  }
  const { user, system } = process.cpuUsage()
  return { ...totals, cpuMs: (user + system) / 1000 } satisfies Counters
}

process.on('message', (order: Order) => {
  void obey(order).then((answer) => process.send?.(answer))
})
process.on('disconnect', () => process.exit())
