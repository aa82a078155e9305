// The end of a mount as the user sees it: a bar on a terminal, else a line before and after.
import type { Left } from '../vfs/vfs.ts'
import { openBar } from './bar.ts'
import { say } from './command.ts'
import { tr } from './language.ts'
import { formatFiles } from './units.ts'

export interface DrainView {
  update(left: Left): void
  finish(left: Left): void
}

export async function showDrain(): Promise<DrainView> {
  const bar = await openBar(tr('uploading'))
  let total: Left | undefined
  return {
    update(left) {
      if (left.files === 0 && total === undefined) return
      if (total === undefined) {
        total = left
        if (bar === undefined)
          say(tr('uploading {what} first', { what: formatFiles(left.files, left.bytes) }))
      }
      bar?.update(
        Math.max(0, total.bytes - left.bytes),
        total.bytes,
        formatFiles(left.files, left.bytes),
      )
    },
    finish(left) {
      bar?.stop()
      if (left.files === 0) return
      const what = formatFiles(left.files, left.bytes)
      say(tr('{what} not uploaded yet; kept in the journal, the next mount goes on', { what }))
    },
  }
}
