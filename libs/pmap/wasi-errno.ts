// Errors of services as WASI errnos, and WASI errnos as errors of services.
import { Code } from '@odonata/rpc/error.ts';
import { Errno } from './errno.ts';

const BY_CODE: Readonly<Record<number, number>> = {
  [Code.Cancelled]: Errno.canceled,
  [Code.InvalidArgument]: Errno.inval,
  [Code.DeadlineExceeded]: Errno.timedout,
  [Code.NotFound]: Errno.noent,
  [Code.AlreadyExists]: Errno.exist,
  [Code.PermissionDenied]: Errno.acces,
  [Code.ResourceExhausted]: Errno.nomem,
  [Code.FailedPrecondition]: Errno.busy,
  [Code.OutOfRange]: Errno.inval,
  [Code.Unimplemented]: Errno.nosys,
};

/** Of a sync: what is exhausted is the disk, not memory. */
export function errnoOfSync(grpcCode: number): number {
  return grpcCode === Code.ResourceExhausted ? Errno.nospc : errnoOf(grpcCode);
}

/** EIO for what has no better match. */
export function errnoOf(grpcCode: number): number {
  return BY_CODE[grpcCode] ?? Errno.io;
}

const BY_ERRNO: Readonly<Record<number, Code>> = {
  [Errno.acces]: Code.PermissionDenied,
  [Errno.busy]: Code.FailedPrecondition,
  [Errno.canceled]: Code.Cancelled,
  [Errno.deadlk]: Code.Aborted,
  [Errno.exist]: Code.AlreadyExists,
  [Errno.inval]: Code.InvalidArgument,
  [Errno.io]: Code.Unavailable,
  [Errno.mfile]: Code.ResourceExhausted,
  [Errno.nfile]: Code.ResourceExhausted,
  [Errno.noent]: Code.NotFound,
  [Errno.nomem]: Code.ResourceExhausted,
  [Errno.nospc]: Code.ResourceExhausted,
  [Errno.nosys]: Code.Unimplemented,
  [Errno.notsup]: Code.Unimplemented,
  [Errno.timedout]: Code.DeadlineExceeded,
};

/** Code.Unknown for what has no match. */
export function codeOf(errno: number): Code {
  return BY_ERRNO[errno] ?? Code.Unknown;
}
