// The order of an upload, the same for both dialects: announce, send what the service lacks, and
// after anything doubtful look before sending again. A dialect hands in its steps.
import type { Logger } from '../../base/log.ts'
import type { FileEntry, UploadOptions } from '../drive.ts'
import { isWeiyunError, WeiyunError } from '../errors.ts'

/** What a dialect does for one upload. */
export interface UploadSteps<Ticket> {
  /**
   * Announces the file: the service has the content and made the entry, or tells how to send it.
   */
  begin(): Promise<{ readonly entry: FileEntry } | { readonly ticket: Ticket }>
  /**
   * Sends what the service lacks; asked again with the same ticket it goes on where the service
   * wants. RESTART_TRANSFER when the ticket is not good any more.
   */
  send(ticket: Ticket): Promise<FileEntry>
  /**
   * The finished file, when the service has it after all; 'gone' when it has not even its
   * beginning, so that the ticket leads nowhere.
   */
  find(ticket: Ticket): Promise<FileEntry | 'gone' | undefined>
  /** Removes the entry of an upload that will not be finished. */
  discard(ticket: Ticket): Promise<void>
  /** A ticket as text, good after a restart; without one, that the upload has begun. */
  save(ticket?: Ticket): string
  /** The ticket in such a text, if it is one for this very upload. */
  restore(token: string): Ticket | undefined
}

/** How often the announcement is repeated because the data server refused its ticket (errors 8). */
const ANNOUNCEMENTS_MAX = 3

export async function runUpload<Ticket>(
  steps: UploadSteps<Ticket>,
  { resume, onResumable }: Pick<UploadOptions, 'resume' | 'onResumable'>,
  log: Logger,
): Promise<FileEntry> {
  let ticket = resume === undefined ? undefined : steps.restore(resume)
  for (let announcements = 0; ; ) {
    if (ticket === undefined) {
      const begun = await steps.begin()
      announcements++
      if ('entry' in begun) return begun.entry
      ticket = begun.ticket
      onResumable?.(steps.save(ticket))
    }
    try {
      return await steps.send(ticket)
    } catch (error) {
      const found = await findAfter(error, steps, ticket)
      if (found !== undefined && found !== 'gone') return found
      const isLost = found === 'gone' && isKept(error)
      if (isKept(error) && !isLost) throw error
      await steps.discard(ticket)
      ticket = undefined
      onResumable?.(steps.save())
      const isWorthIt = isLost || isWeiyunError(error, 'RESTART_TRANSFER')
      if (!isWorthIt || announcements >= ANNOUNCEMENTS_MAX) throw error
      log.warn(
        { failed: error instanceof Error ? error.message : String(error) },
        'announcing the upload again',
      )
    }
  }
}

/** The last reply may be all that was lost. */
async function findAfter<Ticket>(
  error: unknown,
  steps: UploadSteps<Ticket>,
  ticket: Ticket,
): Promise<FileEntry | 'gone' | undefined> {
  if (!isWeiyunError(error) || isWeiyunError(error, 'ABORTED', 'SESSION_EXPIRED')) return undefined
  try {
    return await steps.find(ticket)
  } catch (lookError) {
    if (isWeiyunError(lookError, 'ABORTED', 'SESSION_EXPIRED')) throw lookError
    // Not knowing is no reason to give up a ticket that may still be good.
    throw isKept(error) ? error : lookError
  }
}

/**
 * Failures that pass by themselves: what was sent so far stays, and the next attempt goes on from
 * there.
 */
function isKept(error: unknown): boolean {
  if (!(error instanceof WeiyunError)) return true
  if (error.code === 'ABORTED' || error.code === 'SESSION_EXPIRED') return true
  return error.retryable && error.code !== 'RESTART_TRANSFER'
}
