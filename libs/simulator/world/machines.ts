// The shipped machines, as the simulated parts make them. A mutant replaces one of them by a class that does one thing wrong.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import { Holder } from '@odonata/coherency/holder/holder.ts';
import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import { LeaseTable } from '@odonata/coherency/lease.ts';
import { Barriers } from '@odonata/coherency/locks/barriers.ts';
import { RangeLocks } from '@odonata/coherency/locks/range-lock.ts';
import type { SyncMachines } from '@odonata/coherency/locks/sync-desk.ts';
import { Waiters } from '@odonata/coherency/locks/waiters.ts';
import { NodeBacking } from '@odonata/coherency/node/backing.ts';
import { type DrainPorts, NodeDrain } from '@odonata/coherency/node/drain.ts';
import { Home } from '@odonata/coherency/node/home.ts';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import { NodeRoutes, type RoutesOptions } from '@odonata/coherency/node/lines/routes.ts';
import {
  holderSnapshot,
  holderWire,
  ledShard,
  ledWire,
} from '@odonata/coherency/node/lines/shard-snapshot.ts';
import type { LinesOptions } from '@odonata/coherency/node/lines/streams.ts';
import { NodeMemory } from '@odonata/coherency/node/memory/memory.ts';
import type { MemoryPorts } from '@odonata/coherency/node/memory/memory-context.ts';
import type { Captured } from '@odonata/coherency/node/memory/operations.ts';
import { NodePool, type PoolPorts } from '@odonata/coherency/node/pool/pool.ts';
import { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { RunsOf } from '@odonata/coherency/page.ts';
import { Election, type ElectionOptions } from '@odonata/coherency/replica/election/election.ts';
import { Members, type Membership } from '@odonata/coherency/replica/members.ts';
import { Notes, type NotesOptions } from '@odonata/coherency/replica/notes.ts';
import { Replica } from '@odonata/coherency/replica/replica.ts';
import { type RebuildOptions, ShardRebuild } from '@odonata/coherency/replica/shard/rebuild.ts';
import type { ReplicaOptions } from '@odonata/coherency/replica/shard/replica-shards.ts';
import { ShardLeader, type ShardLeaderOptions } from '@odonata/coherency/replica/shard/shard-leader.ts';
import type { ProcessMapping } from '../parts/mapping.ts';
import type { PageValues } from '../parts/page-values.ts';
import { type DurableStore, latestOf, MemoryStore, type StoredPage } from '../stores/durable-store.ts';
import { type DeskWatch, WatchedDesk } from './watched-desk.ts';

export type Memory = NodeMemory<ProcessMapping, PageValues>;
/** Pages that were captured for the store, with what they showed. */
export type CapturedValues = Captured & { readonly values: readonly number[] };
export type Backing = NodeBacking<CapturedValues, PageValues, Error>;

/** How a shard that a node knows is handed over, and taken over. */
export interface Wire {
  led: typeof ledWire;
  holder: typeof holderWire;
  ledFrom: typeof ledShard;
  holderFrom: typeof holderSnapshot;
}

export interface Machines {
  // ---- a replica
  replica(options: ReplicaOptions): Replica;
  election(options: ElectionOptions, nowMs: number): Election;
  members(start: bigint, before: ReadonlyMap<string, Membership>): Members;
  notes<F>(options: NotesOptions): Notes<F>;
  leases(leaseMs: number): LeaseTable;
  leader(options: ShardLeaderOptions): ShardLeader;
  directory(): Directory;
  rebuild(options: RebuildOptions): ShardRebuild;
  desk(this: Pick<Machines, 'locks' | 'waiters' | 'barriers'>, watch: DeskWatch): WatchedDesk;
  locks(): RangeLocks;
  waiters(): Waiters;
  barriers(): Barriers;
  // ---- a node
  lines(options: LinesOptions, inherited: readonly LedShard[] | undefined): Lines;
  relay(shards: number): Relay;
  routes(options: RoutesOptions): NodeRoutes;
  drain(ports: DrainPorts, shards: number): NodeDrain;
  pool(ports: PoolPorts): NodePool;
  backing(options: { chunkPages: number; holds(captured: CapturedValues): boolean }): Backing;
  home(): Directory;
  holder(runsOf: RunsOf): Holder;
  /** A pmap manager's memory, around its `home` and `holder`. */
  memory(this: Pick<Machines, 'home' | 'holder'>, ports: MemoryPorts<ProcessMapping>, shards: number): Memory;
  readonly wire: Wire;
  // ---- the simulated store
  store(): DurableStore;
  /** What is brought back of what the copies of the store have intact. */
  pick(found: readonly (StoredPage | undefined)[]): StoredPage | undefined;
}

/** Duties of what stands around the machines. */
export interface Duties {
  /** A virtual kernel takes its own mappings away when its node's lease ends. */
  watchDeadline: boolean;
  /** A pmap manager that starts takes away what virtual kernels of the last one map, before it says hello. */
  emptyLeftovers: boolean;
  /** Whoever goes on with the memory of a node takes it that what has a frame is mapped. */
  claimFrames: boolean;
  /** A sync is stored when both copies of the store have it. */
  awaitBothStores: boolean;
  /** What a process of a replica noted, and comes late, does not undo what a later one has noted. */
  fenceNotes: boolean;
}

export const REAL_MACHINES: Machines = {
  replica: (options) => new Replica(options),
  election: (options, nowMs) => new Election(options, nowMs),
  members: (start, before) => new Members(start, before),
  notes: (options) => new Notes(options),
  leases: (leaseMs) => new LeaseTable(leaseMs),
  leader: (options) => new ShardLeader(options),
  directory: () => new Directory({ home: false }),
  rebuild: (options) => new ShardRebuild(options),
  desk(watch) {
    return new WatchedDesk(deskMachines(this), watch);
  },
  locks: () => new RangeLocks(),
  waiters: () => new Waiters(),
  barriers: () => new Barriers(),
  lines: (options, inherited) => new Lines(options, inherited),
  relay: (shards) => new Relay(shards),
  routes: (options) => new NodeRoutes(options),
  drain: (ports, shards) => new NodeDrain(ports, shards),
  pool: (ports) => new NodePool(ports),
  backing: (options) => new NodeBacking(options),
  home: () => new Directory({ home: true }),
  holder: (runsOf) => new Holder(runsOf),
  memory(ports, shards) {
    const holder = new ShardedHolder(shards, this.holder);
    return new NodeMemory(ports, { holder, home: new Home(ports.tables, this.home()) });
  },
  wire: { led: ledWire, holder: holderWire, ledFrom: ledShard, holderFrom: holderSnapshot },
  store: () => new MemoryStore(),
  pick: latestOf,
};

export function deskMachines({
  locks,
  waiters,
  barriers,
}: Pick<Machines, 'locks' | 'waiters' | 'barriers'>): SyncMachines {
  return { locks, waiters, barriers };
}

export const ALL_DUTIES: Duties = {
  watchDeadline: true,
  emptyLeftovers: true,
  claimFrames: true,
  awaitBothStores: true,
  fenceNotes: true,
};
