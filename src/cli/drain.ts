// The end of a mount as the user sees it: a bar on a terminal, else a line before and after.
import type { Left } from '../vfs/vfs.ts'
import { say } from './command.ts'
import { formatSize } from './units.ts'

export interface DrainView {
  update(left: Left): void
  finish(left: Left): void
}

export async function showDrain(): Promise<DrainView> {
  const bar = process.stderr.isTTY ? await openBar() : undefined
  let total: Left | undefined
  return {
    update(left) {
      if (left.files === 0 && total === undefined) return
      if (total === undefined) {
        total = left
        if (bar === undefined) say(`uploading ${inWords(left)} first`)
        else bar.start(left.bytes, 0, { left: inWords(left) })
      }
      bar?.update(Math.max(0, total.bytes - left.bytes), { left: inWords(left) })
    },
    finish(left) {
      bar?.stop()
      if (left.files > 0) {
        say(`${inWords(left)} not uploaded yet; kept in the journal, the next mount goes on`)
      }
    },
  }
}

async function openBar() {
  const { SingleBar } = await import('cli-progress')
  return new SingleBar({
    stream: process.stderr,
    format: 'uploading {bar} {percentage}%  {left} left',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    // Ctrl-C is ours: the default handler would end the process in the middle.
    gracefulExit: false,
  })
}

function inWords({ files, bytes }: Left): string {
  return `${files} ${files === 1 ? 'file' : 'files'} (${formatSize(bytes)})`
}
