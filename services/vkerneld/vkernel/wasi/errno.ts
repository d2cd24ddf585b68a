// The error numbers of WASI preview 1, and how errors of the host become one of them.
import { Errno } from '@odonata/pmap/errno.ts';

export { Errno };

/** Ends a system call with an errno; never leaves the system call layer. */
export class WasiError extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.name = 'WasiError';
    this.errno = errno;
  }
}

export const errnoOfHostCode: Readonly<Record<string, number>> = {
  E2BIG: Errno.toobig,
  EACCES: Errno.acces,
  EAGAIN: Errno.again,
  EBADF: Errno.badf,
  EBUSY: Errno.busy,
  EDQUOT: Errno.dquot,
  EEXIST: Errno.exist,
  EFBIG: Errno.fbig,
  EILSEQ: Errno.ilseq,
  EINTR: Errno.intr,
  EINVAL: Errno.inval,
  EIO: Errno.io,
  EISDIR: Errno.isdir,
  ELOOP: Errno.loop,
  EMFILE: Errno.mfile,
  EMLINK: Errno.mlink,
  ENAMETOOLONG: Errno.nametoolong,
  ENFILE: Errno.nfile,
  ENODEV: Errno.nodev,
  ENOENT: Errno.noent,
  ENOMEM: Errno.nomem,
  ENOSPC: Errno.nospc,
  ENOSYS: Errno.nosys,
  ENOTDIR: Errno.notdir,
  ENOTEMPTY: Errno.notempty,
  ENOTSUP: Errno.notsup,
  ENOTTY: Errno.notty,
  ENXIO: Errno.nxio,
  EOPNOTSUPP: Errno.notsup,
  EOVERFLOW: Errno.overflow,
  EPERM: Errno.perm,
  EPIPE: Errno.pipe,
  ERANGE: Errno.range,
  EROFS: Errno.rofs,
  ESPIPE: Errno.spipe,
  ESTALE: Errno.stale,
  ETIMEDOUT: Errno.timedout,
  ETXTBSY: Errno.txtbsy,
  EXDEV: Errno.xdev,
  ENOTCONN: Errno.notconn,
  ENETUNREACH: Errno.netunreach,
  EHOSTUNREACH: Errno.hostunreach,
  ECONNRESET: Errno.connreset,
  ECONNREFUSED: Errno.connrefused,
  ECONNABORTED: Errno.connaborted,
  EADDRINUSE: Errno.addrinuse,
};

/** The code of an error that node:fs threw, as 'ENOENT'; undefined when it is no such error. */
export function hostCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' && code in errnoOfHostCode ? code : undefined;
}

/** The errno of a failed system call; undefined when the error is a bug of ours and no answer for a guest. */
export function errnoOf(error: unknown): number | undefined {
  if (error instanceof WasiError) return error.errno;
  const code = hostCodeOf(error);
  if (code !== undefined) return errnoOfHostCode[code];
  // A host call that has a number but none of the codes above.
  if (error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string') return Errno.io;
  return undefined;
}
