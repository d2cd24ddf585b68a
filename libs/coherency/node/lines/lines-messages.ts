// What goes into a node's lines to the directory, and what comes out of them.
import type { DeskLetter, DirectoryEvent, Invalidate, Retired } from '@odonata/proto/coherency/v1/coherency';
import type { HolderEventInit, HolderWord, RunEvent } from './holder-wire.ts';

/** Streams are numbers that are never used twice. */
export type LinesEvent =
  /** The replicas of the directory are at these addresses, and nowhere else. */
  | { type: 'replicas'; addresses: readonly string[] }
  /** There is a stream to a replica, as `connect` asked for; nothing was said on it. */
  | { type: 'opened'; replica: string; stream: number }
  /** The next message of a stream. */
  | { type: 'heard'; stream: number; event: DirectoryEvent['event'] }
  /** A stream ended, or could not be opened. */
  | { type: 'broke'; stream: number; reason: string }
  /** A broadcast of the bus. */
  | { type: 'overheard'; message: Invalidate }
  /** What the holder's machine of a shard has to say; `shard`: of a report. */
  | { type: 'word'; word: HolderWord; shard?: number | undefined }
  /** To the leader of a shard. */
  | { type: 'say'; shard: number; event: HolderEventInit }
  /** To all replicas. */
  | { type: 'say-all'; event: HolderEventInit }
  /** Processes of this node map a dataspace, or none does any more. */
  | { type: 'interest'; dataspace: bigint; mapped: boolean }
  /** Asks the leader of a shard to let this node go. Nothing is sent where there is nobody to ask. */
  | { type: 'retire'; shard: number }
  /** Asks all replicas to hold the lease for so long while another process takes the place of this one. */
  | { type: 'hold'; holdMs: number }
  /** This node leaves, and does not come back. */
  | { type: 'goodbye' };

export type LinesAction =
  /** Opens a stream to a replica. `failures` in a row: 0: at once, else after a pause that grows with them. */
  | { type: 'connect'; replica: string; failures: number }
  /** Nothing more of a replica: neither a stream nor an attempt. */
  | { type: 'close'; replica: string }
  /** `epoch`: of the leader that it is for, and for no other one; 0: it says so itself, or it is for any. */
  | { type: 'send'; stream: number; event: HolderEventInit; epoch: bigint }
  | { type: 'log'; level: 'info' | 'warn'; about: object; text: string }
  /** The cluster is not one that this node can join. */
  | { type: 'unfit'; reason: string }
  | NodeAction;

/** What is not for the streams, but for the rest of the node. */
export type NodeAction =
  /** A leader's event that is in order, for the holder's machine. */
  | { type: 'page'; event: RunEvent }
  /** A broadcast that concerns this node. */
  | { type: 'overheard'; shard: number; event: RunEvent }
  /** An answer to a lock, a wait or a wake, by the leader of these shards. */
  | { type: 'sync'; event: DirectoryEvent['event']; shards: readonly number[] }
  /** Of the desk of a dataspace of another cluster, or for it (../../desk). */
  | { type: 'desk'; letter: DeskLetter }
  /** The cluster removed a dataspace. */
  | { type: 'removed'; dataspace: bigint }
  /** The answer to a retire. */
  | { type: 'retired'; retired: Retired }
  /** A shard has a leader: a new one, or the same over a new stream. `voided`: what was held of it is not any more. */
  | { type: 'led'; shard: number; sameLeader: boolean; voided: boolean }
  /**
   * A shard may not be used until `resume` or `led`: all access to it goes. Where that is done later than `lastEndMs`,
   * whoever had access may have used what was somebody else's by then, and ends.
   */
  | { type: 'suspend'; shard: number; lastEndMs: number }
  /** A shard may be used again; nothing of it was lost. */
  | { type: 'resume'; shard: number }
  /** The leaders of these shards heard everything that was sent before a time. */
  | { type: 'confirmed'; shards: readonly number[]; sentMs: number }
  /** Until when what is mapped may be used at the latest; undefined: nothing may. */
  | { type: 'deadline'; deadlineMs: number | undefined };
