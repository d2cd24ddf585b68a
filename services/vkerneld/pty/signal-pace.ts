// Signals of keys and sizes, however fast they come: the first at once, what comes within its pause as one more at its end. As with
// signals that wait, nobody can tell two from one.

import { ownTurn } from '@odonata/rpc/bug.ts';

const PAUSE_MS = 20;

export class SignalPace {
  readonly #send: (signal: string) => void;
  /** Those that were sent lately; true: once more at the end of the pause. */
  readonly #paused = new Map<string, boolean>();

  constructor(send: (signal: string) => void) {
    this.#send = send;
  }

  signal(name: string): void {
    if (this.#paused.has(name)) {
      this.#paused.set(name, true);
      return;
    }
    this.#paused.set(name, false);
    this.#send(name);
    setTimeout(
      ownTurn({ timer: 'signal-pace' }, () => {
        const again = this.#paused.get(name) === true;
        this.#paused.delete(name);
        if (again) this.signal(name);
      }),
      PAUSE_MS,
    ).unref();
  }
}
