// What a part sees of the cluster around it: the other parts, and who looks at them all.
import type { AccessMode, HolderIdentity, PageRun } from '@odonata/coherency/page.ts';
import type { Invalidate } from '@odonata/proto/coherency/v1/coherency';
import type { AccessChecker, AccessingVkernel } from '../checkers/access.ts';
import type { BarrierChecker } from '../checkers/barriers.ts';
import type { DurabilityChecker } from '../checkers/durability.ts';
import type { LatestValueChecker } from '../checkers/latest-value.ts';
import type { LockChecker } from '../checkers/lock-order.ts';
import type { LossChecker } from '../checkers/loss.ts';
import type { StorePart } from '../parts/store.ts';
import type { Simulation } from '../simulation.ts';
import type { ClusterStore } from '../stores/cluster-store.ts';
import type { HoldingReplica } from './connection.ts';
import type { Endpoint } from './network.ts';
import type { PageTransfer } from './page-transfer.ts';

/** Another node. */
export interface Neighbour extends Endpoint {
  readonly runs: boolean;
  /** It hands over what it has. */
  readonly isLeaving: boolean;
  readonly identity: HolderIdentity;
  arrive(transfer: PageTransfer): void;
  overhear(message: Invalidate): void;
  /** Fetches copies of pages that another node is about to leave behind; to write: it takes them over. */
  adopt(runs: readonly PageRun[], mode: AccessMode, adopted: () => void, refused: () => void): void;
}

/** A replica of the directory. */
export interface ReplicaAround extends HoldingReplica {
  /** Where nodes reach it. */
  readonly address: string;
}

export interface Surroundings extends Simulation {
  readonly cluster: ClusterStore;
  readonly stores: readonly StorePart[];
  readonly nodes: readonly Neighbour[];
  readonly replicas: readonly ReplicaAround[];
  /** All that have not ended, also those whose pmap manager died. */
  readonly vkernels: Set<AccessingVkernel>;
  readonly access: AccessChecker;
  readonly latest: LatestValueChecker;
  readonly losses: LossChecker;
  readonly locks: LockChecker;
  readonly barriers: BarrierChecker;
  readonly durability: DurabilityChecker;
  nextPid(): bigint;
  /** A number that no other stream or request has, greater than those before. */
  nextNumber(): number;
}
