// Breaks comments that are longer than 100 columns, which the formatter leaves alone. Called with
// files by `scripts/lint --fix`. Only paragraphs with such a line change: from there to their end.
import { readFileSync, writeFileSync } from 'node:fs'

const COLUMNS = 100
/** `// text`, ` * text`; not a line of code with a comment behind it. */
const LINE = /^(?<lead>\s*(?:\/\/|\*) )(?<text>\S.*)$/
const ONE_LINER = /^(?<indent>\s*)\/\*\* (?<text>.*) \*\/$/
/** Such a line keeps to itself: a list, a table, a tag, code. */
const OWN_LINE = /^(?:[-*|@#>]|\d+\.|`{3})/

function wrap(text: string, lead: string): string[] {
  const lines: string[] = []
  let line = lead
  for (const word of text.split(/\s+/)) {
    if (line !== lead && line.length + word.length >= COLUMNS) {
      lines.push(line.trimEnd())
      line = lead
    }
    line += `${word} `
  }
  return [...lines, line.trimEnd()]
}

/** `/** text *\/` that is too long becomes a block of lines. */
function openUp(line: string): string[] {
  const { indent = '', text = '' } = ONE_LINER.exec(line)?.groups ?? {}
  if (text === '' || line.length <= COLUMNS) return [line]
  return [`${indent}/**`, ...wrap(text, `${indent} * `), `${indent} */`]
}

function wrapComments(lines: readonly string[]): string[] {
  const wrapped: string[] = []
  for (let index = 0; index < lines.length; ) {
    const line = lines[index] ?? ''
    const { lead, text } = LINE.exec(line)?.groups ?? {}
    index += 1
    if (lead === undefined || text === undefined || line.length <= COLUMNS) {
      wrapped.push(line)
      continue
    }
    const words = [text]
    for (; index < lines.length; index += 1) {
      const next = LINE.exec(lines[index] ?? '')?.groups
      if (next?.lead !== lead || OWN_LINE.test(next.text ?? '')) break
      words.push(next.text ?? '')
    }
    wrapped.push(...wrap(words.join(' '), lead))
  }
  return wrapped
}

for (const file of process.argv.slice(2)) {
  const before = readFileSync(file, 'utf8')
  const after = wrapComments(before.split('\n').flatMap(openUp)).join('\n')
  if (after !== before) writeFileSync(file, after)
}
