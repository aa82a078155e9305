// What the linter off the shelf cannot know: which module may import which, and what is banned here
// and why. Prints one line for each violation and exits 1 if there is any. Called by scripts/lint.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** Imports point one way: each directory of src and the others that it may reach. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  cache: ['base'],
  weiyun: ['base'],
  vfs: ['cache', 'weiyun', 'base'],
  fuse: ['vfs', 'cache', 'weiyun', 'base'],
  standin: ['base'],
  cli: ['fuse', 'vfs', 'cache', 'weiyun', 'standin', 'base'],
}

/**
 * A package with one way in: nobody else calls it (types may be shared), so that it can be
 * replaced.
 */
const FRONT_DOORS: Record<string, string> = {
  'fuse-native': 'src/fuse/mount.ts',
  undici: 'src/weiyun/transport.ts',
  pino: 'src/base/log.ts',
  'pino-pretty': 'src/base/log.ts',
}

interface Ban {
  readonly what: RegExp
  readonly why: string
  readonly allowed?: (file: string) => boolean
  /** Holds for comments too, not only for code. */
  readonly everywhere?: boolean
}

/** A thread that only hashes: nobody waits for its event loop. */
const HASH_THREAD = 'src/cache/hash-worker.ts'

const aboveCli = (file: string): boolean => layerOf(file) === undefined || layerOf(file) === 'cli'

const BANS: readonly Ban[] = [
  {
    what: /\|\s*0(?![\dxob.])/,
    why: 'bitwise or cuts a size to 32 bits; use Math.trunc',
    // A hash modulo 2^32.
    allowed: (file) => file === 'src/weiyun/classic/token.ts',
  },
  {
    what: /\b[a-z]\w*Sync\(/,
    why: 'a blocking call stops the event loop that serves the kernel; use node:fs/promises',
    allowed: (file) => aboveCli(file) || file === HASH_THREAD,
  },
  {
    what: /\bprocess\.(?:exit|abort)\(/,
    why: 'only the command line ends the process; throw instead',
    allowed: aboveCli,
  },
  {
    what: /\bconsole\.\w+\(|\bprocess\.std(?:out|err)\b/,
    why: 'only the command line prints to the user; take a Logger',
    allowed: aboveCli,
  },
  { what: /(?:^|[\s'"`(])\/(?:work|farm)\//, why: 'a path of one machine', everywhere: true },
  { what: /^.{101,}$/u, why: 'longer than 100 columns', everywhere: true },
]

/** Regex-deep is enough: an import is on one line or ends with `from '…'` on its last. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g

function layerOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1]
}

function checkImport(file: string, specifier: string, line: string): string | undefined {
  const layer = layerOf(file)
  if (layer === undefined) return undefined
  if (!specifier.startsWith('.')) {
    const door = FRONT_DOORS[specifier]
    const free = door === undefined || door === file || line.startsWith('import type')
    return free ? undefined : `${specifier} only in ${door}`
  }
  const target = normalize(join(dirname(file), specifier))
  const targetLayer = layerOf(target)
  if (targetLayer === layer) return undefined
  if (targetLayer === undefined) return `${specifier} leaves src`
  if (!MAY_IMPORT[layer]?.includes(targetLayer)) return `${layer} may not import ${targetLayer}`
  if (targetLayer === 'weiyun' && target !== 'src/weiyun/index.ts') {
    return `${specifier}: outside src/weiyun only its index.ts`
  }
  return undefined
}

function* violations(file: string, text: string): Generator<string> {
  const layer = layerOf(file) ?? 'base'
  if (!(layer in MAY_IMPORT)) yield `1: src/${layer} has no row in MAY_IMPORT`
  for (const [index, line] of text.split('\n').entries()) {
    for (const [, specifier = ''] of line.matchAll(IMPORT)) {
      const wrong = checkImport(file, specifier, line)
      if (wrong !== undefined) yield `${index + 1}: ${wrong}`
    }
    const isComment = /^\s*(?:\/\/|\/?\*)/.test(line)
    for (const { what, why, allowed, everywhere } of BANS) {
      if (isComment && everywhere !== true) continue
      if (allowed?.(file) !== true && what.test(line)) yield `${index + 1}: ${why}`
    }
  }
}

let count = 0
for (const file of globSync('{src,test,scripts}/**/*.ts').sort()) {
  for (const violation of violations(file, readFileSync(file, 'utf8'))) {
    console.error(`${file}:${violation}`)
    count += 1
  }
}
if (count > 0) process.exit(1)
