// What goes into the relay of range locks, waits, wakes and barriers, and what comes out of it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DirectoryEvent } from '@odonata/proto/coherency/v1/coherency';
import type { PmapEventSchema, VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import type { LockMode } from '../../locks/lock-mode.ts';
import type { HolderEventInit } from '../lines/holder-wire.ts';

export type SyncEvent = Extract<
  VkernelEvent['event'],
  { case: 'lock' | 'unlock' | 'wait' | 'cancelWait' | 'wake' | 'barrier' }
>;

/** A range as a process locks it; the end is inclusive. */
export interface LockedRange {
  owner: bigint;
  dataspace: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
}

/** Sessions of virtual kernels are numbers that no other one of the node gets. */
export type RelayEvent =
  /** A virtual kernel asks. `request`: its own number for it. */
  | { type: 'asked'; session: number; request: bigint; event: SyncEvent }
  /** An answer to a lock, a wait, a wake or a barrier, by the leader of these shards. */
  | { type: 'answered'; event: DirectoryEvent['event']; shards: readonly number[] }
  /** The leaders of these shards heard everything that was said to them before a time. */
  | { type: 'confirmed'; shards: readonly number[]; sentMs: number }
  /** The leader of a shard buried this node: the locks of its processes there may be others' by now. */
  | { type: 'voided'; shard: number }
  /** A dataspace is gone, with its desk: nobody waits for that any more. */
  | { type: 'removed'; dataspace: bigint }
  /** A shard has a leader over a new stream: what was lost with the last one is said again. */
  | { type: 'rejoined'; shard: number; newLeader: boolean }
  /** A process ended. */
  | { type: 'owner-gone'; owner: bigint }
  | { type: 'session-gone'; session: number };

export type RelayAction =
  /** To the leader of a shard, lost where there is none; or to the desk of that number. */
  | { type: 'say'; shard: number; event: HolderEventInit }
  /** To all leaders. */
  | { type: 'say-all'; event: HolderEventInit }
  /** To a virtual kernel. `limit`: it is refused for one. */
  | { type: 'answer'; session: number; event: MessageInitShape<typeof PmapEventSchema>; limit?: string }
  /** What a process locks it will use: the pages under the range come along, where it maps them. */
  | { type: 'bring'; locked: LockedRange }
  /** Processes lost range locks: they must not go on as if they had them. `desk`: of whose word no more counts. */
  | { type: 'lost'; owners: ReadonlySet<bigint>; desk?: number };

/** An answer of the directory to what was asked of it. */
type Result = Extract<
  DirectoryEvent['event'],
  { case: 'lockResult' | 'waitResult' | 'wakeResult' | 'barrierResult' }
>;
const RESULTS = new Set(['lockResult', 'waitResult', 'wakeResult', 'barrierResult']);
export const isResult = (event: DirectoryEvent['event']): event is Result => RESULTS.has(event.case ?? '');
