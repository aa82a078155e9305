// The data plane of uploads: chunks in FTN frames and whole files in a form. No cookies here: the
// two keys of an announced upload are the permission (classic.md, 6b and 6c).
import { hash } from 'node:crypto'
import { BodyError, type Call, type Reply, type Route, reply } from '../http.ts'
import { Refusal } from '../refusal.ts'
import type { Account } from '../store/accounts.ts'
import type { Store } from '../store/store.ts'
import { ContentMismatch, FORM_SIZE_MAX, type Upload, UploadGone } from '../store/uploads.ts'
import { FrameError, ftnReply, parseFrame } from './ftn.ts'
import { MultipartError, parseMultipart } from './multipart.ts'

/**
 * Codes of the data server. Only the last two have a known meaning (errors.md, 8); the others are
 * picked from its undocumented range by what they seem to be about [I].
 */
const FTN = {
  BAD_REQUEST: -29100,
  UNKNOWN_KEY: -29101,
  DAMAGED_CHUNK: -29102,
  OUT_OF_FILE: -29103,
  DIR_GONE: -7005,
  FILE_CHANGED: 38020,
}

/** Clients send 128 KiB, and adapt up to 1 MiB (newcgi.md, 5.2). */
const CHUNK_BYTES_MAX = 1024 * 1024
const FRAME_BYTES_MAX = CHUNK_BYTES_MAX + 64 * 1024
const FORM_BYTES_MAX = FORM_SIZE_MAX + 64 * 1024
const FORM_FIELDS = new Set(['Filename', 'FileSize', 'mode', 'Upload'])

export function chunkRoute(store: Store): Route {
  return {
    matches: (call) => call.method === 'POST' && /^\/ftn_handler\/[^/]+$/.test(call.path),
    name: () => 'ftn-chunk',
    handle: (call) => guarded(call, () => takeChunk(store, call)),
    refuse: refuseChunk,
  }
}

export function formRoute(store: Store): Route {
  return {
    matches: (call) => call.method === 'POST' && call.path === '/ftn_handler/',
    name: () => 'ftn-form',
    handle: (call) => guarded(call, () => takeForm(store, call)),
    refuse: refuseForm,
  }
}

async function takeChunk(store: Store, call: Call): Promise<Reply> {
  checkQuery(call, ['bmd5'])
  const frame = parseFrame(await call.body(FRAME_BYTES_MAX))
  const { upload, account } = announced(store, call, frame.fileKey, frame.checkKey)
  const { size, offset, chunk } = frame
  const md5 = call.path.slice('/ftn_handler/'.length)
  if (size !== upload.size || (upload.md5 !== '' && md5 !== upload.md5)) {
    throw new Refusal(FTN.FILE_CHANGED, 'size or MD5 of another file')
  }
  if (chunk.length === 0 || chunk.length > CHUNK_BYTES_MAX || offset + chunk.length > size) {
    throw new Refusal(FTN.OUT_OF_FILE, 'chunk outside the file')
  }
  if (hash('md5', chunk) !== call.query.get('bmd5')) {
    throw new Refusal(FTN.DAMAGED_CHUNK, 'bmd5')
  }
  const { done, next } = await store.uploads.append(
    account,
    frame.fileKey,
    offset,
    chunk,
    Date.now(),
  )
  return reply(ftnReply(0, done, next), { 'Content-Type': 'application/octet-stream' })
}

async function takeForm(store: Store, call: Call): Promise<Reply> {
  checkQuery(call, ['ver', 'ukey', 'filekey'])
  const { query } = call
  const fileKey = query.get('filekey') ?? ''
  const { upload, account } = announced(store, call, fileKey, query.get('ukey') ?? '')
  const bytes = formFile(call.headers['content-type'] ?? '', await call.body(FORM_BYTES_MAX))
  if (bytes.length !== upload.size) throw new Refusal(FTN.FILE_CHANGED, 'another size')
  let next = 0
  do {
    const slice = bytes.subarray(next, next + CHUNK_BYTES_MAX)
    const progress = await store.uploads.append(account, fileKey, next, slice, Date.now())
    if (!progress.done && progress.next !== next + slice.length) {
      throw new Refusal(FTN.OUT_OF_FILE, 'another sender is at work')
    }
    next = progress.next
  } while (next < upload.size)
  return formReply(0)
}

/** The bytes of the part `file`; the other parts are what the Flash uploader sends along. */
function formFile(contentType: string, body: Buffer): Buffer {
  const parts = parseMultipart(contentType, body)
  const file = parts.find((part) => part.name === 'file')
  const strange = parts.find((part) => part !== file && !FORM_FIELDS.has(part.name))
  if (file?.filename === undefined || strange !== undefined) {
    throw new Refusal(FTN.BAD_REQUEST, `part ${strange?.name ?? 'file'}`)
  }
  return file.bytes
}

/** The upload that these keys were given out for. */
function announced(
  store: Store,
  call: Call,
  fileKey: string,
  checkKey: string,
): { upload: Upload; account: Account } {
  const upload = store.uploads.find(fileKey)
  const account = upload === undefined ? undefined : store.accounts.find(upload.uin)
  if (upload?.checkKey !== checkKey || account === undefined) {
    throw new Refusal(FTN.UNKNOWN_KEY, 'file key or check key')
  }
  call.uin = account.uin
  return { upload, account }
}

function checkQuery(call: Call, names: string[]): void {
  const given = [...call.query.keys()]
  if (given.length !== names.length || !names.every((name) => given.includes(name))) {
    throw new Refusal(FTN.BAD_REQUEST, `parameters ${given.join(', ')}`)
  }
}

/**
 * Turns what can go wrong on the data plane into its codes; a body of unknown length is not even
 * answered.
 */
async function guarded(call: Call, take: () => Promise<Reply>): Promise<Reply> {
  // The seed saw the server drop the connection of a streamed form.
  if (call.headers['content-length'] === undefined) throw new BodyError('no Content-Length')
  try {
    return await take()
  } catch (error) {
    if (error instanceof FrameError || error instanceof MultipartError) {
      throw new Refusal(FTN.BAD_REQUEST, error.message)
    }
    if (error instanceof ContentMismatch) throw new Refusal(FTN.FILE_CHANGED, 'hashes')
    if (error instanceof UploadGone) throw new Refusal(FTN.DIR_GONE, 'target deleted')
    throw error
  }
}

function refuseChunk(_call: Call, code: number): Reply {
  const headers = { 'Content-Type': 'application/octet-stream' }
  return reply(ftnReply(code, false, 0), headers, code)
}

function refuseForm(_call: Call, code: number): Reply {
  return formReply(code)
}

function formReply(code: number): Reply {
  const script = `document.domain="weiyun.com";try{parent.ftn_post_end(${code})}catch(e){};`
  return reply(`<script>${script}</script>`, { 'Content-Type': 'text/html' }, code)
}
