// One copy of the backing store, on a machine of its own.

import type { Simulation } from '../simulation.ts';
import type { DurableStore, StoredPage } from '../stores/durable-store.ts';
import { Part } from '../world/part.ts';
import type { Place } from '../world/place.ts';

export class StorePart extends Part {
  readonly store: DurableStore;

  constructor(world: Simulation, place: Place) {
    super(world, place.name, place);
    this.store = world.machines.store();
  }

  /** Later puts of a node that were done, by page: one that comes after them is refused, as the store compares what it has. */
  private readonly lastPut = new Map<string, number>();

  /** @param serial grows with each put of a node @returns false: another one of that node came first */
  put(node: string, serial: number, page: number, stored: StoredPage): boolean {
    const key = `${node} ${page}`;
    if ((this.lastPut.get(key) ?? 0) > serial) return false;
    this.lastPut.set(key, serial);
    this.store.put(page, stored);
    return true;
  }

  restart(): void {
    this.alive = true;
    this.generation++;
  }
}
