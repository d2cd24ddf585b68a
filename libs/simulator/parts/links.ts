// A node's lines to the leaders of all shards, as services/pmapd/directories.ts has them: which of them a page, a lock or a
// word of the holder's machines is for.
import type { HolderAction } from '@odonata/coherency/holder-messages.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { PageTransfer, SyncAsk } from '../messages.ts';
import { Link } from './link.ts';
import type { PmapPart } from './pmap.ts';

type Outward = Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>;

export class Links {
  readonly all: readonly Link[];
  private readonly node: PmapPart;

  constructor(node: PmapPart) {
    this.node = node;
    this.all = Array.from({ length: node.world.layout.shards }, (_, shard) => new Link(node, shard));
  }

  start(): void {
    for (const link of this.all) link.start();
  }

  of(page: number): Link {
    return this.all[this.node.world.layout.shardOf(page)]!;
  }

  ofRun({ dataspace, firstPage }: PageRun): Link {
    return this.of(this.node.world.layout.pageOf(dataspace, firstPage));
  }

  /** Where the locks and waiters of a dataspace are. */
  home(dataspace: bigint): Link {
    return this.all[this.node.world.layout.homeShardOf(dataspace)]!;
  }

  /**
   * True while what is held of a page may be used: the lease of its shard lasts, and where locks are held in its dataspace
   * so does that of their shard, for what is done under a lock is as good as the lock.
   */
  serves(page: number): boolean {
    if (!this.of(page).serves()) return false;
    const dataspace = this.node.world.layout.dataspaceOf(page);
    return !this.locked(dataspace) || this.home(dataspace).serves();
  }

  private locked(dataspace: bigint): boolean {
    return this.node.world.duties.heedHome && this.node.relay.holdsIn(dataspace);
  }

  /** The lease of a shard ended: nothing is used that hangs on it. */
  lapsed(shard: number): void {
    const { layout } = this.node.world;
    this.node.memory.takeShard(shard);
    for (const dataspace of layout.dataspaces)
      if (layout.homeShardOf(dataspace) === shard && this.locked(dataspace))
        this.node.memory.takeAllOf(dataspace);
    this.tellDeadline();
  }

  /** Until when what is mapped may be used: what hangs on leases that are over is not mapped any more. */
  tellDeadline(): void {
    let endMs = Number.POSITIVE_INFINITY;
    for (const link of this.all) if (link.joined) endMs = Math.min(endMs, link.leaseEndMs);
    const { deadline, vkernels } = this.node;
    const isSooner = endMs < deadline.endMs;
    deadline.endMs = Number.isFinite(endMs) ? endMs : Number.NEGATIVE_INFINITY;
    if (isSooner) for (const vkernel of vkernels) if (vkernel.alive) vkernel.watch();
  }

  /** @param reported the shard of a report */
  say(action: Outward, reported?: number): void {
    if (action.type === 'report') this.all[reported!]!.say(action);
    else this.ofRun(action.run).say(action);
  }

  ask(ask: SyncAsk, shard: number): void {
    this.all[shard]!.ask(ask);
  }

  deliver(transfer: Omit<PageTransfer, 'epoch'>): void {
    this.ofRun(transfer.event.run).deliver(transfer);
  }

  break(): void {
    for (const link of this.all) link.connection?.break();
  }
}
