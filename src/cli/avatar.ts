// `weiyun-mount avatar UIN…`: pictures of users, as files. Needs no session.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type Avatar, fetchAvatars } from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand, say } from './command.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

const TYPES: Record<string, string> = {
  'image/png': 'png',
  'image/gif': 'gif',
  'image/webp': 'webp',
}

export function declare(): Command {
  const command = declareCommand('avatar')
    .argument('<UIN...>', tr('their numbers'))
    .option('--out <DIR>', tr('where UIN.jpeg is written'), '.')
  return addOptions(command, ['service', 'timeoutMs'])
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declare().parse(argv, { from: 'user' })
  const { out } = command.opts<{ out: string }>()
  const wrong = command.args.find((uin) => !/^[1-9]\d{4,14}$/.test(uin))
  if (wrong !== undefined)
    throw new CliError(EXIT.USAGE, tr("'{text}' is not a user's number", { text: wrong }))

  const { service, timeoutMs } = await configFor(command)
  const where = service === undefined ? {} : { service }
  const avatars = await fetchAvatars(command.args, { ...where, timeoutMs })
  await mkdir(out, { recursive: true })
  const written = await Promise.all(avatars.map((avatar) => write(out, avatar)))
  return written.every(Boolean) ? EXIT.OK : EXIT.FAILURE
}

/** Prints the path, for scripts. False when there was nothing to write. */
async function write(dir: string, { uin, image }: Avatar): Promise<boolean> {
  if (image === undefined) {
    say(tr('{uin} has no picture', { uin }))
    return false
  }
  const path = join(dir, `${uin}.${TYPES[image.type] ?? 'jpeg'}`)
  await writeFile(path, image.bytes)
  console.log(path)
  return true
}
