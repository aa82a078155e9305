// What the steps of an upload work with, and the end that two of them can bring about.
import { randomBytes } from 'node:crypto'
import type { Call } from '../http.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Knobs } from '../server.ts'
import type { Account } from '../store/accounts.ts'
import type { Plan } from '../store/pieces.ts'
import type { Store } from '../store/store.ts'
import { ContentMismatch, type Upload, UploadGone } from '../store/uploads.ts'
import type { Channels } from './channels.ts'

export interface UploadContext {
  store: Store
  channels: Channels
  account: Account
  call: Call
  knobs: Knobs
  nowMs: number
}

/** `upload_state` (webapp.md, 7.5). */
export const UPLOAD_STATE = { MORE: 1, COMPLETE: 2, CHANNEL_DONE: 3 } as const

/** Whether all blocks are here; then the file is put in place. */
export async function complete(
  { store, channels, account, nowMs }: UploadContext,
  upload: Upload,
  plan: Plan,
): Promise<boolean> {
  // Another piece may have completed it while this one was written.
  if (store.uploads.find(upload.fileKey)?.done === 1) return true
  if (store.pieces.arrived(upload.fileKey).size < plan.states.length) return false
  channels.end(upload.fileKey)
  try {
    await store.pieces.finish(account, upload, nowMs)
  } catch (error) {
    if (error instanceof UploadGone) throw new Refusal(RET.NO_FILE, 'deleted meanwhile')
    if (error instanceof ContentMismatch) throw new Refusal(RET.WRONG_SHA, 'hashes of the whole')
    throw error
  }
  return true
}

/** A value that changes with every reply; any that was given out for the upload is good. */
export function newEx(upload: Upload): string {
  return exPrefix(upload) + randomBytes(8).toString('hex')
}

export function checkEx(upload: Upload, ex: string): void {
  if (!ex.startsWith(exPrefix(upload))) throw new Refusal(RET.BAD_UPLOAD, 'ex of another upload')
}

const exPrefix = ({ checkKey }: Upload): string => checkKey.slice(0, 32)
