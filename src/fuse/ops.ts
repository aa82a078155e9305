// One short function for each FUSE operation: unpack the arguments, call Vfs, answer.
import { constants } from 'node:os'
import type Fuse from 'fuse-native'
import type { Logger } from '../base/log.ts'
import type { Opened, Stat, Timespec, Vfs } from '../vfs/vfs.ts'
import { toErrno } from './errno.ts'

/** In `utimensat`: leave the time as it is, or take that of now. */
const UTIME_OMIT = (1 << 30) - 2
const UTIME_NOW = (1 << 30) - 1

type Done<T> = (result: number, value?: T) => void

export function operations(vfs: Vfs, log: Logger): Fuse.OPERATIONS {
  /** Answers with the value of `work`, or with the errno of its failure. */
  function answer<T>(operation: string, done: Done<T>, work: () => Promise<T>): void {
    work().then(
      (value) => done(0, value),
      (error: unknown) => done(toErrno(error, operation, log)),
    )
  }
  const count = (
    operation: string,
    done: (result: number) => void,
    work: () => Promise<number>,
  ): void => {
    work().then(done, (error: unknown) => done(toErrno(error, operation, log)))
  }
  const refuse =
    (errno: number) =>
    (...args: unknown[]): void =>
      (args.at(-1) as Done<never>)(-errno)

  return {
    getattr: (path, done) => answer('getattr', done, () => vfs.getattr(path as string)),
    fgetattr: (_path, fh, done) => answer('fgetattr', done, () => vfs.getattrOf(Number(fh))),
    readdir(path, done) {
      vfs.readdir(path as string).then(
        (items) => {
          const names = ['.', '..', ...items.map((item) => item.name)]
          done(0, names, [DIR, DIR, ...items.map((item) => item.stat)])
        },
        (error: unknown) => done(toErrno(error, 'readdir', log)),
      )
    },
    // Present so that handle-based calls need no path; nothing is kept for an open directory.
    opendir: (_path, _flags, done) => done(0, 0),
    releasedir: (_path, _fh, done) => done(0),
    fsyncdir: (_path, _dataOnly, _fh, done) => done(0),
    open: (path, flags, done) =>
      answer('open', done, async () => fileInfo(await vfs.open(path, flags))),
    createWithFlags: (path, mode, flags, done) =>
      answer('create', done, async () => fileInfo(await vfs.create(path, mode, flags))),
    readBuffer: (_path, fh, length, position, done) =>
      answer('read', done, () => vfs.files.read(Number(fh), Number(position), length)),
    write: (_path, fh, bytes, length, position, done) =>
      count('write', done, async () => {
        await vfs.files.write(Number(fh), bytes.subarray(0, length), Number(position))
        return length
      }),
    truncate: (path, size, done) =>
      answer('truncate', done, () => vfs.truncate(path as string, Number(size))),
    ftruncate: (_path, fh, size, done) =>
      answer('ftruncate', done, () => vfs.files.truncate(Number(fh), Number(size))),
    flush: (_path, fh, done) => answer('flush', done, () => vfs.files.flush(Number(fh))),
    fsync: (_path, _dataOnly, fh, done) => answer('fsync', done, () => vfs.files.fsync(Number(fh))),
    release: (_path, fh, done) => answer('release', done, () => vfs.files.release(Number(fh))),
    copyFileRange: (_from, fromFh, fromOffset, _to, toFh, toOffset, length, _flags, done) =>
      count('copy_file_range', done as (result: number) => void, async () => {
        const whole = Number(fromOffset) === 0 && Number(toOffset) === 0
        const copied = whole
          ? await vfs.files.clone(Number(fromFh), Number(toFh), Number(length))
          : undefined
        // Refused so, the kernel copies through its own pages.
        return copied ?? -constants.errno.EOPNOTSUPP
      }),
    mkdir: (path, mode, done) => answer('mkdir', done, () => vfs.mkdir(path, mode)),
    rmdir: (path, done) => answer('rmdir', done, () => vfs.rmdir(path)),
    unlink: (path, done) => answer('unlink', done, () => vfs.unlink(path)),
    renameWithFlags: (from, to, flags, done) =>
      answer('rename', done, () => vfs.rename(from, to, flags)),
    statfs: (_path, done) => answer('statfs', done, () => vfs.statfs()),
    utimensWithHandle: (path, fh, atime, mtime, done) =>
      answer('utimens', done, () => vfs.utimens(path, Number(fh), timeOf(atime), timeOf(mtime))),
    chmodWithHandle: (path, fh, mode, done) =>
      answer('chmod', done, () => vfs.chmod(path, Number(fh), mode)),
    chownWithHandle: (path, fh, uid, gid, done) =>
      answer('chown', done, () => vfs.chown(path, Number(fh), uid, gid)),
    getxattr: (path, name, _position, done) =>
      answer('getxattr', done, () => vfs.getxattr(path, name)),
    listxattr: (path, done) => answer('listxattr', done, () => vfs.listxattr(path)),
    setxattr: (path, name, value, _position, flags, done) =>
      answer('setxattr', done, () => vfs.setxattr(path, name, value, flags)),
    removexattr: (path, name, done) =>
      answer('removexattr', done, () => vfs.removexattr(path, name)),
    // The drive has no place for these.
    symlink: refuse(constants.errno.EPERM),
    link: refuse(constants.errno.EPERM),
    mknod: refuse(constants.errno.EPERM),
  }
}

const DIR: Partial<Stat> = { mode: 0o040755 }

function fileInfo({ fh, keepCache, directIo }: Opened): Fuse.FileInfoResult {
  return { fd: fh, keepCache, directIO: directIo }
}

function timeOf({ seconds, nanoseconds }: Fuse.Timespec): Timespec | undefined {
  if (nanoseconds === UTIME_OMIT) return undefined
  if (nanoseconds !== UTIME_NOW) return { seconds: Number(seconds), nanoseconds }
  const now = Date.now()
  return { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1_000_000 }
}
