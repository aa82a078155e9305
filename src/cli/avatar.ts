// `weiyun-mount avatar UIN…`: pictures of users, as files. Needs no session.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Avatar, fetchAvatars } from '../weiyun/index.ts'
import { addOptions, configFor, declareCommand, say } from './command.ts'
import { CliError, EXIT } from './exit.ts'

const TYPES: Record<string, string> = {
  'image/png': 'png',
  'image/gif': 'gif',
  'image/webp': 'webp',
}

export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand('weiyun-mount avatar', 'Fetch the pictures of users.')
    .argument('<UIN...>', 'their numbers')
    .option('--out <DIR>', 'where UIN.jpeg is written', '.')
  addOptions(command, ['service', 'timeoutMs'])
  command.parse(argv, { from: 'user' })
  const { out } = command.opts<{ out: string }>()
  const wrong = command.args.find((uin) => !/^[1-9]\d{4,14}$/.test(uin))
  if (wrong !== undefined) throw new CliError(EXIT.USAGE, `'${wrong}' is not a user's number`)

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
    say(`${uin} has no picture`)
    return false
  }
  const path = join(dir, `${uin}.${TYPES[image.type] ?? 'jpeg'}`)
  await writeFile(path, image.bytes)
  console.log(path)
  return true
}
