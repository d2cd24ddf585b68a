import { type Code, RpcError } from '@odonata/rpc/error.ts';

/** Exit codes of vkctl itself; `vkctl run` otherwise exits with the program's own. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** `run`: the cluster, not the program, failed. */
  runFailed: 125,
  /** `run`: the program cannot be executed: not a module, a missing import. */
  runNotExecutable: 126,
  /** `run`: no such file. */
  runNotFound: 127,
} as const;

/** Something that the user is told in one line: what and where, and how to mend it. */
export class Failure extends Error {
  readonly fix: string | undefined;
  readonly exitCode: number;

  constructor(message: string, options: { fix?: string; exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'Failure';
    this.fix = options.fix;
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** The one line for any error. A bug keeps its stack: it is for the person who mends it. */
export function explain(error: unknown): string {
  if (error instanceof Failure) return error.fix ? `${error.message}. ${error.fix}` : error.message;
  if (error instanceof RpcError) return error.details;
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}

/** True where the far end answered with one of these codes. */
export function hasCode(error: unknown, ...codes: Code[]): error is RpcError {
  return RpcError.is(error) && codes.includes(error.code);
}
