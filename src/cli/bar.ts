// Progress bars on a terminal; where there is none, nobody is told anything.

export interface ProgressBar {
  update(done: number, total: number, note: string): void
  stop(): void
}

/** `undefined` unless stderr is a terminal. */
export async function openBar(title: string): Promise<ProgressBar | undefined> {
  if (!process.stderr.isTTY) return undefined
  const { SingleBar } = await import('cli-progress')
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{title} {bar} {percentage}%  {note}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    // Ctrl-C is ours: the default handler would end the process in the middle.
    gracefulExit: false,
  })
  let started = false
  return {
    update(done, total, note) {
      if (!started) bar.start(total, 0, { title, note })
      started = true
      bar.setTotal(total)
      bar.update(Math.min(done, total), { note })
    },
    stop: () => bar.stop(),
  }
}
