// Names go raw into the JSON of a command. The site encoded them once more, so the service may
// decode them, which only a name with a "%" would show (protocol notes, classic "Names on the
// wire") [I].

export class WireNames {
  #service: 'unknown' | 'keeps' | 'decodes' = 'unknown'

  encode(name: string): string {
    return this.#service === 'decodes' ? name.replaceAll('%', '%25') : name
  }

  /** Whether the service may make another name of this one, so that one has to look. */
  isDoubtful(name: string): boolean {
    return this.#service === 'unknown' && percentDecoded(name) !== name
  }

  /**
   * Learns from the name that a new entry got. True when it came out decoded: encoded from now on.
   */
  learn(asked: string, found: string): boolean {
    if (!this.isDoubtful(asked)) return false
    if (found === asked) this.#service = 'keeps'
    if (found === percentDecoded(asked)) this.#service = 'decodes'
    return this.#service === 'decodes'
  }
}

function percentDecoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
