import { getSystemErrorMap } from 'node:util';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { clientWords, NEW_CONTEXT } from './client-words.ts';

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

/** What libs/client found, as what vkctl says of it; all else as it is. */
export function told(error: unknown): unknown {
  const words = clientWords(error);
  if (words === undefined) return error;
  const { what, fix, usage } = words;
  return new Failure(what, { fix, exitCode: usage ? EXIT.usage : EXIT.failed, cause: error });
}

/** The one line for any error. A bug keeps its stack: it is for the person who mends it. */
export function explain(thrown: unknown): string {
  const error = told(thrown);
  if (error instanceof Failure)
    return oneLine(error.fix ? `${ended(error.message)} ${error.fix}` : error.message);
  // Also of a line that broke for it.
  if (hasCode(error, Code.Unauthenticated, Code.Unavailable) && / was revoked$/.test(error.details))
    return oneLine(`${error.details}. ${NEW_CONTEXT}`);
  if (hasCode(error, Code.PermissionDenied)) return oneLine(withoutPath(error.details));
  if (error instanceof RpcError) return oneLine(error.details);
  if (isOfTheSystem(error)) return oneLine(`${what(error)}: ${reasonOf(error)}`);
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}

/** As a sentence: one that asks ends as it is. */
const ended = (text: string): string => (text.endsWith('?') ? text : `${text}.`);

/** What a role may not call has a path for those who call it by gRPC; here it is what somebody has just typed. */
const withoutPath = (details: string): string =>
  details.replace(/^(\S+ \S+ may not) call \/odonata\.[\w./]+; /, '$1 do this; ');

/** Names and words of others stand in lines: what would end the line, or command a terminal, is shown as `?`. */
export const oneLine = (text: string): string => text.replace(/\p{Cc}/gu, '?');

/** How to find out more where somebody in the cluster did not answer; as `explain` for all else. */
export function explainWithFix(thrown: unknown): string {
  const error = told(thrown);
  const line = explain(error);
  const silent = hasCode(error, Code.Unavailable, Code.DeadlineExceeded);
  if (silent && !line.includes('vkctl ')) return `${line}. See: vkctl status`;
  if (hasCode(error, Code.NotFound) && /^no process \d+( on \S+)?$/.test(line))
    return `${line}. List them with: vkctl ps -a`;
  return line;
}

/** What a system call answered: of the world, and no bug. */
const isOfTheSystem = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';

const what = ({ syscall, path }: NodeJS.ErrnoException): string => (path ? `${syscall} ${path}` : syscall!);

/** Why a system call failed, in words: `no space left on device`. */
export function reasonOf(error: unknown): string {
  const { errno, code, message } = error as NodeJS.ErrnoException;
  const words = errno === undefined || !code ? undefined : getSystemErrorMap().get(errno)?.[1];
  return words ?? (code || message);
}

/** True where the far end answered with one of these codes. */
export function hasCode(error: unknown, ...codes: Code[]): error is RpcError {
  return RpcError.is(error) && codes.includes(error.code);
}
