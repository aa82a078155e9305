// The simulated network as the rows of the benchmark use it: both programs, and the limit, go
// through it.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Counters, Order, Shape } from './proxy.ts'

export type { Counters, Shape } from './proxy.ts'

export class Network {
  readonly shape: Shape
  readonly #proxy: ChildProcess
  #last: Promise<unknown> = Promise.resolve()

  private constructor(proxy: ChildProcess, shape: Shape) {
    this.#proxy = proxy
    this.shape = shape
  }

  static async start(shape: Shape): Promise<Network> {
    const proxy = fork(new URL('./proxy.ts', import.meta.url))
    const network = new Network(proxy, shape)
    await network.setShape(shape)
    return network
  }

  /** Opens a port that leads to `target` on this machine; without a target, to nowhere. */
  async forward(target?: number): Promise<number> {
    return Number(await this.#ask({ do: 'forward', target }))
  }

  /** For preparations, which need not wait. */
  async setShape(shape: Shape): Promise<void> {
    await this.#ask({ do: 'shape', ...shape })
  }

  async counters(): Promise<Counters> {
    return (await this.#ask({ do: 'counters' })) as Counters
  }

  /** What crossed the network while `work` ran. */
  async during<T>(work: () => Promise<T>): Promise<{ result: T; crossed: Counters }> {
    const before = await this.counters()
    const result = await work()
    const after = await this.counters()
    const crossed = { ...after }
    for (const key of Object.keys(after) as (keyof Counters)[]) crossed[key] -= before[key]
    return { result, crossed }
  }

  async close(): Promise<void> {
    const exited = once(this.#proxy, 'exit')
    this.#proxy.disconnect()
    await exited
  }

  /** One order at a time: answers carry no number. */
  #ask(order: Order): Promise<unknown> {
    const answer = this.#last.then(async () => {
      this.#proxy.send(order)
      const [value] = await once(this.#proxy, 'message')
      return value
    })
    this.#last = answer.catch(() => {})
    return answer
  }
}
