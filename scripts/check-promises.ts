// Every promise in native-notes/semantics.md names the test that holds it: `test/FILE.ts` "title".
// Fails for a promise without one, and for a test that is not there (any more).
import { readFile } from 'node:fs/promises'

const NOTE = 'native-notes/semantics.md'
const TEST = /`(test\/[^`]+\.ts)` "([^"]+)"/gu

const problems: string[] = []
const lines = (await readFile(NOTE, 'utf8')).split('\n')
for (const [index, line] of lines.entries()) {
  if (!line.startsWith('- ')) continue
  const tests = [...promiseAt(index).matchAll(TEST)]
  if (tests.length === 0) problems.push(`${NOTE}:${index + 1}: a promise without a test`)
  for (const [, file = '', title = ''] of tests) {
    const source = await readFile(file, 'utf8').catch(() => undefined)
    if (source === undefined) problems.push(`${NOTE}:${index + 1}: ${file} does not exist`)
    else if (!source.includes(title))
      problems.push(`${NOTE}:${index + 1}: ${file} has no test "${title}"`)
  }
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0

/** The list item that begins in a line, to the next item or empty line. */
function promiseAt(start: number): string {
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => !line.startsWith('  '))
  return [lines[start], ...(end < 0 ? rest : rest.slice(0, end))].join('\n')
}
