// What the lines to the directory say is for the other parts of a node: for which of them, and in which order. And what may
// be used of a page, which two of them know together.
import { isBorrowed } from '../../gateway.ts';
import { homeShardOf } from '../../shard.ts';
import type { DrainEvent } from '../drain.ts';
import type { DirectoryWord, ShardEvent } from '../memory/memory-messages.ts';
import type { Relay } from '../relay/relay.ts';
import type { RelayEvent } from '../relay/relay-messages.ts';
import type { Lines } from './lines.ts';
import type { NodeAction } from './lines-messages.ts';

export type RoutedEvent =
  | { part: 'memory'; event: DirectoryWord | ShardEvent }
  | { part: 'relay'; event: RelayEvent }
  | { part: 'drain'; event: DrainEvent };

/** The others are whoever drives the parts. */
export type RoutedAction = Exclude<NodeAction, { type: 'page' | 'removed' | 'desk' | 'deadline' }>;

export interface RoutesOptions {
  shards: number;
  relay: Relay;
  /** Dataspaces that the memory knows. */
  dataspaces(): Iterable<{ id: bigint; name: string }>;
  /** Whether the desk of a dataspace of another cluster can be trusted; undefined: the dataspace is of this one. */
  farUsable?(dataspace: bigint, nowMs: number): boolean | undefined;
  /** True where a leader was asked to let this node go, and has not answered. */
  isAsked(shard: number): boolean;
}

export class NodeRoutes {
  private readonly o: RoutesOptions;

  constructor(options: RoutesOptions) {
    this.o = options;
  }

  /**
   * True while a page may be used. What is done under a lock is as good as the lock: where the leader of a dataspace's locks
   * cannot be trusted any more, none of its pages is used, whoever leads them.
   */
  usable(lines: Lines, dataspace: bigint, page: number, nowMs: number): boolean {
    if (!lines.usable(dataspace, page, nowMs)) return false;
    if (!this.o.relay.holdsIn(dataspace)) return true;
    return this.o.farUsable?.(dataspace, nowMs) ?? lines.homeUsable(dataspace, nowMs);
  }

  of(action: RoutedAction): RoutedEvent[] {
    switch (action.type) {
      case 'overheard':
        // Whoever may be let go already is not asked; else it is told again, in order with the answer.
        return this.o.isAsked(action.shard) ? [] : [{ part: 'memory', event: action.event }];
      case 'sync': {
        const { event, shards } = action;
        return [{ part: 'relay', event: { type: 'answered', event, shards } }];
      }
      case 'confirmed':
        return [{ part: 'relay', event: action }];
      case 'retired': {
        const { shard, epoch, remaining } = action.retired;
        return [{ part: 'drain', event: { type: 'retired', shard, epoch, remaining } }];
      }
      case 'led':
        return this.led(action);
      case 'suspend':
        return this.suspended(action.shard);
      case 'resume': {
        const { shard } = action;
        const rejoin = { type: 'rejoin', shard, sameDirectory: true } as const;
        return [{ part: 'memory', event: rejoin }, ...this.resumed(shard)];
      }
    }
  }

  private led({ shard, sameLeader, voided }: Extract<NodeAction, { type: 'led' }>): RoutedEvent[] {
    const events: RoutedEvent[] = [];
    if (!sameLeader) events.push({ part: 'drain', event: { type: 'led-anew', shard } });
    if (voided) {
      events.push({ part: 'memory', event: { type: 'expire', shard } });
      events.push({ part: 'relay', event: { type: 'voided', shard } });
    }
    if (!sameLeader) events.push(...this.forsaken(shard));
    events.push({ part: 'relay', event: { type: 'rejoined', shard, newLeader: !sameLeader } });
    events.push({ part: 'memory', event: { type: 'rejoin', shard, sameDirectory: sameLeader } });
    return [...events, ...this.resumed(shard)];
  }

  /** What locks protect goes with the lease of their leader. */
  protected suspended(shard: number): RoutedEvent[] {
    const under = this.o.relay.heldDataspaces(shard);
    return [
      { part: 'memory', event: { type: 'suspend', shard } },
      ...under.map((dataspace): RoutedEvent => {
        return { part: 'memory', event: { type: 'suspend-all', dataspace } };
      }),
      ...this.forsaken(shard),
    ];
  }

  // Pages that another cluster lent are for as long as the lease lasts, and one leader: their gateway reckons with that.
  private forsaken(shard: number): RoutedEvent[] {
    return [...this.o.dataspaces()]
      .filter(({ name }) => isBorrowed(name))
      .map(({ id: dataspace }) => ({ part: 'memory', event: { type: 'forsake', shard, dataspace } }));
  }

  private resumed(shard: number): RoutedEvent[] {
    const events: RoutedEvent[] = [{ part: 'memory', event: { type: 'resume', shard } }];
    for (const { id: dataspace } of this.o.dataspaces())
      if (homeShardOf(dataspace, this.o.shards) === shard)
        events.push({ part: 'memory', event: { type: 'resume-all', dataspace } });
    return events;
  }
}
