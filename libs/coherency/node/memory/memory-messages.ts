// What goes into the memory of a node and what comes out of it.
import type { HolderAction, HolderEvent } from '../../holder/holder-messages.ts';
import type { AccessMode, HolderId, PageRun, PageSpan, PageState } from '../../page.ts';
import type { Wanted } from '../readahead/readahead.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { Mapping } from './page-tables.ts';
import type { Fault, FaultPlace } from './waiting.ts';

/** What a leader of the directory says of pages. */
export type DirectoryWord = Extract<
  HolderEvent,
  { type: 'grant' | 'recall' | 'invalidate' | 'refuse' | 'settled' }
>;

export type PageData = Extract<HolderEvent, { type: 'data' }>;

/** Pages to ask for when what this turn has for others is on its way. */
export interface Ahead<M extends Mapping> {
  type: 'ahead';
  entry: M;
  wanted: readonly Wanted[];
  mode: AccessMode;
}

/**
 * The node itself needs a run of pages. `usable` follows: then, and before anything else happens, the pages may be read or
 * written; or `again`: the same event is due once more; or `refused`. Where such pages are LOST, those of `anew` begin
 * anew with zeros, until `end`: somebody accepts that, or writes them whole.
 */
export interface Use {
  type: 'use';
  /** Names it; the caller makes it, and never uses it again. */
  operation: number;
  run: PageRun;
  mode: AccessMode;
  anew?: PageSpan | undefined;
}

/** What the leases and leaders of shards make of what is here. */
export type ShardEvent =
  /** Of a shard's leader. @see HolderEvent */
  | { type: 'rejoin'; shard: number; sameDirectory: boolean }
  | { type: 'expire'; shard: number }
  | { type: 'forsake'; shard: number; dataspace: bigint }
  /** No lease: all access goes, whoever needs it waits in a fault, and nothing is forgotten. */
  | { type: 'suspend'; shard: number }
  | { type: 'suspend-all'; dataspace: bigint }
  /** What was suspended may be used: who waits looks again. */
  | { type: 'resume'; shard: number }
  | { type: 'resume-all'; dataspace: bigint };

export type MemoryEvent<M extends Mapping, B> =
  | DirectoryWord
  /** Pages came from another holder. */
  | { type: 'arrive'; data: PageData; bytes: B }
  | Fault<M>
  /** There may be a frame for a fault that was `short` of one. */
  | { type: 'again'; fault: Fault<M>; place: FaultPlace }
  /** There is none, and who faulted gets an error. */
  | { type: 'denied'; fault: Fault<M>; reason: string }
  /** A guest runs again: the pages beside its fault are mapped, too, as far as they are here. */
  | { type: 'neighbours'; fault: Fault<M> }
  | Ahead<M>
  /** A process says, or shows, that it will read or write pages. */
  | { type: 'advise'; entry: M; firstPage: number; pageCount: number; mode: AccessMode }
  | Use
  /** An operation is over, however it went. */
  | { type: 'end'; operation: number; dataspace: bigint }
  /** A dataspace is known here. `whole`: this node made it, and holds all of it. */
  | { type: 'open'; dataspace: NodeDataspace<M, B>; whole: boolean }
  /** Of another pmap manager of this node; `resumeHolder` follows. */
  | { type: 'adopt'; dataspace: NodeDataspace<M, B> }
  /** The cluster removed a dataspace before this pmap manager went on with it. */
  | { type: 'disown'; dataspace: bigint }
  /** The cluster removed it. */
  | { type: 'remove'; dataspace: bigint }
  /** A page that was LOST at a version was found in the backing store, which was read after that was said. */
  | { type: 'found'; dataspace: bigint; page: number; version: number; lostVersion: number; bytes: B }
  /** It cannot be brought back. */
  | { type: 'not-found'; dataspace: bigint; page: number; lostVersion: number; reason: string }
  | ShardEvent
  /** To make room: copies of pages that others have, too, are not needed here. */
  | { type: 'spare'; run: PageRun }
  /** Every mapping of a run is emptied; the pages stay, and each access faults anew. */
  | { type: 'empty'; run: PageRun };

/**
 * Why the node itself does not get pages.
 *
 *   AGAIN      another pmap manager takes the place of this one: the same may succeed there
 *   BUSY       too many wait for the page
 *   LOST       its only copy is gone, with its node or a gateway
 *   REMOVED    the dataspace is gone
 *   NO_FRAMES  the node has no room for them
 */
export type UseRefusal = 'AGAIN' | 'BUSY' | 'LOST' | 'REMOVED' | 'NO_FRAMES';

export type MemoryAction<M extends Mapping, B> =
  /** To the leader of the pages. */
  | Extract<HolderAction, { type: 'acquire' | 'ack' }>
  /** To the leader of a shard. */
  | (Extract<HolderAction, { type: 'report' }> & { shard: number })
  /** To another holder; `bytes` undefined: zeros. `keep`: they are kept here, and must not be changed. */
  | {
      type: 'deliver';
      receiver: HolderId;
      run: PageRun;
      version: number;
      state: PageState;
      bytes: B | undefined;
      keep: boolean;
    }
  /** A guest runs again. `neighbours`: an event of that type is due, when what this turn has for others is on its way. */
  | { type: 'resolved'; fault: Fault<M>; place: FaultPlace; neighbours: boolean }
  /** An event that is due then. */
  | Ahead<M>
  /** There is no frame for a fault: `again` when there may be one, or `denied`. */
  | { type: 'short'; fault: Fault<M>; place: FaultPlace; sharedOnly: boolean }
  /** A fault becomes an error of its process. */
  | { type: 'fault-error'; fault: Fault<M>; signal: 'SIGSEGV' | 'SIGBUS'; reason: string; limit?: string }
  | { type: 'usable'; operation: number }
  | { type: 'again'; operation: number }
  | { type: 'refused'; operation: number; refusal: UseRefusal; reason: string }
  /** Pages of a durable dataspace are LOST at a version: `found` or `not-found` is due for each. */
  | { type: 'fetch'; run: PageRun; lostVersion: number }
  /** So many needed a page that is lost, or that is not here any more, and with its cluster. */
  | {
      type: 'page-lost' | 'page-withdrawn';
      dataspace: string;
      page: number;
      accesses: number;
      reason: string;
    };

/** What is counted for people. */
export interface MemoryTally {
  pagesIn: number;
  pagesOut: number;
  invalidations: number;
}

/** What the lines to the directory, and the range locks, say right now: a port. */
export interface Permissions<M extends Mapping> {
  /** True while what the directory permitted of a page may be used: its leases last. */
  usable(dataspace: bigint, page: number): boolean;
  /** The epoch of the leader of a page. */
  epochOf(dataspace: bigint, page: number): bigint;
  /** True where the process of a mapping holds a lock under which it writes a page. */
  modifies(entry: M, page: number): boolean;
}

export type EventOf<T extends MemoryEvent<never, never>['type'], M extends Mapping, B> = Extract<
  MemoryEvent<M, B>,
  { type: T }
>;

const WORDS: ReadonlySet<HolderEvent['type']> = new Set([
  'grant',
  'recall',
  'invalidate',
  'refuse',
  'settled',
]);

/** True for what only a leader of the directory says. */
export function isDirectoryWord(event: HolderEvent): event is DirectoryWord {
  return WORDS.has(event.type);
}
