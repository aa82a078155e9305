// Places where the torture tests make the process die. Off (one comparison) unless the environment
// says where: WEIYUN_MOUNT_CRASH=NAME at the first passing of that point, NAME:N at the Nth,
// *:P at any point with probability P, drawn from the seed in WEIYUN_MOUNT_CRASH_SEED.

type Trigger = (name: string) => boolean

const trigger = parse(
  process.env.WEIYUN_MOUNT_CRASH,
  Number(process.env.WEIYUN_MOUNT_CRASH_SEED ?? 1),
)

/** Dies here, as by `kill -9`, when the environment asks for it. Else does nothing. */
export function crashPoint(name: string): void {
  if (trigger === undefined || !trigger(name)) return
  process.kill(process.pid, 'SIGKILL')
  // From a worker thread the signal may take a moment; nothing more may happen meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function parse(spec: string | undefined, seed: number): Trigger | undefined {
  if (!spec) return undefined
  // Names may have colons in them too.
  const [, wanted, argument] = /^(.+?)(?::([\d.]+))?$/.exec(spec) ?? []
  if (wanted === '*') {
    const random = randomFrom(seed)
    return () => random() < Number(argument)
  }
  let left = Number(argument ?? 1)
  return (name) => name === wanted && --left === 0
}

/**
 * A small linear congruential generator (constants of Numerical Recipes): same seed, same crashes.
 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
