import t from 'tap'
import { CliError, EXIT } from '../../src/cli/exit.ts'
import { parseMountOptions } from '../../src/cli/mount-options.ts'

t.test('options of ours, spelt with either dash', async (t) => {
  t.same(parseMountOptions(['cache-size=1G,dir_ttl=5s', 'uid=1000']), {
    cacheSize: ['1G'],
    dirTtlMs: ['5s'],
    uid: ['1000'],
  })
  t.same(parseMountOptions(['ro,allow_other']), { readOnly: [''], allowOther: [''] })
  t.same(parseMountOptions(['local-only=*.tmp,local-only=~*']), { localOnly: ['*.tmp', '~*'] })
})

t.test('a comma in a value is escaped', async (t) => {
  t.same(parseMountOptions(['session=/a\\,b/s.json,ro']), {
    session: ['/a,b/s.json'],
    readOnly: [''],
  })
})

t.test('what mount(8) and systemd say to themselves is passed over', async (t) => {
  const line =
    'defaults,rw,noauto,user,nouser,users,_netdev,nofail,noexec,nosuid,nodev,dev,suid,exec,' +
    'relatime,noatime,lazytime,sync,async,x-systemd.automount,x-gvfs-show,comment=x,' +
    'fsname=a,subtype=b,'
  t.same(parseMountOptions([line]), {})
})

t.test('others are errors', async (t) => {
  for (const name of ['frobnicate', 'frobnicate=1', 'rox', 'cachesize=1G']) {
    const found = t.throws(() => parseMountOptions([name]), CliError) as CliError | false
    t.match(found, { exitCode: EXIT.USAGE, message: `-o: unknown option '${name.split('=')[0]}'` })
  }
})
