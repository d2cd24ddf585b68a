// What happens on a bug: an error that nobody meant anybody to see.
//
//   in serving one peer (a call, a stream, its timers)   that peer's call ends with INTERNAL, and the process goes on
//   in what is said on the bus, or by the clock          that message, or that turn, is lost; the process goes on
//   an AssertionError, wherever                          the process ends: what all peers share is not as it must be, and
//                                                        nobody may be served from it. It starts again in a second
//
// So an assertion is for what no message can bring about, and a peer's message never leads to one.
import { AssertionError } from 'node:assert';
import { Code, RpcError } from './error.ts';

export interface BugLog {
  error(fields: object, line: string): void;
}

let bugs = 0;
/** Of the service that this process is. */
let ownLog: BugLog | undefined;

/** From now on bugs in turns of their own are told there. */
export function useBugLog(log: BugLog): void {
  ownLog = log;
}

/** So many bugs have been met by this process, for its metrics. */
export const bugsMet = (): number => bugs;

/** Logs and counts it. @throws AssertionError as it is */
export function metBug(log: BugLog | undefined, error: unknown, where: object): void {
  if (error instanceof AssertionError) throw error;
  bugs += 1;
  log?.error({ err: error, ...where }, 'a bug: whoever it was for is not served further, and all others are');
}

/** The same where nobody catches what is thrown: an AssertionError ends the process a moment later. */
export function metBugInCall(log: BugLog, error: unknown, where: object): void {
  try {
    metBug(log, error, where);
  } catch (broken) {
    queueMicrotask(() => {
      throw broken;
    });
  }
}

/** Hears what comes on a stream that this process opened; a bug ends that stream, and whoever has it opens another one. */
export function hear<T>(
  stream: { on(event: 'data', listener: (message: T) => void): unknown; cancel(): void },
  log: BugLog | undefined,
  where: object,
  listener: (message: T) => void,
): void {
  stream.on('data', (message) => {
    try {
      listener(message);
    } catch (error) {
      metBug(log, error, where);
      stream.cancel();
    }
  });
}

/** A function whose bugs stop nobody but whoever it is called for. @param where for the log: `{ timer: 'tick' }` */
export function guarded<A extends unknown[]>(
  log: BugLog,
  where: object,
  run: (...args: A) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      run(...args);
    } catch (error) {
      // Nobody hears the error of a timer.
      if (error instanceof RpcError) log.error({ err: error, ...where }, 'failed');
      else metBug(log, error, where);
    }
  };
}

/** What a peer whose stream or call ends for a bug of ours is told. */
export const internal = (cause?: unknown): RpcError =>
  new RpcError(Code.Internal, 'a bug in the server; its log says more', { cause });

/**
 * Work for one peer in a turn of its own, for timers and for what is parked: nobody hears what it throws, which would end the
 * process. A bug ends what that peer has, by `end`, and nothing of others.
 * @param where for the log: `{ timer: 'inspect', vkernel }`
 * @param end ends the peer's stream or call, with INTERNAL; none: the turn is lost, and that is all
 */
export function ownTurn(where: object, run: () => void, end?: (error: RpcError) => void): () => void {
  return () => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof RpcError)) metBug(ownLog, error, where);
      else if (end === undefined) ownLog?.error({ err: error, ...where }, 'failed');
      try {
        end?.(error instanceof RpcError ? error : internal(error));
      } catch (again) {
        metBug(ownLog, again, { ...where, when: 'what it was for was ended' });
      }
    }
  };
}

/**
 * Does all of them, also where one meets a bug: what was for others is not lost with it.
 * @throws what the first of those threw, at the end; an AssertionError at once
 */
export function doAll<T>(all: Iterable<T>, one: (each: T) => void): void {
  let failed: { error: unknown } | undefined;
  for (const each of all) {
    try {
      one(each);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      failed ??= { error };
    }
  }
  if (failed !== undefined) throw failed.error;
}
