// QR codes that are shown for a login, and what became of each. The phone that scans them is played
// by whoever steers the service (Admin.login).
import { randomBytes } from 'node:crypto'
import encodeQR from 'qr'
import { squarePng } from '../png.ts'

export type QrState = 'waiting' | 'scanned' | 'confirmed' | 'expired' | 'refused'

export interface QrCode {
  kind: 'qq' | 'weixin'
  /** What the browser that shows it asks by. */
  key: string
  state: QrState
  /** Once it is confirmed: who logs in, and the ticket that proves it, once. */
  uin: number
  ticket: string
  /** The state that the browser was told last. */
  told: QrState
}

/** Blank modules around a code, as the standard wants. */
const BORDER_MODULES = 4

export class QrCodes {
  readonly #codes = new Map<string, QrCode>()
  /** Called at every change of any code, and at the end. */
  readonly #waiters = new Set<() => void>()
  #closed = false

  /** A code for somebody to scan. */
  show(kind: QrCode['kind'], key: string): QrCode {
    const code: QrCode = { kind, key, state: 'waiting', uin: 0, ticket: '', told: 'waiting' }
    this.#codes.set(key, code)
    return code
  }

  find(kind: QrCode['kind'], key: string): QrCode | undefined {
    const code = this.#codes.get(key)
    return code?.kind === kind ? code : undefined
  }

  /** The code shown last, if it is still to be decided. */
  pending(): QrCode | undefined {
    const newest = [...this.#codes.values()].at(-1)
    return newest?.state === 'waiting' || newest?.state === 'scanned' ? newest : undefined
  }

  /** @param uin who confirms */
  set(code: QrCode, state: QrState, uin: number): void {
    code.state = state
    if (state === 'confirmed') {
      code.uin = uin
      code.ticket = randomBytes(16).toString('hex')
    }
    for (const wake of this.#waiters) wake()
  }

  /** Who confirmed the code that this ticket is of; it is good once. */
  redeem(kind: QrCode['kind'], ticket: string): number | undefined {
    const code = [...this.#codes.values()].find(
      (given) => given.kind === kind && given.ticket !== '' && given.ticket === ticket,
    )
    if (code === undefined) return undefined
    this.#codes.delete(code.key)
    return code.uin
  }

  /** The state of a code, as soon as it is another than the browser was told, or `ms` later. */
  async news(code: QrCode, ms: number): Promise<QrState> {
    if (code.state === code.told && !this.#closed) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          this.#waiters.delete(done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        this.#waiters.add(done)
      })
    }
    code.told = code.state
    return code.state
  }

  /** Answers everybody who waits. */
  close(): void {
    this.#closed = true
    for (const wake of this.#waiters) wake()
  }
}

/** A picture of a code that says `text`, with modules of `scale` pixels. */
export function qrPng(text: string, scale: number): Promise<Buffer> {
  const modules = encodeQR(text, 'raw', { ecc: 'medium', border: BORDER_MODULES })
  return squarePng(modules.length * scale, (x, y) =>
    modules[Math.floor(y / scale)]?.[Math.floor(x / scale)] ? 0x000000 : 0xffffff,
  )
}
