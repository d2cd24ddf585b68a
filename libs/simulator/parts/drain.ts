// A node that leaves in peace, as services/pmapd/drain.ts has it: its virtual kernels end, other nodes fetch what only it
// may have, and it retires from each shard.
import type { PageRun } from '@odonata/coherency/page.ts';
import { LEASE_MS } from '../lease-ms.ts';
import type { PmapPart } from './pmap.ts';

/** What is not answered is asked for again. */
const AGAIN_MS = 60;
/** How long it may take. */
const DRAIN_MS = 4 * LEASE_MS;
/** Until all directories have heard the goodbye; then it is gone, whoever has. */
const GOODBYE_MS = 30;

export class Drain {
  private readonly node: PmapPart;
  private readonly left = new Set<number>();
  /** Shards whose leader was asked and has not answered: whether it let this node go is not known. */
  private readonly asked = new Set<number>();
  private readonly open = new Set<number>();
  private whenFetched: () => void = () => {};

  constructor(node: PmapPart) {
    this.node = node;
  }

  start(): void {
    const { node } = this;
    // All others may be leaving, too: then it is as if it died.
    node.timer(DRAIN_MS, () => node.giveUp());
    for (const vkernel of node.vkernels) node.endVkernel(vkernel);
    const { layout, duties } = node.world;
    const { core } = node.memory;
    const pagesOf = (run: PageRun): number[] => {
      const { firstPage, pageCount } = layout.used(run);
      return Array.from({ length: pageCount }, (_, i) => layout.pageOf(run.dataspace, firstPage + i));
    };
    const owned = layout.dataspaces.flatMap((id) => [
      ...core.ownedRuns(id).flatMap(pagesOf),
      ...(duties.fetchPlain ? core.plainRuns(id).flatMap(pagesOf) : []),
    ]);
    this.fetch(owned, () => this.retire());
  }

  // ---- others fetch pages

  private fetch(pages: Iterable<number>, then: () => void): void {
    for (const page of pages) this.open.add(page);
    this.whenFetched = then;
    if (this.open.size === 0) then();
    else for (const page of this.open) this.fetchPage(page);
  }

  private fetchPage(page: number): void {
    const { node } = this;
    const { world } = node;
    const others = world.nodes.filter((other) => other !== node && other.runs && other.leaving === undefined);
    if (others.length > 0) {
      const other = world.random.pick(others);
      other.after(world.network.delayMs(), () =>
        other.memory.capture(page, () => node.after(world.network.delayMs(), () => this.fetched(page))),
      );
    }
    node.timer(AGAIN_MS, () => {
      if (this.open.has(page)) this.fetchPage(page);
    });
  }

  private fetched(page: number): void {
    // It crashed meanwhile, and lives anew.
    if (this.node.leaving !== this) return;
    if (this.open.delete(page) && this.open.size === 0) this.whenFetched();
  }

  // ---- it retires

  private retire(): void {
    const { node } = this;
    if (this.left.size === node.links.all.length) return;
    for (const link of node.links.all)
      if (!this.left.has(link.shard) && link.retire()) this.asked.add(link.shard);
    node.timer(AGAIN_MS, () => this.retire());
  }

  isAsked(shard: number): boolean {
    return this.asked.has(shard);
  }

  /** Another leader took the place of one that was asked: it may have let this node go, and others write since. */
  ledAnew(shard: number): void {
    if (!this.asked.delete(shard) || !this.node.world.duties.voidUnanswered) return;
    this.node.world.losses.nodeDied(this.node.nodeIndex, shard);
    this.node.memory.step({ type: 'expire', shard });
  }

  /** What the leader of a shard answers. */
  retired(shard: number, remaining: readonly PageRun[]): void {
    const { node } = this;
    this.asked.delete(shard);
    const { layout } = node.world;
    if (remaining.length === 0) {
      if (this.left.has(shard)) return;
      this.left.add(shard);
      node.memory.step({ type: 'expire', shard });
      if (this.left.size === node.links.all.length) this.sayGoodbye();
      return;
    }
    const pages = remaining.flatMap((run) =>
      Array.from({ length: run.pageCount }, (_, i) => layout.pageOf(run.dataspace, run.firstPage + i)),
    );
    this.fetch(pages, () => {});
  }

  private sayGoodbye(): void {
    for (const link of this.node.links.all) link.sayGoodbye();
    this.node.timer(GOODBYE_MS, () => this.node.gone());
  }
}
