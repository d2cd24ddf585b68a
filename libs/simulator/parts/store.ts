// One copy of the backing store, on a machine of its own.
import type { DurableStore } from '../durable-store.ts';
import { Part, type Place } from '../part.ts';
import type { World } from '../world.ts';

export class StorePart extends Part {
  readonly store: DurableStore;

  constructor(world: World, place: Place) {
    super(world, place.name, place);
    this.store = world.machines.store();
  }

  restart(): void {
    this.alive = true;
    this.generation++;
  }
}
