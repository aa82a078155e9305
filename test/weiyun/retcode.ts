// The service's numbers, one of each row of the notes (errors 3 to 7) that means something of its
// own.
import t from 'tap'
import { dataErrorCodeOf } from '../../src/weiyun/classic/retcode.ts'
import { FAILURES } from '../../src/weiyun/index.ts'
import { errorCodeOf } from '../../src/weiyun/retcode.ts'

const single = { isBatch: false }

for (const [ret, errno, retry] of [
  [1000, 'EIO', true],
  [1008, 'ENOTSUP', false],
  [1013, 'EIO', true],
  [1016, 'EPERM', false],
  [1019, 'ENOENT', false],
  [1020, 'ENOENT', false],
  [1021, 'EEXIST', false],
  [1023, 'EIO', true],
  [1024, 'EACCES', false],
  [1028, 'EDQUOT', false],
  [1029, 'EFBIG', false],
  [1051, 'EEXIST', false],
  [1052, 'EIO', false],
  [1053, 'ENOSPC', false],
  [1054, 'EPERM', false],
  [1058, 'ESTALE', false],
  [1063, 'ENOTEMPTY', false],
  [1080, 'ENAMETOOLONG', false],
  [1082, 'EIO', true],
  [1083, 'ENOSPC', false],
  [1088, 'EINVAL', false],
  [1115, 'EIO', true],
  [1121, 'ENOENT', false],
  [1126, 'EFBIG', false],
  [1127, 'EDQUOT', false],
  [1137, 'EACCES', false],
  [1915, 'EACCES', false],
  [190011, 'EACCES', false],
  [190012, 'ENOTSUP', false],
  [190013, 'EINVAL', false],
  [190034, 'EIO', false],
  [190041, 'EIO', true],
  [190049, 'EPERM', false],
  [190051, 'EACCES', false],
  [190054, 'EIO', true],
  [190064, 'E2BIG', false],
  [190065, 'EACCES', false],
  [190067, 'EPERM', false],
  [199009, 'EPERM', false],
  [199010, 'EACCES', false],
  [199012, 'E2BIG', false],
  [10603, 'EIO', true],
  [50000, 'EIO', true],
  [-3000, 'EACCES', false],
  [-6014, 'ENOSPC', false],
  [-89012, 'EIO', true],
  [117404, 'EINVAL', false],
  [987654, 'EIO', true],
] as const) {
  const code = errorCodeOf(ret, single)
  t.strictSame(FAILURES[code], { errno, retry }, `${ret} is ${code}`)
}

t.equal(errorCodeOf(1086, { isBatch: true }), 'BATCH_TOO_LARGE')
t.equal(errorCodeOf(1086, single), 'QUOTA', 'the same number, elsewhere')

t.equal(dataErrorCodeOf(-29120), 'SERVER')
t.equal(dataErrorCodeOf(38020), 'RESTART_TRANSFER')
t.equal(dataErrorCodeOf(7005), 'NOT_FOUND')
