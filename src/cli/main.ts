#!/usr/bin/env node
// Where the process begins and ends. An old Node cannot even read the rest, so it hears of that
// first: this file has nothing that Node 12 would not understand, and loads everything else later.
const NODE_MAJOR_MIN = 24
const major = Number.parseInt(process.versions.node, 10)

// A reader that went away (`| head`) is no reason to end a mount, nor to complain.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
if (major < NODE_MAJOR_MIN) {
  const found = `Node ${process.versions.node} is too old`
  process.stderr.write(`weiyun-mount: ${found}: install Node ${NODE_MAJOR_MIN} or newer\n`)
  process.exitCode = 69
} else {
  const { keepCompiled } = await import('./compile-cache.ts')
  keepCompiled(process.env)
  const { runProgram } = await import('./program.ts')
  // Not process.exit(): what is still on its way to a pipe would be lost.
  process.exitCode = await runProgram(process.argv.slice(2))
}
// Something forgotten (a socket, a watcher) must not keep a process whose work is done.
setTimeout(() => process.exit(), 1000).unref()

export {}
