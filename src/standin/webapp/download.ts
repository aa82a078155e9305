// The command that finds files' bytes: a URL and a cookie for each (webapp.md, section 6).
// ../data/download.ts serves them.
import { dirKey, fileId, list, oneOf, record } from '../fields.ts'
import { RET, Refusal } from '../refusal.ts'
import type { Entry } from '../store/entries.ts'
import { LINK_COOKIE } from '../store/links.ts'
import { type Command, type Context, checkBatch, command, each } from './command.ts'
import { BATCH_DOWNLOADS_MAX } from './replies.ts'

const batchDownload = command(
  2402,
  record({
    file_list: list(record({ file_id: fileId, pdir_key: dirKey })),
    download_type: oneOf([0]),
  }),
  (context, { file_list }) => {
    const { store, account } = context
    checkBatch(0, file_list.length, { dirs: 0, files: BATCH_DOWNLOADS_MAX })
    const locate = (item: (typeof file_list)[number]) => {
      const dir = store.tree.dir(account, item.pdir_key, RET.NO_PARENT)
      const file = store.tree.file(account, dir, item.file_id)
      checkReadable(file)
      return link(context, file)
    }
    return { file_list: each(file_list, 'file_id', locate) }
  },
)

export const DOWNLOADS: Readonly<Record<string, Command>> = { DiskFileBatchDownload: batchDownload }

function checkReadable(file: Entry): void {
  if (file.complete === 0) throw new Refusal(RET.INCOMPLETE, 'the upload is not complete')
  if (file.dead === 1) throw new Refusal(RET.NO_FILE, 'dead file')
  if (file.mark === 'blocked') throw new Refusal(RET.BLOCKED, 'blocked content')
  // Which code says that a document has no bytes is not known [I].
  if (file.mark === 'document') throw new Refusal(RET.EMPTY_FILE, 'online document')
}

/** Both addresses are the same: this service has no TLS. */
function link({ store, account, call, knobs, nowMs }: Context, file: Entry): object {
  const segment = store.links.sign({
    uin: account.uin,
    file: file.id,
    sha: file.sha,
    expiresMs: nowMs + knobs.urlTtlMs,
    needs: 'cookie',
  })
  const { host, port } = call.self
  const name = encodeURIComponent(file.name)
  const url = `http://${host}:${port}/ftn_handler/${segment}/?fname=${name}`
  return {
    file_sha: file.sha,
    cookie_name: LINK_COOKIE,
    cookie_value: store.links.cookie(segment),
    download_url: url,
    https_download_url: url,
  }
}
