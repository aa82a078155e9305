// Asks a mount for a sign of life, in a process of its own: a call into a mount whose process
// hangs takes a thread of the asker with it, and a Node process with such a thread cannot even
// exit.
import { execFile } from 'node:child_process'

const ANSWER_MS = 5_000

/** `dead`: the process behind it is gone. `silent`: it is there, and does not answer. */
export function probeMount(mountpoint: string): Promise<'alive' | 'dead' | 'silent'> {
  // A file system's status, and not `stat`, which the kernel may answer from its cache.
  const args = ['--file-system', '--', mountpoint]
  const limits = { timeout: ANSWER_MS, killSignal: 'SIGKILL', env: { ...process.env, LC_ALL: 'C' } }
  return new Promise((resolve) => {
    execFile('stat', args, limits as { timeout: number }, (error, _stdout, stderr) => {
      if (error === null) resolve('alive')
      else resolve(error.killed ? 'silent' : /not connected/u.test(stderr) ? 'dead' : 'alive')
    })
  })
}
