// The calls of POSIX that have a meaning here, in the manner of pjdfstest: what each does, and what
// it leaves alone. Elsewhere: refusals (errnos.ts), names (names.ts), files that are removed or
// renamed while open (open-files.ts), mmap and locks (applications.ts), sparse edits (edit.ts).
import { constants } from 'node:fs'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import t, { type Test } from 'tap'
import { errno, mountTest, names, Rig, text } from '../fixtures/mount.ts'

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } =
  constants
const LONG_AGO = 1_000_000_000

mountTest(t, 'calls that work', async (t) => {
  const rig = await Rig.open(t, { args: ['--write-back', '1h'] })
  const at = (...path: string[]) => rig.path(...path)
  /** In a directory of its own, which goes again. */
  const test = (name: string, work: (t: Test) => Promise<void>) =>
    t.test(name, async (t) => {
      await rig.run('umask 022; mkdir here')
      await work(t)
      await rm(at('here'), { recursive: true })
    })
  const here = (...path: string[]) => at('here', ...path)

  await test('open: O_CREAT, O_EXCL, O_TRUNC', async (t) => {
    const made = await open(here('f'), O_RDWR | O_CREAT | O_EXCL, 0o640)
    await made.write('content')
    await made.close()
    t.equal((await stat(here('f'))).mode & 0o7777, 0o640 & ~process.umask())
    const again = await open(here('f'), O_RDWR | O_CREAT, 0o600)
    t.equal((await again.readFile()).toString(), 'content', 'O_CREAT leaves what is there')
    t.equal((await again.stat()).mode & 0o7777, 0o640 & ~process.umask(), '... and its mode')
    await again.close()
    await (await open(here('f'), O_WRONLY | O_TRUNC)).close()
    t.equal((await stat(here('f'))).size, 0)
    t.equal(await errno(open(here('none'), O_RDWR)), 'ENOENT')
  })

  await test('open: O_APPEND writes at the end, wherever that is by now', async (t) => {
    const one = await open(here('f'), O_WRONLY | O_CREAT | O_APPEND)
    const other = await open(here('f'), O_WRONLY | O_APPEND)
    await one.write('one ')
    await other.write('two ')
    await one.write('three', 0)
    await one.close()
    await other.close()
    t.equal(await text(here('f')), 'one two three')
  })

  await test('open: O_DIRECTORY and O_NOFOLLOW', async (t) => {
    await writeFile(here('f'), '')
    t.equal(await errno(open(here('f'), O_RDONLY | O_DIRECTORY)), 'ENOTDIR')
    await (await open(here('f'), O_RDONLY | O_NOFOLLOW)).close()
    await (await open(here(), O_RDONLY | O_DIRECTORY)).close()
    t.equal(await errno(open(here(), O_RDWR)), 'EISDIR')
    t.equal(await errno(open(`${here('f')}/`, O_RDONLY)), 'ENOTDIR', 'a slash behind a file')
  })

  await test('read and write: the end of a file, and beyond it', async (t) => {
    const handle = await open(here('f'), 'w+')
    await handle.write('abc', 0)
    await handle.write('z', 5000)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(9000), 0, 9000, 0)
    const wanted = Buffer.alloc(5001)
    wanted.write('abc')
    wanted.write('z', 5000)
    t.ok(buffer.subarray(0, bytesRead).equals(wanted), 'zeros in between')
    t.equal((await handle.read(Buffer.alloc(10), 0, 10, 5001)).bytesRead, 0)
    t.equal((await handle.read(Buffer.alloc(10), 0, 10, 1_000_000)).bytesRead, 0)
    t.equal((await handle.stat()).size, 5001)
    await handle.close()
  })

  await test('truncate and ftruncate: cut, and zeros where it grows', async (t) => {
    await writeFile(here('f'), 'x'.repeat(10_000))
    await truncate(here('f'), 5)
    await truncate(here('f'), 8)
    t.same(await readFile(here('f')), Buffer.from('xxxxx\0\0\0'), 'no old byte comes back')
    const handle = await open(here('f'), 'r+')
    await handle.truncate(2)
    await handle.truncate(100_000)
    t.equal((await handle.stat()).size, 100_000)
    await handle.close()
    const grown = await readFile(here('f'))
    t.ok(grown.equals(Buffer.concat([Buffer.from('xx'), Buffer.alloc(99_998)])))
    t.equal(await errno(truncate(here('none'), 0)), 'ENOENT')
  })

  await test('mkdir and rmdir', async (t) => {
    await mkdir(here('d'), 0o750)
    const { mode, nlink } = await stat(here('d'))
    t.equal(mode & 0o7777, 0o750 & ~process.umask())
    t.ok(nlink >= 1)
    t.same(await readdir(here('d')), [])
    t.equal(await errno(mkdir(`${here('d')}/`)), 'EEXIST')
    t.equal(await errno(rmdir(`${here('d')}/.`)), 'EINVAL')
    t.equal(await errno(rmdir(`${here('d')}/..`)), 'ENOTEMPTY')
    await mkdir(here('d', 'e'))
    t.equal(await errno(rmdir(here('d'))), 'ENOTEMPTY')
    await rmdir(here('d', 'e'))
    await rmdir(here('d'))
    t.equal(await errno(stat(here('d'))), 'ENOENT')
    t.equal(await errno(rmdir(here('d'))), 'ENOENT')
  })

  await test('rename: what it replaces, and what stays the same', async (t) => {
    await writeFile(here('a'), 'a')
    await writeFile(here('b'), 'b')
    const { ino } = await stat(here('a'))
    await rename(here('a'), here('b'))
    t.equal((await stat(here('b'))).ino, ino)
    t.equal(await text(here('b')), 'a')
    t.same(await names(here()), ['b'])
    await rename(here('b'), here('b'))
    t.equal(await text(here('b')), 'a', 'onto itself')
    await mkdir(here('d'))
    await mkdir(here('e'))
    await writeFile(here('d', 'inside'), 'inside')
    await rename(here('d'), here('e'))
    t.same(await names(here()), ['b', 'e'], 'a directory over an empty one')
    t.equal(await text(here('e', 'inside')), 'inside')
    t.equal(await errno(rename(`${here('b')}/`, here('c'))), 'ENOTDIR')
    await rename(here('e'), here('g'))
    await rename(here('g', 'inside'), here('inside'))
    t.same(await names(here('g')), [])
    t.same(await names(here()), ['b', 'g', 'inside'])
  })

  await test('unlink: the name goes, and the mtime of its directory moves', async (t) => {
    await writeFile(here('f'), 'x')
    await utimes(here(), LONG_AGO, LONG_AGO)
    await unlink(here('f'))
    t.equal(await errno(stat(here('f'))), 'ENOENT')
    t.equal(await errno(unlink(here('f'))), 'ENOENT')
    t.ok((await stat(here())).mtimeMs > LONG_AGO * 1000)
  })

  await test('times: set as told, moved by writing, left by reading', async (t) => {
    await writeFile(here('f'), 'x')
    await utimes(here('f'), LONG_AGO + 0.25, LONG_AGO + 1.5)
    const set = await stat(here('f'))
    t.equal(set.atimeMs, LONG_AGO * 1000 + 250)
    t.equal(set.mtimeMs, LONG_AGO * 1000 + 1500)
    await rig.run('touch -a -d @5 here/f')
    t.equal((await stat(here('f'))).mtimeMs, set.mtimeMs, 'one of the two')
    await readFile(here('f'))
    await chmod(here('f'), 0o600)
    await rename(here('f'), here('g'))
    t.equal((await stat(here('g'))).mtimeMs, set.mtimeMs)
    await writeFile(here('g'), 'y', { flag: 'a' })
    t.ok((await stat(here('g'))).mtimeMs > set.mtimeMs)
    await utimes(here('g'), LONG_AGO, LONG_AGO)
    await truncate(here('g'), 0)
    t.ok((await stat(here('g'))).mtimeMs > LONG_AGO * 1000)
    await utimes(here(), LONG_AGO, LONG_AGO)
    t.equal((await stat(here())).mtimeMs, LONG_AGO * 1000)
    await mkdir(here('d'))
    t.ok((await stat(here())).mtimeMs > LONG_AGO * 1000, 'a new entry moves that of its directory')
  })

  await test('chmod and chown', async (t) => {
    await writeFile(here('f'), 'x')
    for (const mode of [0o000, 0o777, 0o4755, 0o600]) {
      await chmod(here('f'), mode)
      t.equal((await stat(here('f'))).mode & 0o7777, mode)
    }
    await chmod(here(), 0o700)
    t.equal((await stat(here())).mode, 0o040700)
    await chown(here('f'), 12, 34)
    const { uid, gid } = await stat(here('f'))
    t.same([uid, gid], [12, 34])
    await rig.run('chgrp 56 here/f')
    t.same([(await stat(here('f'))).uid, (await stat(here('f'))).gid], [12, 56], 'one of the two')
    t.equal(await errno(chmod(here('none'), 0o600)), 'ENOENT')
  })

  await test('what stat says of an entry is the same everywhere', async (t) => {
    await writeFile(here('f'), 'x'.repeat(1000))
    const handle = await open(here('f'))
    const [byPath, byHandle, byLink] = [
      await stat(here('f')),
      await handle.stat(),
      await lstat(here('f')),
    ]
    await handle.close()
    for (const one of [byHandle, byLink])
      t.same([one.ino, one.size, one.mode, one.nlink], [byPath.ino, byPath.size, byPath.mode, 1])
    t.ok(byPath.blocks * 512 >= 1000)
    t.equal(await rig.run('ls -ai here | grep -c .'), '3\n', '. and .. are there')
    t.equal(await rig.run('find here -type f'), 'here/f\n', 'the kind of an entry is known')
  })

  await test('statvfs', async (t) => {
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(at())
    t.ok(bsize >= 512 && blocks > 0 && bfree <= blocks && bavail <= bfree && ffree <= files)
    t.match(await rig.run('stat -f -c "%l" .'), /^\d+\n$/)
  })

  await test('a name of more than 255 bytes, wherever it is', async (t) => {
    const long = 'x'.repeat(256)
    t.equal(await errno(stat(here(long))), 'ENAMETOOLONG')
    t.equal(await errno(stat(here(long, 'below'))), 'ENAMETOOLONG')
    t.equal(await errno(mkdir(here(long))), 'ENAMETOOLONG')
    await writeFile(here('f'), '')
    t.equal(await errno(rename(here('f'), here(long))), 'ENAMETOOLONG')
    t.same(await names(here()), ['f'])
  })

  await test('attributes of users', async (t) => {
    await rig.run(`touch here/f here/g
      setfattr -n user.one -v 1 here/f; setfattr -n user.empty here/f
      setfattr -n user.one -v 2 here/f; setfattr -n user.dir -v d here`)
    const own =
      'getfattr --absolute-names -d -m "^user[.][^w]" "$1" | grep -v "^#" | grep . || true'
    t.equal(await rig.run(own, 'here/f'), 'user.empty=""\nuser.one="2"\n')
    t.equal(await rig.run(own, 'here/g'), '')
    t.equal(await rig.run(own, 'here'), 'user.dir="d"\n')
    await rig.run('mv here/f here/h; setfattr -x user.empty here/h')
    t.equal(await rig.run(own, 'here/h'), 'user.one="2"\n', 'they go with the file')
    await rig.run('setfattr -n user.big -v "$(head -c 4000 /dev/zero | tr "\\0" x)" here/h')
    t.equal(await rig.run('getfattr --only-values -n user.big here/h | wc -c'), '4000\n')
  })

  await test('a file without holes: SEEK_DATA finds it all, SEEK_HOLE its end', async (t) => {
    await rig.run('head -c 100000 /dev/zero > here/f')
    const seek = `perl -e 'open(my $f, "<", $ARGV[0]) or die;
      my $at = sysseek($f, $ARGV[1], $ARGV[2]);
      print defined $at ? $at + 0 : $!{ENXIO} ? "ENXIO" : $!' here/f "$1" "$2"`
    const [data, hole] = ['3', '4']
    t.equal(await rig.run(seek, '5000', data), '5000')
    t.equal(await rig.run(seek, '5000', hole), '100000')
    t.equal(await rig.run(seek, '100000', data), 'ENXIO')
  })

  await test('fallocate is refused, and changes nothing', async (t) => {
    await writeFile(here('f'), 'content')
    const refused = await rig.sh('fallocate -l 1M here/f')
    t.match(refused, { code: 1, stderr: 'not supported' })
    t.equal(await text(here('f')), 'content')
  })

  await test('copy_file_range: parts, and within a file', async (t) => {
    await writeFile(here('f'), '0123456789')
    const copy = `perl -e 'require "syscall.ph"; my ($from, $to, $in, $out, $count) = @ARGV;
      open(my $r, "+<", $from) or die; open(my $w, "+<", $to) or die;
      my ($i, $o) = (pack("q", $in), pack("q", $out));
      my $done = syscall(&SYS_copy_file_range, fileno($r), $i, fileno($w), $o, 0 + $count, 0);
      print $done' "$@"`
    await writeFile(here('g'), 'abcdefghij')
    t.equal(await rig.run(copy, 'here/f', 'here/g', '2', '4', '3'), '3')
    t.equal(await text(here('g')), 'abcd234hij')
    t.equal(await rig.run(copy, 'here/f', 'here/g', '8', '10', '5'), '2', 'as far as there is')
    t.equal(await text(here('g')), 'abcd234hij89')
    t.equal(await rig.run(copy, 'here/f', 'here/f', '0', '5', '3'), '3')
    t.equal(await text(here('f')), '0123401289')
  })

  await test('a directory that is removed under somebody who stands in it', async (t) => {
    const script = 'mkdir here/d; cd here/d; rmdir ../d; touch x 2>/dev/null && echo made; ls'
    t.match(await rig.sh(script), { stdout: '' })
    t.same(await names(here()), [])
  })

  await test('O_SYNC and O_DSYNC', async (t) => {
    const handle = await open(here('f'), O_WRONLY | O_CREAT | constants.O_SYNC)
    await handle.write('safe')
    await handle.close()
    t.equal(
      await rig.run('echo x | dd of=here/g oflag=dsync status=none; cat here/f here/g'),
      'safex\n',
    )
  })
})
