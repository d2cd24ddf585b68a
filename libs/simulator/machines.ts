// The real machines as the simulated parts make them, and what the machines require of their callers. A mutant replaces
// one of these.
import { Directory } from '@odonata/coherency/directory.ts';
import { Holder } from '@odonata/coherency/holder.ts';
import { HolderLease, LeaseTable } from '@odonata/coherency/lease.ts';
import { Home } from '@odonata/coherency/node/home.ts';
import { NodeMemory } from '@odonata/coherency/node/memory.ts';
import type { MemoryPorts } from '@odonata/coherency/node/memory-context.ts';
import type { RunsOf } from '@odonata/coherency/page.ts';
import { RangeLocks } from '@odonata/coherency/range-lock.ts';
import { ShardedHolder } from '@odonata/coherency/sharded-holder.ts';
import { Waiters } from '@odonata/coherency/waiters.ts';
import { type DurableStore, latestOf, MemoryStore, type StoredPage } from './durable-store.ts';
import type { ProcessMapping } from './parts/mapping.ts';
import type { Core } from './parts/memory.ts';

export interface Machines {
  /** cohd's. */
  directory(): Directory;
  /** A pmap manager's, towards its virtual kernels. */
  home(): Directory;
  holder(runsOf: RunsOf): Holder;
  /** A pmap manager's memory, around its `home` and `holder`. */
  memory(this: Pick<Machines, 'home' | 'holder'>, ports: MemoryPorts<ProcessMapping>, shards: number): Core;
  holderLease(): HolderLease;
  leaseTable(leaseMs: number): LeaseTable;
  locks(): RangeLocks;
  waiters(): Waiters;
  store(): DurableStore;
  /** What is brought back of what the copies of the store have intact. */
  pick(found: readonly (StoredPage | undefined)[]): StoredPage | undefined;
}

/** Duties of who feeds the machines. */
export interface Duties {
  /** A message of another epoch than the directory's is dropped. */
  fenceEpochs: boolean;
  /** The epoch of a page is that of its shard, and of no other. */
  epochOfShard: boolean;
  /** When the lease of a shard ends its pages are taken away. */
  takeLapsed: boolean;
  /** Who holds locks in a dataspace uses its pages while the lease of the locks' shard lasts. */
  heedHome: boolean;
  /** A lock is asked for at the home shard of its dataspace, whatever range it is of. */
  lockAtHome: boolean;
  /** Pages from another holder are dropped where the receiver is no longer whom they were sent to. */
  nameReceiver: boolean;
  /** A virtual kernel takes its own mappings away when its node's lease ends. */
  watchDeadline: boolean;
  /** A pmap manager that starts takes away what virtual kernels of the last one map, before it says hello. */
  emptyLeftovers: boolean;
  /** A directory answers no renewal, takes nobody in and buries nobody unless it knows that it leads. */
  proveLeadership: boolean;
  /** A new directory believes reports only of holders that the last one had not buried. */
  refuseBuried: boolean;
  /** A holder whose report came too late for a new directory is dead, though it is attached. */
  buryLateReporters: boolean;
  /** That the creator of a dataspace was buried is noted where the next directory reads it. */
  noteLostCreators: boolean;
  /** A new directory learns which holders were declared dead once, and cannot say what they had then. */
  nameReborn: boolean;
  /** A sync is done when both copies of the store have it. */
  awaitBothStores: boolean;
  /** A sync is answered when the store has it. */
  awaitStored: boolean;
  /** A page that may have begun anew while it was stored is stored anew before that is answered. */
  storeLostAnew: boolean;
  /** What a page has under a later leader is later in the store. */
  storeByEpoch: boolean;
  /** A directory heeds no unlock that was said before a lock of the same owner that it has heard. */
  dropLateUnlocks: boolean;
  /** A node that leaves lets others fetch also what nobody asked for of dataspaces that it made. */
  fetchPlain: boolean;
  /** A node that said goodbye to a directory does not come back to it. */
  stayGone: boolean;
  /** What a node asked to be let go from, and got no answer of a directory that died, is void. */
  voidUnanswered: boolean;
  /** An unlock is said again until it is confirmed. */
  repeatUnlock: boolean;
  /** Whoever goes on with the memory of a node takes it that what has a frame is mapped. */
  claimFrames: boolean;
}

export const REAL_MACHINES: Machines = {
  directory: () => new Directory({ home: false }),
  home: () => new Directory({ home: true }),
  holder: (runsOf) => new Holder(runsOf),
  memory(ports, shards) {
    const holder = new ShardedHolder(shards, this.holder);
    return new NodeMemory(ports, { holder, home: new Home(ports.tables, this.home()) });
  },
  holderLease: () => new HolderLease(),
  leaseTable: (leaseMs) => new LeaseTable(leaseMs),
  locks: () => new RangeLocks(),
  waiters: () => new Waiters(),
  store: () => new MemoryStore(),
  pick: latestOf,
};

export const ALL_DUTIES: Duties = {
  fenceEpochs: true,
  epochOfShard: true,
  takeLapsed: true,
  heedHome: true,
  lockAtHome: true,
  nameReceiver: true,
  watchDeadline: true,
  emptyLeftovers: true,
  proveLeadership: true,
  refuseBuried: true,
  buryLateReporters: true,
  noteLostCreators: true,
  nameReborn: true,
  awaitBothStores: true,
  awaitStored: true,
  storeLostAnew: true,
  storeByEpoch: true,
  dropLateUnlocks: true,
  fetchPlain: true,
  stayGone: true,
  voidUnanswered: true,
  repeatUnlock: true,
  claimFrames: true,
};
