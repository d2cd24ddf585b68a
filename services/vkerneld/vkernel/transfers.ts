// The control transfers of one process, while somebody watches it: collected, and told ten times a second. The guest's thread
// tells so many between two times; what it does beside those is counted.

import type { Space, Transfer } from '@odonata/pmap/pmap-interface.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { KernelAnswerer } from './kernel-call.ts';

const TELL_MS = 100;
/** Between two times. */
export const transfersMax = 1_000;

export class Transfers {
  readonly #answerer: KernelAnswerer;
  #space: Space | undefined;
  #kept: Transfer[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(answerer: KernelAnswerer) {
    this.#answerer = answerer;
  }

  use(space: Space): void {
    this.#space = space;
  }

  watched(on: boolean): void {
    if (on === (this.#timer !== undefined)) return;
    if (!on) {
      this.stop();
      return;
    }
    this.#answerer.allowTransfers(transfersMax);
    this.#timer = setInterval(
      ownTurn({ timer: 'transfers' }, () => this.#tell()),
      TELL_MS,
    ).unref();
  }

  add(transfer: Transfer): void {
    // Signals and traps are few.
    if (this.#timer !== undefined && this.#kept.length < transfersMax + 8) this.#kept.push(transfer);
  }

  #tell(): void {
    const untold = this.#answerer.takeUntold();
    if (this.#kept.length > 0 || untold > 0) this.#space?.tellTransfers?.(this.#kept, untold);
    this.#kept = [];
    this.#answerer.allowTransfers(transfersMax);
  }

  /** What was seen until now is told, and nothing more. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tell();
    this.#answerer.allowTransfers(undefined);
  }
}
