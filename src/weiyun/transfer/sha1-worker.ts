// The thread that computes SHA-1 with its state in the open, started by sha1-states.ts. Jobs take
// turns, a block each, so that a small file does not wait for a large one.
import { type FileHandle, open } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import { createSHA1 } from 'hash-wasm'
import { checkLength, type Sha1States } from './sha1-states.ts'

export interface Sha1Request {
  readonly id: number
  readonly path: string
  readonly start: number
  readonly size: number
  readonly blockBytes: number
}

export type Sha1Reply =
  | { readonly id: number; readonly states: Sha1States }
  | { readonly id: number; readonly error: { readonly message: string } }

/** The library saves four bytes of its own, then h0 to h4 as they lie in memory: little-endian. */
const WORDS_START = 4
const WORDS_END = 24
const INITIAL = '0123456789abcdeffedcba9876543210f0e1d2c3'

const sha1 = await createSHA1()
const initial = sha1.init().save()
if (stateOf(initial) !== INITIAL) throw new Error('the SHA-1 library saves its state otherwise')

function stateOf(saved: Uint8Array): string {
  return Buffer.from(saved.subarray(WORDS_START, WORDS_END)).toString('hex')
}

async function statesOf({ path, start, size, blockBytes }: Sha1Request): Promise<Sha1States> {
  await using file = await open(path, 'r')
  const buffer = Buffer.allocUnsafe(Math.min(blockBytes, size))
  const blocks: string[] = []
  let saved = initial
  for (let offset = 0; ; offset += blockBytes) {
    const block = buffer.subarray(0, Math.min(blockBytes, size - offset))
    await readAll(file, block, start + offset)
    // From here to the next `await` the hasher belongs to this job.
    sha1.load(saved)
    if (offset + block.length === size) return finish(blocks, block, size)
    sha1.update(block)
    saved = sha1.save()
    blocks.push(stateOf(saved))
  }
}

/** The last block, in which the check data lies. */
function finish(blocks: readonly string[], block: Buffer, size: number): Sha1States {
  const check = block.subarray(block.length - checkLength(size))
  sha1.update(block.subarray(0, block.length - check.length))
  const checkSha = stateOf(sha1.save())
  sha1.update(check)
  const digest = sha1.digest()
  return {
    sha1: digest,
    blocks: [...blocks, digest],
    checkSha,
    checkData: check.toString('base64'),
  }
}

async function readAll(file: FileHandle, into: Buffer, position: number): Promise<void> {
  for (let filled = 0; filled < into.length; ) {
    const left = into.length - filled
    const { bytesRead } = await file.read(into, filled, left, position + filled)
    if (bytesRead === 0) throw new Error('the file is shorter than expected')
    filled += bytesRead
  }
}

parentPort?.on('message', async (request: Sha1Request) => {
  const { id } = request
  const reply = await statesOf(request).then(
    (states): Sha1Reply => ({ id, states }),
    (error: Error): Sha1Reply => ({ id, error: { message: error.message } }),
  )
  parentPort?.postMessage(reply)
})
