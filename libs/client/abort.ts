// Giving up what waits, where the caller's AbortSignal says so.
import { Code, RpcError } from '@odonata/rpc/error.ts';

export const cancelled = (): RpcError => new RpcError(Code.Cancelled, 'cancelled by the caller');

/** @throws RpcError CANCELLED */
export function expectNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}

/** One signal of some; those that are undefined never abort. */
export function anyOf(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length < 2 ? given[0] : AbortSignal.any(given);
}

/** What `promise` brings; CANCELLED as soon as the signal aborts, whatever becomes of the promise. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const cancel = () => reject(cancelled());
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', cancel));
  });
}
