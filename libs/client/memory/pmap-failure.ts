// Errors of a pmap, whose numbers are those of WASI, as codes of gRPC.
import { PmapError } from '@odonata/pmap/pmap-interface.ts';
import { codeOf } from '@odonata/pmap/wasi-errno.ts';
import { Code, codeFromNumber, fromServiceError } from '@odonata/rpc/error.ts';
import { SystemCallError } from '@odonata/userfault/libc.ts';
import type { PmapFailure } from './pmap-messages.ts';

export function failureOf(error: unknown): PmapFailure {
  if (error instanceof PmapError) {
    const code = error.code === undefined ? codeOf(error.errno) : codeFromNumber(error.code);
    return { code, details: error.message };
  }
  if (error instanceof SystemCallError)
    return { code: Code.FailedPrecondition, details: `${error.message}; vkctl doctor says what is missing` };
  const { code, details } = fromServiceError(error);
  return { code, details };
}
