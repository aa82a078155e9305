// Names of files that never leave this machine: what desktops and editors scatter. Such a file
// lives in the staging area until it is removed, or renamed to an ordinary name.

/**
 * Left by file managers, editors and libfuse. Not among them: anything that a user could mean to
 * keep.
 */
export const LOCAL_ONLY = [
  '.fuse_hidden*',
  '.DS_Store',
  '._*',
  'Thumbs.db',
  'desktop.ini',
  '.directory',
  '.~lock.*#',
  '.*.sw[a-p]',
  '.#*',
  '.nfs????????????????????????',
]

/** Shell patterns with `*`, `?` and `[…]`, for whole names. */
export function localOnlyMatcher(globs: readonly string[]): (name: string) => boolean {
  const expression = new RegExp(`^(?:${globs.map(toRegExp).join('|')})$`, 'su')
  return globs.length === 0 ? () => false : (name) => expression.test(name)
}

function toRegExp(glob: string): string {
  return glob.replace(/\[!?[^\]]+\]|[\s\S]/gu, (part) => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    if (part.length > 1 && part.startsWith('['))
      return part.replace(/^\[!/u, '[^').replaceAll('\\', '\\\\')
    return part.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&')
  })
}
