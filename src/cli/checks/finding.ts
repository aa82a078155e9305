// What a check of `weiyun-mount doctor` looks at, and what it finds.
import type { lookup } from 'node:dns/promises'
import type { StatsFs } from 'node:fs'
import type { Env } from '../dirs.ts'
import type { Config } from '../options.ts'

export interface Finding {
  readonly check: string
  /** `warn`: it works, but not as it should, or not for long. */
  readonly level: 'ok' | 'warn' | 'fail'
  readonly message: string
  readonly remedy?: string
}

export type Verdict = Omit<Finding, 'check'>

export const ok = (message: string): Verdict => ({ level: 'ok', message })
export const warn = (message: string, remedy: string): Verdict => ({
  level: 'warn',
  message,
  remedy,
})
export const fail = (message: string, remedy: string): Verdict => ({
  level: 'fail',
  message,
  remedy,
})

/** The parts of a machine that a test cannot break for real. */
export interface Machine {
  readonly nodeVersion: string
  readonly uid: number
  readonly fuseDevice: string
  readonly fuseConf: string
  readonly lookup: (host: string) => ReturnType<typeof lookup>
  readonly statfs: (path: string) => Promise<StatsFs>
  readonly nowMs: () => number
}

export interface Subject {
  readonly config: Config
  /** Why the configuration could not be used; `config` is then what it is without. */
  readonly configError?: Error
  readonly env: Env
  readonly machine: Machine
  /** As the user named it. */
  readonly mountpoint: string | undefined
}

/**
 * Looks at one thing and changes nothing. One that throws has failed, with the error's own message.
 */
export type Check = (subject: Subject) => Promise<Verdict | readonly Verdict[]>
