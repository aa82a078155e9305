// The service's numbers → our words: storage, password, gateway, CGI and web upload, which all
// generations share (protocol notes, errors 3-7). What a number means for one command only is
// decided there: the sets at the end name those cases.
import type { ErrorCode } from './errors.ts'

/** Numbers with the same consequence; anything in no row is SERVER. */
const ROWS: ReadonlyArray<readonly [ErrorCode, readonly number[]]> = [
  ['NOT_FOUND', [1019, 1020, 1026, 1117, 1119, 1120, 1121, 114200]],
  ['EXISTS', [1021, 1022, 1051, 1103]],
  ['NOT_EMPTY', [1063]],
  ['STALE', [1058, 1059, 190066]],
  [
    'SESSION_EXPIRED',
    [1024, 1118, 1137, 1915, 4000, 10000, 190011, 190050, 190051, 190061, 190062, 190063, 190065],
  ],
  ['SESSION_EXPIRED', [199010, 20410, 20418, -3000, 117402]],
  // Accounts, independent password, system directories, safe box.
  [
    'FORBIDDEN',
    [1016, 1027, 1030, 1031, 1032, 1033, 1034, 1035, 1054, 1055, 1056, 1060, 1061, 1062],
  ],
  ['FORBIDDEN', [1065, 1073, 1112, 1113, 1116, 1123, 1125, 1301, 1302]],
  ['FORBIDDEN', [1901, 1902, 1905, 1906, 1908, 1910, 1911, 1912, 1913, 1914]],
  ['FORBIDDEN', [190040, 190052, 190053, 190072, 190074, 199008, 199009, 199013, 199014]],
  ['FORBIDDEN', [100028, 100029, 100035, 100037, 100040, 25700, 25701, 25702, -44003, 117405]],
  ['FORBIDDEN', [156318, 156336]],
  ['BLOCKED_CONTENT', [1076, 190049, 190067, 100034, 100036, 10408, 114503]],
  ['NO_SPACE', [1053, 22081, 22111, 22121, 22131, -6014]],
  ['QUOTA', [1028, 1127, 117401]],
  ['DIR_FULL', [1083]],
  ['TOO_LARGE', [1029, 1070, 1126]],
  ['NAME_TOO_LONG', [1080, -44010]],
  ['NAME_INVALID', [1088, 1110, 100027]],
  [
    'INVALID',
    [1085, 190013, 190201, 190202, 190203, 190204, 199003, 199004, 199005, 199011, 100001, 100002],
  ],
  ['INVALID', [100003, 100004, 100005, 100006, 100007, 100008, 100009, 100010, 100011, -44001]],
  ['INVALID', [117403, 117404, 210009, 210010, 210011, 210012]],
  ['UNSUPPORTED', [1008, 190012]],
  ['BATCH_TOO_LARGE', [1086, 190064, 199012, 22073, 22077, 22078, 22203]],
  ['RESTART_TRANSFER', [1057, 1090, 1101, -89012, -89001, -20001]],
  ['THROTTLED', [190054, 100038, 13004, 50000, -90106]],
  // EIO in the notes, and not worth repeating.
  ['REFUSED', [1015, 1017, 1052, 1064, 1066, 1067, 1068, 1069, 1074, 1075, 1081, 1091, 1092, 1093]],
  ['REFUSED', [1094, 1095, 1097, 1098, 1099, 1100, 1102, 1114, 1903, 1904, 1909, 3002, 3008]],
  ['REFUSED', [190030, 190031, 190032, 190033, 190034, 190035, 190039, 190047, 190048]],
  ['REFUSED', [199001, 199002, 199007, 100012, 100016, 100017, 100019, 114201]],
]

const CODES = new Map(ROWS.flatMap(([code, rets]) => rets.map((ret) => [ret, code] as const)))

/**
 * "Over the limit": of a batch, or for anything else of the account's number of files (errors 10).
 */
const RET_OVER_LIMIT = 1086

/**
 * What a non-zero result number means. Unknown numbers are SERVER: worth asking again, a few
 * times.
 */
export function errorCodeOf(ret: number, { isBatch }: { isBatch: boolean }): ErrorCode {
  if (ret === RET_OVER_LIMIT && !isBatch) return 'QUOTA'
  return CODES.get(ret) ?? 'SERVER'
}

/** "Nothing new since the stamp that you sent" (errors 3). */
export const RETS_UNCHANGED: ReadonlySet<number> = new Set([1010, 1018])

/** A move or rename that changes nothing: done (errors 3). */
export const RETS_ALREADY_THERE: ReadonlySet<number> = new Set([1111, 1122])

/** An account that never used Weiyun, or QQ's disk before it (errors 3). */
const RETS_NO_DRIVE: ReadonlySet<number> = new Set([1016, 1301, 1302])

/** What a user is told of a refusal of `what`, a command. */
export function refusalMessage(what: string, ret: number): string {
  if (RETS_NO_DRIVE.has(ret)) return `this account has no Weiyun drive (${what}: ${ret})`
  return `${what}: the service answered ${ret}`
}
