// The commands by name, as `--help`, the man page and completions list them. `load.ts` finds their
// code.
import type { Command } from 'commander'
import type { PlainMessage } from './language.ts'

interface CommandEntry {
  /** Arguments, for the overview. */
  readonly usage: string
  readonly summary: PlainMessage
}

/** In the order of `--help`. */
export const COMMANDS = {
  mount: { usage: 'MOUNTPOINT', summary: 'make a Tencent Weiyun drive a folder' },
  unmount: { usage: 'MOUNTPOINT', summary: 'unmount, uploading what is left' },
  login: { usage: '', summary: 'get a session by QR code or browser cookies' },
  logout: { usage: '', summary: 'end the session and forget it' },
  status: { usage: '[MOUNTPOINT]', summary: 'session, quota, caches and pending uploads' },
  sync: { usage: '[PATH]', summary: 'wait until everything below PATH is on the service' },
  warm: { usage: 'PATH…', summary: 'fetch what is below PATH into the cache' },
  pin: { usage: 'PATH…', summary: 'fetch what is below PATH and never evict it' },
  unpin: { usage: 'PATH…', summary: 'let pinned files be evicted again' },
  free: { usage: 'PATH…', summary: 'drop the cached bytes below PATH' },
  doctor: { usage: '[MOUNTPOINT]', summary: 'find what stands in the way of a mount' },
  avatar: { usage: 'UIN…', summary: 'fetch pictures of users' },
  local: { usage: '', summary: 'run the local stand-in for the service' },
  completions: { usage: 'SHELL', summary: 'print completions for bash, zsh or fish' },
} as const satisfies Record<string, CommandEntry>

export type CommandName = keyof typeof COMMANDS

export interface CommandModule {
  /** The command with its options and arguments, without an effect. */
  declare(): Command
  /** Runs with the arguments after its own name; resolves with the exit code. */
  run(argv: readonly string[], commands: Loaders): Promise<number>
}

export type Loaders = Readonly<Record<CommandName, () => Promise<CommandModule>>>

export function isCommand(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word)
}
