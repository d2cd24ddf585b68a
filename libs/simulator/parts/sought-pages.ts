// Pages that a node looks for in the store, each at its loss: what was so when it was looked for first.
import type { Surroundings } from '../world/surroundings.ts';

interface Look {
  /** What a sync had acknowledged of it. */
  promised: number;
  wasLost: boolean;
}

export class SoughtPages {
  private readonly world: Surroundings;
  private readonly looks = new Map<string, Look>();

  constructor(world: Surroundings) {
    this.world = world;
  }

  lookedFor(page: number, lostVersion: number): void {
    const key = `${page} ${lostVersion}`;
    if (this.looks.has(key)) return;
    const { durability, losses } = this.world;
    this.looks.set(key, { promised: durability.promised(page), wasLost: losses.mayBe(page) });
  }

  /** The look is over. */
  take(page: number, lostVersion: number): Look | undefined {
    const key = `${page} ${lostVersion}`;
    const look = this.looks.get(key);
    this.looks.delete(key);
    return look;
  }
}
