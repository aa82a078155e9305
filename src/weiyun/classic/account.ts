// The classic account, which besides its limits and quota tells what downloads have to present.
import type { Call } from '../call.ts'
import { KnownAccount } from '../known-account.ts'
import type { Lanes } from '../lanes.ts'
import type { ClassicCommands } from './commands.ts'
import { type ClassicAccount, LIMITS } from './decode.ts'

export class KnownClassicAccount extends KnownAccount<ClassicAccount> {
  readonly uin: string
  #checksum: string | undefined

  constructor(uin: string, commands: ClassicCommands, lanes: Lanes) {
    super((call) => commands.account(uin, call), LIMITS, lanes)
    this.uin = uin
  }

  override async ask(call: Call): Promise<ClassicAccount> {
    const account = await super.ask(call)
    this.#checksum = account.checksum
    return account
  }

  /** What downloads have to present. */
  async checksum(call: Call): Promise<string> {
    return this.#checksum ?? (await this.ask(call)).checksum
  }

  /** The next download asks for a new one. */
  forgetChecksum(): void {
    this.#checksum = undefined
  }
}
