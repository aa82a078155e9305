// The service's own words for "no": result codes by name, and the error that carries one from
// wherever a request is judged to the dialect that writes the reply.

/** Result codes this service gives, named by what went wrong (errors.md, sections 3 and 5 to 8). */
export const RET = {
  OK: 0,
  BAD_FORMAT: 1017,
  LIST_UNCHANGED: 1018,
  NO_DIR: 1019,
  NO_FILE: 1020,
  CLIENT_KEY: 1024,
  NO_PARENT: 1026,
  UPLOAD_INTO_ROOT: 1027,
  TOO_MANY_ENTRIES: 1028,
  FILE_TOO_BIG: 1029,
  NAME_TAKEN: 1051,
  INCOMPLETE: 1052,
  NO_SPACE: 1053,
  SYSTEM_DIR_DELETE: 1054,
  SYSTEM_DIR_MOVE: 1055,
  VERSION_CONFLICT: 1058,
  ROOT_QUERY: 1060,
  ROOT_MODIFY: 1061,
  ROOT_DELETE: 1062,
  NOT_EMPTY: 1063,
  SYSTEM_DIR_MODIFY: 1065,
  NAME_TOO_LONG: 1080,
  WRONG_SOURCE: 1081,
  DIR_FULL: 1083,
  BATCH_EMPTY: 1085,
  BATCH_TOO_BIG: 1086,
  BAD_NAME: 1088,
  WRONG_HASHES: 1090,
  SAME_DIR: 1111,
  MOVE_INTO_ROOT: 1112,
  MKDIR_IN_ROOT: 1116,
  NO_TARGET_DIR: 1119,
  NO_TARGET_PARENT: 1120,
  NO_SOURCE_DIR: 1121,
  SAME_NAME: 1122,
  ONLY_INSTANT: 1126,
  OTHER_ACCOUNT: 1137,
  INCOMPLETE_FILE: 3002,
  EMPTY_FILE: 3008,
  WEIXIN_EXPIRED: 20410,
  GATEWAY_BUSY: 50000,
  BAD_UIN: 190011,
  BAD_COMMAND: 190012,
  BAD_PARAMETER: 190013,
  BAD_JSON: 190034,
  BUSY: 190042,
  BAD_APPID: 190048,
  BLOCKED: 190049,
  NOT_LOGGED_IN: 190051,
  UNKNOWN_CREDENTIAL: 190061,
  TOO_MANY_ITEMS: 190064,
  NO_HEADER: 190201,
  NO_BODY: 190202,
  MISSING: 190203,
  WRONG_TYPE: 190204,
  BAD_CALLBACK: 199001,
  BAD_DIR_KEY: 199003,
  BAD_SHA: 199004,
  BAD_MD5: 199005,
  WRONG_DOMAIN: 199008,
  WRONG_REFERER: 199009,
  WRONG_G_TK: 199010,
  BAD_FILE_ID: 199011,
  OVER_LIMIT: 199012,
  DOWNLOAD_CHECK: 199013,
  FORBIDDEN: 199014,
  UPLOAD_FINISHED: -102,
  WRONG_SHA: -20001,
  BAD_UPLOAD: -44001,
  NOT_PERMITTED: -44003,
  WRONG_PIECE: -89001,
  CHANNEL_CLOSED: -89012,
} as const

/** A request that this service answers with a result code instead of doing it. */
export class Refusal extends Error {
  readonly ret: number

  /** @param reason goes into the request journal only, so it must hold no secret. */
  constructor(ret: number, reason: string) {
    super(reason)
    this.name = 'Refusal'
    this.ret = ret
  }
}
