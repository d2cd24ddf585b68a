// What the session of a virtual kernel needs of its node.
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import type { Backing } from '../backing.ts';
import type { RangeNames } from '../contention/range-names.ts';
import type { Frames } from '../frames/frames.ts';
import type { Images } from '../frames/images.ts';
import type { Short } from '../frames/shortage.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Statistics } from '../statistics.ts';
import type { Watches } from '../vmspaces/watches.ts';
import type { SyncRelay } from '../wire/sync-relay.ts';
import type { MappedDataspace } from './map-entry.ts';
import type { VkernelBounds } from './vkernel-bounds.ts';
import type { Vmspace } from './vmspace.ts';

/** The node of a session. */
export interface SessionNode {
  readonly name: string;
  readonly memoryDir: string;
  readonly incarnation: bigint;
  readonly isLeaving: boolean;
  /** @see Node.isStopping */
  readonly isStopping: boolean;
  /** @see Node.deadlineNs */
  readonly deadlineNs: bigint;
  readonly memory: CoherentMemory;
  readonly backing: Backing;
  readonly frames: Frames;
  readonly images: Images;
  readonly sync: SyncRelay;
  readonly statistics: Statistics;
  nextVmspace(): bigint;
  readonly rangeNames: RangeNames;
  /** @see Node.removeDataspace */
  removeDataspace(name: string, by: { requester: Requester }): Promise<void>;
  readonly openings: {
    open(
      name: string,
      sizeBytes: bigint,
      options: { requester: Requester; exclusive: boolean; durable: boolean },
    ): Promise<{ dataspace: SharedDataspace; created: boolean; readOnly: boolean }>;
  };
  readonly line: { interest(dataspace: MappedDataspace): void };
  /** Undefined: it has no swap. */
  readonly pageout: { covered(vmspace: Vmspace, address: bigint, lengthBytes: bigint): void };
  short(short: Short, sharedOnly?: boolean): void;
  endedForMemory(vmspace: Vmspace, reason: string): void;
  readonly watches: Watches;
  readonly bounds: VkernelBounds;
  readonly sessions: SessionKeeper;
}

/** All sessions of the node. */
export interface SessionKeeper {
  /** @see SessionTable.expectFree */
  expectFree(pid: bigint): void;
  /** @see SessionTable.freeProgramPid */
  freeProgramPid(): bigint;
  /** A request was refused for a limit. */
  limited(limit: string, session: { readonly name: string }, reason: string): void;
  /** @throws RpcError RESOURCE_EXHAUSTED */
  expectDescriptor(what: string, session: { readonly vmspaces: ReadonlyMap<bigint, Vmspace> }): void;
  /** A virtual kernel tried what none tries that is what it should be. @see SecurityEvents.refused */
  refused(attempt: string, session: { readonly name: string }, reason: string): void;
}
