// Errors of services as WASI errnos.
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
