// What the account last said about itself, and what follows from it before anything is sent: names
// that are too long, files that cannot fit.
import type { Call } from './call.ts'
import type { Account, Limits, Quota } from './drive.ts'
import { WeiyunError } from './errors.ts'
import type { Lanes } from './lanes.ts'

export class KnownAccount<A extends Account> {
  readonly #ask: (call: Call) => Promise<A>
  readonly #initial: Limits
  readonly #lanes: Lanes
  #known: A | undefined

  /** `initial` holds until the account has been asked. */
  constructor(ask: (call: Call) => Promise<A>, initial: Limits, lanes: Lanes) {
    this.#ask = ask
    this.#initial = initial
    this.#lanes = lanes
  }

  get limits(): Limits {
    return this.#known?.limits ?? this.#initial
  }

  isMainDir(key: string): boolean {
    return key === this.#known?.mainDir.key
  }

  /** Asks anew, and sizes the lanes by the answer. */
  async ask(call: Call): Promise<A> {
    const account = await this.#ask(call)
    this.#known = account
    this.#lanes.resize(account.limits)
    return account
  }

  checkName(name: string): void {
    const { nameLengthMax } = this.limits
    if (name === '' || name.includes('/')) throw new WeiyunError('NAME_INVALID', 'not a name')
    if (name.length > nameLengthMax) {
      throw new WeiyunError('NAME_TOO_LONG', `names have at most ${nameLengthMax} characters`)
    }
  }

  /** Refuses what cannot fit, but not without asking: space may have been freed meanwhile. */
  async checkRoom(size: number, call: Call): Promise<void> {
    const { fileSizeMax } = this.limits
    if (size > fileSizeMax) {
      throw new WeiyunError('TOO_LARGE', `files have at most ${fileSizeMax} bytes`)
    }
    if (this.#known === undefined || fits(size, this.#known.quota)) return
    const { quota } = await this.ask(call)
    if (!fits(size, quota)) throw new WeiyunError('NO_SPACE', `no room for ${size} bytes`)
  }
}

function fits(size: number, { total, used }: Quota): boolean {
  return size <= total - used
}
