// What becomes of the session of a program whose caller went away: all of it hears so, wherever it runs, as with a terminal that is gone,
// and what goes on all the same is ended.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Process } from './process-table.ts';
import type { Asking } from './relatives/asking.ts';
import { nameOfKey } from './vkernel-child.ts';

/** After the hang-up. More than once: a node may not have been there, or what was being started was not yet. */
const KILL_MS = [5_000, 15_000, 60_000];

export class LeftSessions {
  readonly #signal: (asking: Asking, session: bigint, signal: string) => void;

  constructor(signal: (asking: Asking, session: bigint, signal: string) => void) {
    this.#signal = signal;
  }

  /** @param leader of the session */
  left({ pid, user, vkernel }: Process): void {
    const asking = { user, vkernel: nameOfKey(vkernel) };
    for (const signal of ['SIGHUP', 'SIGCONT']) this.#signal(asking, pid, signal);
    const kill = ownTurn({ timer: 'left session', pid }, () => this.#signal(asking, pid, 'SIGKILL'));
    for (const ms of KILL_MS) setTimeout(kill, ms).unref();
  }
}
