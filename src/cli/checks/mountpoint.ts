// Checks of the place that is to be mounted on, and of what is mounted already.
import { access, constants, readdir, realpath, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { askMount, NotRunning } from '../control.ts'
import { reasonFor, remedyFor } from '../explain.ts'
import { tr } from '../language.ts'
import { isBelow, isOurs, readMounts } from '../mount-table.ts'
import { probeMount } from '../probe.ts'
import type { Status } from '../status.ts'
import { inState } from '../status-view.ts'
import { type Check, fail, ok, type Subject, type Verdict, warn } from './finding.ts'

/** Failed files that are named one by one. */
const NAMED_MAX = 5

export const mountpoint: Check = async (subject) => {
  if (subject.mountpoint === undefined) return []
  const path = resolve(subject.mountpoint)
  const mounts = await readMounts()
  const here = mounts.findLast((mount) => mount.mountpoint === path)
  if (here !== undefined && isOurs(here)) return ok(tr('{path} is mounted', { path }))
  if (here !== undefined) {
    return fail(
      tr('{path} is a mount of another kind ({type})', { path, type: here.type }),
      tr('choose another directory, or unmount that first'),
    )
  }
  const outer = mounts.find((mount) => isBelow(path, mount.mountpoint) && isOurs(mount))
  if (outer !== undefined) {
    return fail(
      tr('{path} lies inside the mount {outer}', { path, outer: outer.mountpoint }),
      tr('choose a directory on a local disk'),
    )
  }
  return bareMountpoint(path, subject)
}

async function bareMountpoint(path: string, { config }: Subject): Promise<Verdict> {
  const stats = await stat(path).catch(() => undefined)
  if (stats === undefined) {
    return fail(tr('{path}: no such directory', { path }), tr('make it with `mkdir -p`'))
  }
  if (!stats.isDirectory())
    return fail(tr('{path} is not a directory', { path }), tr('choose another'))
  if ((await readdir(path)).length > 0) {
    return fail(
      tr('{path} is not empty', { path }),
      tr('move away what was written there while nothing was mounted'),
    )
  }
  const real = await realpath(path)
  const inside = [config.cacheDir, config.stateDir].find((dir) => isBelow(dir, real))
  if (inside !== undefined) {
    return fail(
      tr('{path} must not lie inside the mount', { path: inside }),
      tr('choose another directory, or move that with --cache-dir or --state-dir'),
    )
  }
  const isWritable = await access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
  // fusermount3 lets nobody mount over a directory that he cannot write to.
  if (!isWritable)
    return fail(tr('{path} is not writable', { path }), tr('give it to yourself with `chown`'))
  return ok(tr('{path} can be mounted on', { path }))
}

/** Every mount of this program, whoever asks; and what waits in those that answer. */
export const mounts: Check = async () => {
  const found = (await readMounts()).filter(isOurs)
  if (found.length === 0) return ok(tr('nothing is mounted'))
  return (await Promise.all(found.map(({ mountpoint }) => livingMount(mountpoint)))).flat()
}

async function livingMount(mountpoint: string): Promise<Verdict[]> {
  const status = await statusOf(mountpoint)
  if (status === 'silent') {
    const remedy = tr('end its process with `kill`, then `weiyun-mount unmount --lazy`')
    return [fail(tr('{mountpoint}: its process does not answer', { mountpoint }), remedy)]
  }
  if (status === undefined) return [await deadMount(mountpoint)]
  const { session, pid } = status
  const message = tr('{mountpoint}: {state}, process {pid}', {
    mountpoint,
    state: inState(status.state),
    pid,
  })
  const verdicts = [ok(message)]
  if (session === 'expired') {
    verdicts.push(
      fail(`${mountpoint}: ${tr('the session has expired')}`, tr('run `weiyun-mount login`')),
    )
  } else if (session === 'unreachable') {
    const remedy = tr('check the network; what was written waits on this disk')
    verdicts.push(warn(`${mountpoint}: ${tr('the service cannot be reached')}`, remedy))
  }
  return [...verdicts, ...failedFiles(status)]
}

function failedFiles({ mountpoint, pending }: Status): Verdict[] {
  const failed = pending.filter(({ error }) => error !== undefined)
  const named = failed.slice(0, NAMED_MAX).map(({ path, error = '', code }) => {
    const remedy = remedyFor(code) ?? tr('see the log; it is tried again by itself')
    return warn(`${mountpoint}${path}: ${reasonFor(code, error)}`, remedy)
  })
  const more = failed.length - NAMED_MAX
  if (more <= 0) return named
  const message = `${mountpoint}: ${tr('… and {count} more', { count: more })}`
  return [...named, warn(message, tr('`weiyun-mount status` lists them'))]
}

/** `undefined`: no process serves it, or not one of ours. */
async function statusOf(mountpoint: string): Promise<Status | 'silent' | undefined> {
  try {
    return (await askMount(mountpoint, { do: 'status' })) as Status
  } catch (error) {
    return error instanceof NotRunning ? undefined : 'silent'
  }
}

async function deadMount(mountpoint: string): Promise<Verdict> {
  if ((await probeMount(mountpoint)) === 'dead') {
    return fail(
      tr('{mountpoint}: left behind by a process that was killed', { mountpoint }),
      tr('mount again, or run `weiyun-mount unmount --lazy`'),
    )
  }
  // Another user's, whose control socket we cannot see.
  return ok(tr('{mountpoint}: mounted by somebody else', { mountpoint }))
}
