// What goes into the election of a replica and what comes out of it.
import type { Membership } from '../members.ts';
import type { Led, LogAction } from '../replica-messages.ts';

/** A replica as the leader of a shard at an epoch. */
export interface Leadership {
  replica: string;
  epoch: bigint;
}

/** What a shard's key says. */
export interface ShardValue {
  replica: string;
  incarnation: bigint;
  /** Given up, for that replica to take. */
  to?: string | undefined;
  /** Where it is not the revision of this entry any more. */
  epoch?: bigint | undefined;
  /** The last leader that had all reports: until the present one has them, the notes of that one count. */
  before?: Leadership | undefined;
}

/** What a replica's heartbeat says. */
export interface PeerValue {
  /** Where holders reach it. */
  address: string;
  incarnation: bigint;
  /** It takes no other replica to be there. */
  standalone: boolean;
}

/** By replica and node. */
export type AllMembers = ReadonlyMap<string, ReadonlyMap<string, Membership>>;

export type ElectionEvent =
  /** Both buckets were seen as they are: from now on this replica takes part. */
  | { type: 'watched' }
  /** A replica's heartbeat was seen; undefined: it left. */
  | { type: 'peer'; name: string; value: PeerValue | undefined }
  /** A shard's key was seen, in any order. */
  | { type: 'shard'; shard: number; revision: number; value: ShardValue | undefined }
  /** What became of a heartbeat. */
  | { type: 'beaten'; beat: number; kept: boolean; reason?: string | undefined }
  /** What is noted of holders; undefined: that could not be read. */
  | { type: 'members'; read: number; members: AllMembers | undefined }
  /** What became of a compare-and-set; undefined: refused, or nobody knows. */
  | { type: 'swapped'; swap: number; revision: number | undefined }
  /** All reports of a shard are in; `noted` answers. */
  | { type: 'rebuilt'; shard: number; note: number }
  /** These are not led from here any more. */
  | { type: 'stepDown'; shards: readonly number[] }
  | { type: 'close' };

export type ElectionAction =
  | { type: 'beat'; beat: number; value: PeerValue }
  /** Takes the heartbeat back: the others need not wait for a lease. */
  | { type: 'retreat' }
  | { type: 'read'; read: number }
  /** Compare-and-set of a shard's key. @property revision that it must have; undefined: it must not be there */
  | { type: 'swap'; swap: number; shard: number; value: ShardValue; revision: number | undefined }
  /** For the replica. */
  | ({ type: 'lead' } & Led)
  | { type: 'leave'; shard: number }
  | { type: 'mayLead'; untilMs: number }
  | { type: 'noted'; note: number; kept: boolean; reason?: string }
  /** This replica must not run beside another one. */
  | { type: 'conflict'; reason: string }
  | LogAction;
