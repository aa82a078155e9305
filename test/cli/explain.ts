import t from 'tap'
import { CliError, EXIT } from '../../src/cli/exit.ts'
import { explain } from '../../src/cli/explain.ts'
import { WeiyunError } from '../../src/weiyun/index.ts'

t.test('failures that a user can understand have no stack', async (t) => {
  t.same(explain(new CliError(EXIT.USAGE, 'wrong')), { message: 'wrong', exitCode: 64 })
  t.match(explain(new WeiyunError('SESSION_EXPIRED', 'ret 190051')), {
    exitCode: EXIT.SESSION,
    message: /login/,
  })
  t.same(explain(new WeiyunError('UNREACHABLE', 'no route')), {
    message: 'no route',
    exitCode: EXIT.UNAVAILABLE,
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
