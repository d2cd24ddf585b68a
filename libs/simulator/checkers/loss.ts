// A page is LOST only where a holder died that had it or was about to get it.
import type { HolderIdentity } from '@odonata/coherency/page.ts';
import { check } from '../violation.ts';
import type { Layout } from '../world/layout.ts';

/** A node, as far as this looks at it. */
export interface LosingNode {
  readonly alive: boolean;
  readonly identity: HolderIdentity;
  readonly memory: { readonly seen: LosingMemory };
}

export interface LosingMemory {
  /** True where its death would take the page, or what it is about to get, away. */
  involved(page: number): boolean;
  /** Shards of which what was held once was declared void. */
  readonly reborn: ReadonlySet<number>;
  /** What was sent on and is not settled. */
  retained(): Iterable<{ page: number; version: number; receiver: HolderIdentity | undefined }>;
  version(page: number): number;
}

export class LossChecker {
  errors = 0;
  private readonly layout: Layout;
  private readonly nodes: readonly LosingNode[];
  private readonly mayBeLost = new Set<number>();
  /** Apart from those: a page that begins anew by an earlier loss may be on its way, too, and comes first. */
  private readonly lostOnItsWay = new Set<number>();

  constructor(layout: Layout, nodes: readonly LosingNode[]) {
    this.layout = layout;
    this.nodes = nodes;
  }

  /** A node crashed, or is dead for the directory of a shard: looked at before anything is done about it. */
  nodeDied(node: number, shard?: number): void {
    const { memory } = this.nodes[node]!;
    const { layout } = this;
    for (let page = 0; page < layout.pages; page++) {
      if (shard !== undefined && layout.shardOf(page) !== shard) continue;
      if (memory.seen.involved(page)) this.mayBeLost.add(page);
    }
  }

  /** Its change was under way to a holder that died. */
  onItsWay(page: number): void {
    this.lostOnItsWay.add(page);
  }

  /**
   * A new directory does not put back what was sent on to a holder that is no more, or cannot say what it had: it may
   * have got the page, and written it. Nor where a later version was seen.
   */
  keptIsLost(shard: number): void {
    const remembering = new Set(
      this.nodes
        .filter(({ alive, memory }) => alive && !memory.seen.reborn.has(shard))
        .map(({ identity }) => identity),
    );
    for (const { memory } of this.nodes) {
      for (const { page, version, receiver } of memory.seen.retained()) {
        if (receiver === undefined || this.layout.shardOf(page) !== shard) continue;
        if (!remembering.has(receiver) || this.seenVersion(page) > version) this.mayBeLost.add(page);
      }
    }
  }

  private seenVersion(page: number): number {
    return Math.max(...this.nodes.map(({ memory }) => memory.seen.version(page)));
  }

  /** A durable page comes from the store: what is younger is gone. */
  beginsAnew(page: number, who: string): void {
    check(
      this.mayBeLost.delete(page) || this.lostOnItsWay.delete(page),
      'nothing is silently lost',
      page,
      () => {
        return `${who} takes page ${page} from the store, but nobody died who had it`;
      },
    );
  }

  /** True where a page may be lost now: who looks for it in the store, and does not find it, may say so later too. */
  mayBe(page: number): boolean {
    return this.mayBeLost.has(page) || this.lostOnItsWay.has(page);
  }

  /** @param wasLost it was when it was looked for */
  failed(page: number, wasLost: boolean, who: string): void {
    this.errors++;
    check(wasLost || this.mayBe(page), 'nothing is silently lost', page, () => {
      return `${who} is told that page ${page} is LOST, but nobody died who had it`;
    });
  }
}
