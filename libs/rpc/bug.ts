// What happens on a bug: an error that nobody meant anybody to see.
//
//   in serving one peer (a call, a stream, its timers)   that peer's call ends with INTERNAL, and the process goes on
//   in what is said on the bus, or by the clock          that message, or that turn, is lost; the process goes on
//   an AssertionError, wherever                          the process ends: what all peers share is not as it must be, and
//                                                        nobody may be served from it. It starts again in a second
//
// So an assertion is for what no message can bring about, and a peer's message never leads to one.
import { AssertionError } from 'node:assert';
import { RpcError } from './error.ts';
export interface BugLog {
  error(fields: object, line: string): void;
}

let bugs = 0;

/** So many bugs have been met by this process, for its metrics. */
export const bugsMet = (): number => bugs;

/** Logs and counts it. @throws AssertionError as it is */
export function metBug(log: BugLog, error: unknown, where: object): void {
  if (error instanceof AssertionError) throw error;
  bugs += 1;
  log.error({ err: error, ...where }, 'a bug: whoever it was for is not served further, and all others are');
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
  log: BugLog,
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
