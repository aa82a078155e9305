// A small process beside this one, for what cannot be done from within.
//
// The binding looks at its own mount by stat(2): until that is usable, and for the number of a
// directory in which an entry changed. A process that is killed while a thread of it waits for an
// answer that only it could give cannot die: the mount would hang for all who touch it, and the
// locks would stay. So the companion does the looking. The same end comes to a thread that tells
// the kernel of a change, since that waits for the lock of a directory in which somebody waits for
// us. So the companion, to whom the kernel tells our death, then aborts the connection.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

/**
 * A path in; device, number and kind of the file out, or an empty line when there is none. A number
 * in: that of the connection. Only while threads of the dead process are left is it still ours. It
 * waits for stat(1) in a way that our death interrupts.
 */
const COMPANION = `
connections=/sys/fs/fuse/connections
abort() {
  sleep 1
  set -- /proc/$process/task/*
  [ $# -gt 1 ] || exit
  [ -e $connections/$connection ] || mount -t fusectl fusectl $connections
  echo 1 >$connections/$connection/abort
  exit
}
trap abort TERM
while IFS= read -r line; do
  case $line in
    /*) stat -c '%d %i %F' -- "$line" & wait $! || echo ;;
    *) connection=$line ;;
  esac
done`

/** Without setpriv(1) nobody tells the companion that we were killed. */
const START = `
command -v setpriv >/dev/null && exec setpriv --pdeathsig TERM sh -c "$0"
eval "$0"`

/** The binding's own, which others in this process do not share: they use promises. */
const fs = createRequire(import.meta.url)('node:fs') as { stat: Stat }

type Answer = (line: string) => void
type Done = (error: Error | null, stats?: unknown) => void
type Stat = (path: string, ...rest: [...options: [{ bigint?: boolean }?], done: Done]) => void

export interface Companion {
  /** From now on there is a connection that it may have to abort. */
  watch(connection: number): void
  end(): void
}

/**
 * From now on stat(2) of the mount point and of what is in it goes through the companion. To be
 * called before the mount is there: what is open then, the companion would have open as well.
 */
export function startCompanion(mountpoint: string): Companion {
  const child = spawn('sh', ['-c', START, COMPANION], {
    cwd: '/',
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      LC_ALL: 'C',
      process: `${process.pid}`,
    },
    stdio: ['pipe', 'pipe', 'ignore'],
    // Ctrl-C is for us: it is needed until the end.
    detached: true,
  })
  /** By path, in the order in which the answers will come: one for all who ask meanwhile. */
  const asked = new Map<string, Answer[]>()
  let isGone = false
  const answerFirst = (line: string): void => {
    const [first] = asked
    if (first === undefined) return
    asked.delete(first[0])
    for (const answer of first[1]) answer(line)
  }
  const gone = (): void => {
    isGone = true
    while (asked.size > 0) answerFirst('')
  }
  child.on('error', gone).on('exit', gone)
  child.stdin.on('error', gone)
  createInterface({ input: child.stdout }).on('line', answerFirst)
  child.unref()

  const direct = fs.stat
  fs.stat = (path, ...rest) => {
    if (path !== mountpoint && !path.startsWith(`${mountpoint}/`)) return direct(path, ...rest)
    const done = rest.at(-1) as Done
    const options = rest.length === 2 ? rest[0] : undefined
    const answer = (line: string): void => {
      const [dev, ino, kind] = line.split(' ')
      if (dev === undefined || ino === undefined) done(missing(path))
      else if (options?.bigint) done(null, { dev: BigInt(dev), ino: BigInt(ino) })
      else
        done(null, { dev: Number(dev), ino: Number(ino), isDirectory: () => kind === 'directory' })
    }
    const others = asked.get(path)
    // A name with a line feed in it is looked at when the kernel has forgotten it by itself.
    if (isGone || path.includes('\n')) setImmediate(answer, '')
    else if (others !== undefined) others.push(answer)
    else {
      asked.set(path, [answer])
      child.stdin.write(`${path}\n`)
    }
  }
  return {
    watch: (connection) => void child.stdin.write(`${connection}\n`),
    end() {
      fs.stat = direct
      child.stdin.end()
    },
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`nobody could look at ${path}`), { code: 'ENOENT' })
}
