// The programs that are measured: what a row may ask of each of them, and how their processes are
// run.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export const run = promisify(execFile)

/** One program with a service of its own, which holds the same files as the other's. */
export interface Program {
  readonly name: 'weiyun-mount' | 'rclone'
  /** Puts a file on the service, behind the program's back and past the network. */
  put(path: string, size: number, seed: number): Promise<void>
  /** A directory, and in it `count` empty files; with those above it. */
  fill(path: string, count: number): Promise<void>
  /** Mounts with the caches called `caches`: new ones under a new name. */
  mount(caches: string): Promise<Mount>
  /** Ends its service, and a mount that somebody left. */
  close(): Promise<void>
}

export interface Mount {
  readonly point: string
  readonly pid: number
  /** Returns once the `count` files below `dir` are on the service, with all `bytes` of them. */
  settle(dir: string, count: number, bytes: number): Promise<void>
  /** Unmounts, if it is not. What is not on the service by now is left to the caches. */
  unmount(): Promise<void>
}

/** Resolves with the first line of `stream` that matches; rejects when the process ends before. */
export async function lineOf(child: ChildProcess, stream: Readable, wanted: RegExp) {
  const lines: string[] = []
  for await (const line of createInterface({ input: stream })) {
    lines.push(line)
    const match = wanted.exec(line)
    if (match === null) continue
    // Nobody reads on, and a full pipe would stop the process.
    stream.resume()
    return match
  }
  throw new Error(`${child.spawnfile} ended: ${lines.slice(-5).join('\n')}`)
}

export function start(command: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  await exited
  clearTimeout(killer)
}

export async function isMounted(point: string): Promise<boolean> {
  return (await readFile('/proc/mounts', 'utf8')).includes(` ${point} `)
}

export async function waitUntil(check: () => Promise<boolean>, everyMs: number): Promise<void> {
  while (!(await check())) await sleep(everyMs)
}

/** Seconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

/** Seconds of processor time that a process has used so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may hold anything: fields 14 and 15 of proc(5), in hundredths of a
  // second.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / 100
}

export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}
