// Checks of what this machine has to have: Node, FUSE, the configuration.
import { access, constants, stat } from 'node:fs/promises'
import { configFile } from '../config.ts'
import { allowsOther, findProgram } from '../fuse-helper.ts'
import { tr } from '../language.ts'
import { type Check, fail, ok, type Verdict } from './finding.ts'

/** As in main.ts, which has to do without imports. */
const NODE_MAJOR_MIN = 24
const SETUID = 0o4000

export const node: Check = async ({ machine }) => {
  const version = machine.nodeVersion
  if (Number.parseInt(version, 10) >= NODE_MAJOR_MIN) return ok(`Node ${version}`)
  return fail(tr('Node {version} is too old', { version }), tr('install Node 24 or newer'))
}

export const config: Check = async ({ configError, env }) => {
  if (configError === undefined)
    return ok(tr('{path} and the environment', { path: configFile(env) }))
  return fail(configError.message, tr('correct it; `weiyun-mount --help` lists the options'))
}

export const fuse: Check = async ({ machine }) => {
  const path = machine.fuseDevice
  try {
    await access(path, constants.R_OK | constants.W_OK)
    return ok(tr('{path} can be used', { path }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return fail(
        tr('{path} is missing', { path }),
        tr('run `modprobe fuse`; a container needs --device /dev/fuse --cap-add SYS_ADMIN'),
      )
    }
    return fail(
      tr('{path} cannot be opened', { path }),
      tr('ask the administrator to let you use FUSE (mode 0666, or a group)'),
    )
  }
}

export const fusermount: Check = async ({ machine }) => {
  const path = await findProgram('fusermount3')
  if (path === undefined) return fail(tr('fusermount3 is missing'), tr('install the package fuse3'))
  const { mode, uid } = await stat(path)
  const mayMount = machine.uid === 0 || ((mode & SETUID) !== 0 && uid === 0)
  if (mayMount) return ok(path)
  return fail(
    tr('{path} is not setuid root, so that only root can mount', { path }),
    tr('reinstall the package fuse3, or run `chmod u+s` on it as root'),
  )
}

export const allowOther: Check = async ({ config: { allowOther }, machine }): Promise<Verdict> => {
  const path = machine.fuseConf
  if (await allowsOther(path, machine.uid)) return ok(tr('mounts can be opened to other users'))
  if (!allowOther)
    return ok(tr('{path} has no user_allow_other; only --allow-other needs it', { path }))
  return fail(
    tr('{path} has no user_allow_other', { path }),
    tr('add the line user_allow_other to it as root, or leave out --allow-other'),
  )
}
