// Resume tokens: what an upload was doing, as text that its caller keeps. The first token of an
// upload says only that it has begun; from then on there may be an entry that no reply told of.
import type { ContentHashes, DirRef } from '../drive.ts'
import { type Fields, integer, isFields } from '../fields.ts'
import { type ChunkTicket, restoreTicket } from './chunks.ts'
import { type Announced, decodeAnnounced } from './decode.ts'

/** The upload that a token is good for. */
export interface Purpose {
  readonly dir: DirRef
  readonly name: string
  readonly content: ContentHashes & { readonly size: number }
}

export interface Resumed {
  /** When the upload was begun, by our clock. */
  readonly sinceMs: number
  readonly ticket: (Announced & ChunkTicket) | undefined
}

export function writeToken(
  purpose: Purpose,
  sinceMs: number,
  ticket?: Announced & ChunkTicket,
): string {
  const fields = ticket && {
    file_id: ticket.id,
    file_ver: ticket.version,
    filename: ticket.name,
    file_ctime: ticket.timeMs,
    check_key: ticket.checkKey,
    file_key: ticket.fileKey,
    server_name: ticket.host,
    server_port: ticket.port,
  }
  return JSON.stringify({ for: purposeOf(purpose), sinceMs, ...fields })
}

/** `undefined` for what is no token, or one of another upload. */
export function readToken(token: string, purpose: Purpose): Resumed | undefined {
  const fields = parse(token)
  const sinceMs = fields && integer(fields, 'sinceMs')
  if (sinceMs === undefined || fields?.for !== purposeOf(purpose)) return undefined
  const way = restoreTicket(fields)
  return { sinceMs, ticket: way && { ...decodeAnnounced(fields), ...way } }
}

function purposeOf({ dir, name, content }: Purpose): string {
  return [dir.key, content.sha1, content.size, name].join(' ')
}

function parse(token: string): Fields | undefined {
  try {
    const fields: unknown = JSON.parse(token)
    return isFields(fields) ? fields : undefined
  } catch {
    return undefined
  }
}
