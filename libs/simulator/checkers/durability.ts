// What a sync acknowledged can be read back, whatever happened to one of the two copies.
import { recover } from '../durable-store.ts';
import { check } from '../violation.ts';
import type { World } from '../world.ts';

export class DurabilityChecker {
  syncs = 0;
  private readonly world: World;
  private readonly synced: number[];

  constructor(world: World) {
    this.world = world;
    this.synced = new Array(world.layout.pages).fill(0);
  }

  acknowledged(page: number, value: number): void {
    this.syncs++;
    this.synced[page] = Math.max(this.synced[page]!, value);
    this.verify(page);
  }

  verifyAll(): void {
    for (let page = 0; page < this.synced.length; page++) this.verify(page);
  }

  private verify(page: number): void {
    const copies = this.world.stores.map((s) => s.store);
    const found = recover(copies, page);
    const synced = this.synced[page]!;
    const written = this.world.latest.latest(page);
    check((found?.value ?? 0) >= synced && (found?.value ?? 0) <= written, 'durability', page, () => {
      return `page ${page} was synced at write ${synced}, the store has ${found?.value ?? 'nothing'}`;
    });
  }
}
