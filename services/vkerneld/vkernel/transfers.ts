// The control transfers of one process, while somebody watches it: collected, and told ten times a second. The guest's thread
// tells so many between two times; what it does beside those is counted.

import type { Space, Transfer } from '@odonata/pmap/pmap-interface.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { KernelAnswerer } from './kernel-call.ts';

const TELL_MS = 100;
/** Between two times. */
export const transfersMax = 1_000;

export class Transfers {
  /** Of all threads. */
  readonly #answerers: KernelAnswerer[];
  #space: Space | undefined;
  #kept: Transfer[] = [];
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(answerer: KernelAnswerer) {
    this.#answerers = [answerer];
  }

  /** The process has another thread. */
  join(answerer: KernelAnswerer): void {
    this.#answerers.push(answerer);
    if (this.#timer !== undefined) answerer.allowTransfers(transfersMax);
  }

  leave(answerer: KernelAnswerer): void {
    const at = this.#answerers.indexOf(answerer);
    if (at >= 0) this.#answerers.splice(at, 1);
  }

  #allow(count: number | undefined): void {
    for (const answerer of this.#answerers) answerer.allowTransfers(count);
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
    this.#allow(transfersMax);
    this.#timer = setInterval(
      ownTurn({ timer: 'transfers' }, () => this.#tell()),
      TELL_MS,
    ).unref();
  }

  add(transfer: Transfer): void {
    // Signals and traps are few.
    if (this.#timer === undefined) return;
    if (this.#kept.length < transfersMax + 8) this.#kept.push(transfer);
    else this.#dropped++;
  }

  #tell(): void {
    const untold = this.#answerers.reduce((sum, answerer) => sum + answerer.takeUntold(), this.#dropped);
    if (this.#kept.length > 0 || untold > 0) this.#space?.tellTransfers?.(this.#kept, untold);
    this.#kept = [];
    this.#dropped = 0;
    this.#allow(transfersMax);
  }

  /** What was seen until now is told, and nothing more. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tell();
    this.#allow(undefined);
  }
}
