// Without -f the program starts itself again, detached, and waits until that process has mounted or
// failed. The two talk over Node's IPC channel: one message, then the channel closes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { say } from './command.ts'
import { EXIT } from './exit.ts'
import { explain } from './explain.ts'
import { tr } from './language.ts'
import { stopSignal } from './signals.ts'

/**
 * A process that lives for weeks: 24 MiB for young objects, not the 128 that Node keeps; and old
 * ones are not looked through each time that some MiB of buffers have passed by.
 */
const NODE_OPTIONS = ['--max-semi-space-size=8', '--initial-old-space-size=64']
/** Tells the child whom it has to answer to. Not an option: `ps` shows what the user typed. */
const MARK = 'WEIYUN_MOUNT_BACKGROUND'

type Message = { ready: true } | { failed: string; exitCode: number }

/** Starts the mount in the background. Resolves with the exit code for this process. */
export async function runInBackground(logFile: string): Promise<number> {
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 })
  const log = await open(logFile, 'a', 0o600)
  const args = [...process.execArgv, ...NODE_OPTIONS, ...process.argv.slice(1)]
  const child = spawn(process.execPath, args, {
    detached: true,
    env: { ...process.env, [MARK]: '1' },
    stdio: ['ignore', 'ignore', log.fd, 'ipc'],
  })
  await log.close()
  // Whoever stops waiting does not want the mount.
  let interrupted = false
  void stopSignal().requested.then((signal) => {
    interrupted = child.kill(signal)
  })

  const [message] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
  child.unref()
  if (child.connected) child.disconnect()
  if (typeof message !== 'object' || message === null) {
    if (interrupted) return EXIT.INTERRUPTED
    say(tr('the mount ended at once; {logFile} may say why', { logFile }))
    return EXIT.SOFTWARE
  }
  const answer = message as Message
  if ('ready' in answer) return EXIT.OK
  say(answer.failed)
  return answer.exitCode
}

export interface Parent {
  ready(): void
  failed(error: unknown): void
}

/** The process that started us for the background, if one did. */
export function reportToParent(): Parent | undefined {
  if (process.env[MARK] === undefined || process.send === undefined) return undefined
  delete process.env[MARK]
  const tell = (message: Message) => {
    if (process.connected) process.send?.(message, () => process.disconnect())
  }
  return {
    ready: () => tell({ ready: true }),
    failed(error) {
      const { message, exitCode } = explain(error)
      tell({ failed: message, exitCode })
    },
  }
}
