import { status as GrpcStatus, Metadata } from '@grpc/grpc-js';
import { DETAILS_KEY, detailsOfStatus, type ErrorDetail } from './error-details.ts';
import { type Callee, inPlainWords } from './plain-words.ts';

/**
 * How a call ended, by the names and numbers of gRPC. A closed set: a number that is not in it is UNKNOWN.
 * https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
 */
export const Code = {
  Ok: 0,
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** `5` -> `NOT_FOUND`. */
export function codeName(code: Code): string {
  return GrpcStatus[code] ?? 'UNKNOWN';
}

/** The code of a number that came over a wire. */
export function codeFromNumber(number: number): Code {
  return GrpcStatus[number] === undefined ? Code.Unknown : (number as Code);
}

/** What went wrong in the world, as a caller sees it. A bug is an assertion's error instead. */
export class RpcError extends Error {
  readonly code: Code;
  /** One line for people, without the code. */
  readonly details: string;
  /** For programs; often empty. */
  readonly more: readonly ErrorDetail[];

  constructor(code: Code, details: string, options: ErrorOptions & { more?: readonly ErrorDetail[] } = {}) {
    super(`${codeName(code)}: ${details}`, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'RpcError';
    this.code = code;
    this.details = details;
    this.more = options.more ?? [];
  }

  /** The first detail of a type: `error.detail('google.rpc.RetryInfo')?.retryDelay`. */
  detail<N extends ErrorDetail['$typeName']>(
    typeName: N,
  ): Extract<ErrorDetail, { $typeName: N }> | undefined {
    return this.more.find(
      (detail): detail is Extract<ErrorDetail, { $typeName: N }> => detail.$typeName === typeName,
    );
  }

  static is(error: unknown, code?: Code): error is RpcError {
    return error instanceof RpcError && (code === undefined || error.code === code);
  }
}

/**
 * Any thrown thing as an RpcError: grpc's errors keep their code, an abort is CANCELLED, others are INTERNAL.
 * @param callee whom the call was for: what the library says of the way there is said in plain words
 */
export function fromServiceError(error: unknown, callee?: Callee): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof Error) {
    const { code, details, metadata } = error as { code?: unknown; details?: unknown; metadata?: unknown };
    if (typeof code === 'number') {
      const said = typeof details === 'string' ? details : error.message;
      return new RpcError(codeFromNumber(code), callee === undefined ? said : inPlainWords(said, callee), {
        cause: error,
        more: detailsIn(metadata),
      });
    }
    if (error.name === 'AbortError') return new RpcError(Code.Cancelled, error.message, { cause: error });
    return new RpcError(Code.Internal, error.message, { cause: error });
  }
  return new RpcError(Code.Internal, String(error), { cause: error });
}

function detailsIn(trailers: unknown): ErrorDetail[] {
  if (!(trailers instanceof Metadata)) return [];
  const [status] = trailers.get(DETAILS_KEY);
  return status instanceof Uint8Array ? detailsOfStatus(status) : [];
}
