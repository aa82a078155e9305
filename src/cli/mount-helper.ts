// Called as `mount.weiyun-mount` or `mount.fuse.weiyun-mount` this program is a helper of
// mount(8), which speaks in its own way: SPEC DIR [-sfnv] [-N NAMESPACE] [-o LIST] [-t TYPE].
import { parseArgs } from 'node:util'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

/**
 * The arguments of a helper as this program takes them; any other name leaves them as they are.
 * `undefined`: only pretend (`mount -f`).
 */
export function fromMountHelper(
  name: string,
  argv: readonly string[],
): readonly string[] | undefined {
  if (!/^mount\.(?:fuse\.)?weiyun-mount$/.test(name)) return argv
  const { values, positionals } = parse(name, argv)
  const [spec, dir] = positionals
  if (spec === undefined || dir === undefined) throw wrongCall(name)
  if (values.fake) return undefined
  return [spec, dir, ...(values.options ?? ['']).flatMap((list) => ['-o', list])]
}

function parse(name: string, argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        sloppy: { type: 'boolean', short: 's' },
        fake: { type: 'boolean', short: 'f' },
        'no-mtab': { type: 'boolean', short: 'n' },
        verbose: { type: 'boolean', short: 'v' },
        namespace: { type: 'string', short: 'N' },
        options: { type: 'string', short: 'o', multiple: true },
        type: { type: 'string', short: 't' },
      },
    })
  } catch {
    throw wrongCall(name)
  }
}

const wrongCall = (name: string) =>
  new CliError(EXIT.USAGE, tr('mount(8) calls this as: {name} SPEC DIR [-o LIST]', { name }))
