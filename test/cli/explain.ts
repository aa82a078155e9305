import t from 'tap'
import { StateError } from '../../src/cache/state.ts'
import { CliError, EXIT } from '../../src/cli/exit.ts'
import { explain } from '../../src/cli/explain.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'

t.test('failures that a user can understand have no stack', async (t) => {
  t.same(explain(new CliError(EXIT.USAGE, 'wrong')), { message: 'wrong', exitCode: 64 })
  t.match(explain(new WeiyunError('SESSION_EXPIRED', 'ret 190051')), {
    exitCode: EXIT.SESSION,
    message: /login/,
  })
  t.match(explain(new WeiyunError('UNREACHABLE', 'no route')), {
    message: /^the service cannot be reached \(no route\): check the network/,
    exitCode: EXIT.UNAVAILABLE,
  })
  t.match(explain(new StateError('state.db was written by a newer version (9)')), {
    message: /newer version \(9\).*: use that version/,
    exitCode: EXIT.CONFIG,
  })
  const full = Object.assign(new Error('disk full'), { code: 'ENOSPC' })
  t.same(explain(full), { message: 'disk full', exitCode: EXIT.FAILURE })
})

t.test('others are bugs', async (t) => {
  t.match(explain(new TypeError('x is undefined')), {
    exitCode: EXIT.SOFTWARE,
    message: /^this is a bug: TypeError: x is undefined\n {4}at /,
  })
  const assertion = Object.assign(new Error('no'), { code: 'ERR_ASSERTION' })
  t.equal(explain(assertion).exitCode, EXIT.SOFTWARE)
  t.match(explain('text'), { exitCode: EXIT.SOFTWARE, message: 'this is a bug: text' })
})
