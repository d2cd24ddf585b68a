// A page is LOST only where a holder died that had it or was about to get it.
import { identityOf } from '../identity.ts';
import { check } from '../violation.ts';
import type { World } from '../world.ts';

export class LossChecker {
  errors = 0;
  private readonly world: World;
  private readonly mayBeLost = new Set<number>();

  constructor(world: World) {
    this.world = world;
  }

  /** A node crashed, or is dead for the directory of a shard: looked at before anything is done about it. */
  nodeDied(node: number, shard?: number): void {
    const { memory } = this.world.nodes[node]!;
    const { layout } = this.world;
    for (let page = 0; page < layout.pages; page++) {
      if (shard !== undefined && layout.shardOf(page) !== shard) continue;
      if (memory.involved(page)) this.mayBeLost.add(page);
    }
  }

  /** Its change was under way to a holder that died. */
  onItsWay(page: number): void {
    this.mayBeLost.add(page);
  }

  /**
   * A new directory does not put back what was sent on to a holder that is no more, or cannot say what it had: it may
   * have got the page, and written it. Nor where a later version was seen.
   */
  keptIsLost(shard: number): void {
    const remembering = new Set(
      this.world.nodes
        .filter(({ alive, memory }) => alive && !memory.reborn.has(shard))
        .map(({ nodeIndex, incarnation }) => identityOf(nodeIndex, incarnation)),
    );
    for (const { memory } of this.world.nodes) {
      for (const { page, version, receiver } of memory.retained()) {
        if (receiver === undefined || this.world.layout.shardOf(page) !== shard) continue;
        if (!remembering.has(receiver) || this.seenVersion(page) > version) this.mayBeLost.add(page);
      }
    }
  }

  private seenVersion(page: number): number {
    return Math.max(...this.world.nodes.map(({ memory }) => memory.version(page)));
  }

  /** A durable page comes from the store: what is younger is gone. */
  beginsAnew(page: number, who: string): void {
    check(this.mayBeLost.delete(page), 'nothing is silently lost', page, () => {
      return `${who} takes page ${page} from the store, but nobody died who had it`;
    });
  }

  /** True where a page may be lost now: who looks for it in the store, and does not find it, may say so later too. */
  mayBe(page: number): boolean {
    return this.mayBeLost.has(page);
  }

  /** @param wasLost it was when it was looked for */
  failed(page: number, wasLost: boolean, who: string): void {
    this.errors++;
    check(wasLost || this.mayBeLost.has(page), 'nothing is silently lost', page, () => {
      return `${who} is told that page ${page} is LOST, but nobody died who had it`;
    });
  }
}
