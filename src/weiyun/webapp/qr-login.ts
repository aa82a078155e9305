// What logging in with a QR code looks like, whoever made the code.
import type { Call } from '../call.ts'

/** The picture to be scanned, as the service sends it. */
export interface QrCode {
  readonly image: Buffer
  /** A public address of the same picture, where there is one. */
  readonly url?: string
}

/** `expired` is followed by a new code, `confirmed` by the session. */
export type LoginState = 'waiting' | 'scanned' | 'confirmed' | 'expired'

/** What a way to log in does. */
export interface QrLogin {
  begin(call: Call): Promise<QrCode>
  /** REFUSED when the user said no. */
  poll(call: Call): Promise<LoginState>
  /** After `confirmed`: fetches the cookies. */
  finish(call: Call): Promise<void>
}
