// QR codes for a terminal. The services send pictures: we read what is in them, and draw that anew.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PNG } from 'pngjs'
import encodeQr from 'qr'
import decodeQr from 'qr/decode.js'
import type { QrCode } from '../weiyun/index.ts'
import { tr } from './language.ts'

/**
 * White on black whatever the terminal's own colours are: codes in negative do not scan
 * everywhere.
 */
const COLOURS = ['\x1b[97;40m', '\x1b[0m'] as const

/**
 * The code as lines of half blocks; `undefined` when there is no code to be found in the picture.
 */
export function drawQr(image: Buffer, { colours }: { colours: boolean }): string | undefined {
  const text = readQr(image)
  if (text === undefined) return undefined
  const [on, off] = colours ? COLOURS : ['', '']
  const lines = encodeQr(text, 'ascii').trimEnd().split('\n')
  return lines.map((line) => `${on}${line}${off}\n`).join('')
}

function readQr(image: Buffer): string | undefined {
  try {
    const { width, height, data } = PNG.sync.read(image)
    return decodeQr({ width, height, data }, { timeLimit: 2_000 })
  } catch {
    return undefined
  }
}

/** Shows codes one after another, and clears up behind itself what it had to write to files. */
export class QrDisplay {
  #dir: Promise<string> | undefined

  /** Draws a code, or says where it can be looked at. */
  async show({ image, url }: QrCode): Promise<void> {
    const drawn = drawQr(image, { colours: process.stdout.isTTY })
    if (drawn !== undefined) process.stdout.write(drawn)
    if (url !== undefined) console.log(tr('The code is also at {url}', { url }))
    if (drawn === undefined && url === undefined) {
      const path = await this.#write(image)
      console.log(tr('The code cannot be drawn here. Open this picture: {path}', { path }))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dir !== undefined) await rm(await this.#dir, { recursive: true, force: true })
  }

  async #write(image: Buffer): Promise<string> {
    this.#dir ??= mkdtemp(join(tmpdir(), 'weiyun-mount-'))
    const path = join(await this.#dir, 'login.png')
    await writeFile(path, image, { mode: 0o600 })
    return path
  }
}
