// The command that announces an upload, by hash or for one form (classic.md, 6a and 6b).
import { decimal, md5Hex, oneOf, orEmpty, record, sha1Hex, text } from '../fields.ts'
import { checkName } from '../names.ts'
import { RET, Refusal } from '../refusal.ts'
import { FORM_SIZE_MAX } from '../store/uploads.ts'
import { CLASSIC_SIZE_MAX, type Command, command, place } from './command.ts'

const fileUpload = command(
  'GET',
  record({
    ...place,
    upload_type: oneOf([0, 1]),
    file_md5: orEmpty(md5Hex),
    file_sha: orEmpty(sha1Hex),
    file_size: decimal,
    file_attr: record({ file_name: text }),
  }),
  ({ store: { tree, uploads }, account, call, nowMs }, body) => {
    const { file_md5: md5, file_sha: sha, file_size: size } = body
    const { file_name: name } = body.file_attr
    checkHashes(body.upload_type, sha, md5, size)
    checkName(name, account.limits.nameCharsMax)
    const dir = tree.dirBelow(account, body.ppdir_key, body.pdir_key)
    const wanted = { name, size, sha, md5, onClash: 'rename' } as const
    const { upload, entry } = uploads.announce(account, dir, wanted, nowMs)
    return {
      file_exist: upload.done === 1,
      file_id: entry.id,
      file_name: entry.name,
      file_ver: String(entry.ver),
      file_key: upload.fileKey,
      upload_csum: upload.checkKey,
      upload_svr_host: call.self.host,
      upload_svr_port: call.self.port,
    }
  },
  '/upload.fcg',
)

export const UPLOADS: Readonly<Record<string, Command>> = { file_upload: fileUpload }

/** An upload either carries both hashes (type 0) or is sent as one form (type 1). */
export function checkHashes(type: 0 | 1, sha: string, md5: string, size: number): void {
  if (size > CLASSIC_SIZE_MAX) throw new Refusal(RET.FILE_TOO_BIG, 'over max_fz')
  if (type === 0) {
    if (sha === '') throw new Refusal(RET.BAD_SHA, 'upload by hash without SHA-1')
    if (md5 === '') throw new Refusal(RET.BAD_MD5, 'upload by hash without MD5')
    return
  }
  if (sha !== '' || md5 !== '') throw new Refusal(RET.BAD_PARAMETER, 'form upload with hashes')
  if (size > FORM_SIZE_MAX) throw new Refusal(RET.ONLY_INSTANT, 'too big for a form')
}
