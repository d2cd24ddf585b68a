// Errors of a pmap, whose numbers are those of WASI, as codes of gRPC.
import { Errno } from '@odonata/pmap/errno.ts';
import { PmapError } from '@odonata/pmap/pmap-interface.ts';
import { Code, codeFromNumber, fromServiceError } from '@odonata/rpc/error.ts';
import { SystemCallError } from '@odonata/userfault/libc.ts';
import type { PmapFailure } from './pmap-messages.ts';

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

export function failureOf(error: unknown): PmapFailure {
  if (error instanceof PmapError) {
    const code = error.code === undefined ? BY_ERRNO[error.errno] : codeFromNumber(error.code);
    return { code: code ?? Code.Unknown, details: error.message };
  }
  if (error instanceof SystemCallError)
    return { code: Code.FailedPrecondition, details: `${error.message}; vkctl doctor says what is missing` };
  const { code, details } = fromServiceError(error);
  return { code, details };
}
