// `-o a,b=c` as mount(8) and /etc/fstab write them, onto the one table of options.
import { findOption, type Words } from './config.ts'
import { CliError, EXIT } from './exit.ts'
import { tr } from './language.ts'

/** Meant for mount(8), systemd or the kernel's generic layer: nothing for us to do. */
const IGNORED = new RegExp(
  `^(?:${[
    'defaults|rw|(?:no)?(?:auto|users?|exec|suid|dev|fail|diratime|lazytime)|owner|group',
    'a?sync|(?:no|rel|strict)?atime|_netdev',
    '[xX]-.*|(?:comment|fsname|subtype)=.*',
  ].join('|')})$`,
)

/** Throws a CliError for an option that means nothing to anybody. */
export function parseMountOptions(lists: readonly string[]): Words {
  const words: Words = {}
  for (const item of lists.flatMap(splitList)) {
    if (item === '' || IGNORED.test(item)) continue
    const [, name = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(item) ?? []
    const key = name === 'ro' ? 'readOnly' : findOption(name.replaceAll('_', '-'))
    if (key === undefined)
      throw new CliError(EXIT.USAGE, `-o: ${tr("unknown option '{option}'", { option: name })}`)
    const before = words[key] ?? []
    words[key] = [...before, value]
  }
  return words
}

/** Commas divide, `\,` is a comma in a value, as in fstab for other FUSE file systems. */
function splitList(list: string): string[] {
  return list.split(/(?<!\\),/).map((item) => item.replaceAll('\\,', ',').trim())
}
