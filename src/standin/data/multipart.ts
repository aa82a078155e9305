// multipart/form-data, read from a body that is in memory.

export interface Part {
  name: string
  filename: string | undefined
  /** undefined when the part names no Content-Type. */
  type: string | undefined
  bytes: Buffer
}

export class MultipartError extends Error {
  override name = 'MultipartError'
}

/** The parts of a body in their order; `contentType` is the request's header. */
export function parseMultipart(contentType: string, body: Buffer): Part[] {
  const boundary = /^multipart\/form-data;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType)
  const marker = boundary?.[1] ?? boundary?.[2]
  if (marker === undefined) throw new MultipartError('no boundary')
  const parts: Part[] = []
  let at = delimiterAt(body, `--${marker}`, 0)
  while (!body.subarray(at, at + 2).equals(Buffer.from('--'))) {
    if (!body.subarray(at, at + 2).equals(CRLF)) throw new MultipartError('boundary line')
    const next = body.indexOf(`\r\n--${marker}`, at)
    if (next < 0) throw new MultipartError('part without an end')
    parts.push(parsePart(body.subarray(at + 2, next)))
    at = next + marker.length + 4
  }
  return parts
}

const CRLF = Buffer.from('\r\n')

function delimiterAt(body: Buffer, delimiter: string, from: number): number {
  if (!body.subarray(from, from + delimiter.length).equals(Buffer.from(delimiter))) {
    throw new MultipartError('body does not start with its boundary')
  }
  return from + delimiter.length
}

function parsePart(part: Buffer): Part {
  const end = part.indexOf('\r\n\r\n')
  if (end < 0) throw new MultipartError('part without a header')
  const headers = new Map<string, string>()
  for (const line of part.subarray(0, end).toString().split('\r\n')) {
    const colon = line.indexOf(':')
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const disposition = headers.get('content-disposition') ?? ''
  const name = /(?:^|[;\s])name="([^"]*)"/.exec(disposition)?.[1]
  if (!disposition.startsWith('form-data') || name === undefined) {
    throw new MultipartError('part without a name')
  }
  return {
    name,
    filename: /(?:^|[;\s])filename="([^"]*)"/.exec(disposition)?.[1],
    type: headers.get('content-type'),
    bytes: part.subarray(end + 4),
  }
}
