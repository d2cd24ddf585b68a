// Virtual kernels that nobody uses are parked: their OS process ends, as what it costs is the same whether anything runs in it, and the
// next program that is started there makes it anew. It has the same home, quotas and names then. One that has something of its own
// to lose is not: files in /tmp, or folders that programs of other nodes have through it.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { ProcessTable } from './process-table.ts';
import { isOfService } from './services/service-vkernel.ts';
import type { VkernelChild } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';

/** At the latest. */
const LOOK_EVERY_MS = 5_000;
const LOOKS = 4;

export interface ParkingOptions {
  readonly vkernels: Vkernels;
  readonly table: ProcessTable;
  /** How long nothing runs there; 0: none is parked. */
  readonly afterMs: number;
  readonly log: Logger;
}

export class Parking {
  readonly #options: ParkingOptions;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: ParkingOptions) {
    this.#options = options;
    const { afterMs } = options;
    if (afterMs === 0) return;
    const look = ownTurn({ timer: 'parking' }, () => this.#look());
    this.#timer = setInterval(look, Math.min(LOOK_EVERY_MS, Math.ceil(afterMs / LOOKS))).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { vkernels, afterMs, log } = this.#options;
    for (const child of vkernels.list()) {
      if (this.#isUsed(child)) child.usedMs = performance.now();
      else if (performance.now() - child.usedMs >= afterMs) {
        log.info({ vkernel: child.key }, 'parking a virtual kernel that nobody uses');
        vkernels
          .park(child)
          .catch((error: unknown) => log.error({ err: error, vkernel: child.key }, 'it was not parked'));
      }
    }
  }

  #isUsed(child: VkernelChild): boolean {
    const { kept } = child.has;
    if (!child.isAttached || child.isDoomed || isOfService(child.name)) return true;
    return kept === undefined || kept > 0 || this.#options.table.running(child.key).length > 0;
  }
}
