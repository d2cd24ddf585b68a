import { Code, RpcError } from './error.ts';
import { ANYONE, type Caller, shownCaller } from './identity/identity.ts';

/** Calls and streams of one caller that run at a server. */
export const CALLS_MAX = 4_096;

/** Counts the calls of each caller, so that none takes all that a server has. */
export class RunningCalls {
  readonly #most: number;
  readonly #onFull: (who: string, reason: string) => void;
  readonly #running = new Map<string, number>();

  /** @param onFull somebody is refused */
  constructor(most = CALLS_MAX, onFull: (who: string, reason: string) => void = () => {}) {
    this.#most = most;
    this.#onFull = onFull;
  }

  /** @returns to be called once when it is over @throws RpcError RESOURCE_EXHAUSTED */
  begin(caller: Caller): () => void {
    // Where nobody has an identity all look the same.
    if (caller === ANYONE) return () => {};
    const who = shownCaller(caller);
    const running = this.#running.get(who) ?? 0;
    if (running >= this.#most) {
      const reason = `${running} calls of ${who} run here already, the most of one caller`;
      this.#onFull(who, `${reason}; let fewer be under way at one time`);
      throw new RpcError(Code.ResourceExhausted, reason);
    }
    this.#running.set(who, running + 1);
    return () => {
      const left = this.#running.get(who)! - 1;
      if (left > 0) this.#running.set(who, left);
      else this.#running.delete(who);
    };
  }
}
