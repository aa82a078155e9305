// SIGTERM and Ctrl-C, once for all commands that run until told to stop.
import { EXIT } from './exit.ts'

export interface StopSignal {
  /** Resolves with the signal, or with `undefined` when `abort` was called. */
  readonly requested: Promise<NodeJS.Signals | undefined>
  abort(): void
}

/**
 * From now on the first signal asks to stop, and the second ends the process at once. SIGHUP
 * counts: a terminal that closes must not kill a mount with uploads under way.
 */
export function stopSignal(): StopSignal {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals | undefined>()
  let signals = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      signals += 1
      // A closing terminal often sends SIGHUP twice; only a person or a manager means it again.
      if (signals > 1 && signal !== 'SIGHUP') process.exit(EXIT.INTERRUPTED)
      resolve(signal)
    })
  }
  return { requested: promise, abort: () => resolve(undefined) }
}
