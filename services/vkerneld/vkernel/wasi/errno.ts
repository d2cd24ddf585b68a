// The error numbers of WASI preview 1, and how errors of the host and of the pmap become one of them.

export const Errno = {
  success: 0,
  addrinuse: 3,
  connaborted: 13,
  connrefused: 14,
  connreset: 15,
  hostunreach: 23,
  netunreach: 40,
  notconn: 53,
  toobig: 1,
  acces: 2,
  again: 6,
  badf: 8,
  busy: 10,
  canceled: 11,
  deadlk: 16,
  dquot: 19,
  exist: 20,
  fault: 21,
  fbig: 22,
  ilseq: 25,
  intr: 27,
  inval: 28,
  io: 29,
  isdir: 31,
  loop: 32,
  mfile: 33,
  mlink: 34,
  nametoolong: 37,
  nfile: 41,
  nodev: 43,
  noent: 44,
  nomem: 48,
  nospc: 51,
  nosys: 52,
  notdir: 54,
  notempty: 55,
  notsock: 57,
  notsup: 58,
  notty: 59,
  nxio: 60,
  overflow: 61,
  perm: 63,
  pipe: 64,
  range: 68,
  rofs: 69,
  spipe: 70,
  stale: 72,
  timedout: 73,
  txtbsy: 74,
  xdev: 75,
  notcapable: 76,
} as const;

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
