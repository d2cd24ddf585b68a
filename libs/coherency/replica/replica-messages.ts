// What goes into a replica of the directory and what comes out of it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DirectoryEventSchema, InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import type { HolderId } from '../page.ts';
import type { Membership } from './members.ts';
import type { Note } from './note.ts';

/** Names a stream of a holder; whoever carries the streams makes a new one for each. */
export type StreamId = number;

export type DirectoryEventInit = MessageInitShape<typeof DirectoryEventSchema>;

/** A shard to lead. */
export interface Led {
  shard: number;
  epoch: bigint;
  /** By node: the holders that lived at the last leader, as it had noted them. */
  expected: ReadonlyMap<string, Membership>;
  /** By node: those that others who led it since, and never served it, may have given a lease to; of them nothing is believed. */
  leased?: ReadonlyMap<string, Membership> | undefined;
  /** Of the last leader that served the shard; 0: not known. */
  lastEpoch: bigint;
}

export type ReplicaEvent =
  /** The stream is gone, however it ended. May be said again. */
  | { type: 'closed'; stream: StreamId }
  /** What became of a note. Comes late, twice or never, and a note that was not kept may still be. */
  | { type: 'noted'; note: number; kept: boolean; reason?: string | undefined }
  | ({ type: 'lead' } & Led)
  | { type: 'leave'; shard: number }
  /** From then on another replica may have the shards of this one. */
  | { type: 'mayLead'; untilMs: number }
  /** The cluster removed a dataspace. */
  | { type: 'removed'; dataspace: bigint }
  /** A holder is known to be dead before its lease ended. */
  | { type: 'dead'; holder: HolderId; reason: string };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** For people. */
export interface LogAction {
  type: 'log';
  level: LogLevel;
  text: string;
  about: Readonly<Record<string, unknown>>;
}

/** As gRPC names them. */
export type StreamError = 'INVALID_ARGUMENT' | 'RESOURCE_EXHAUSTED' | 'FAILED_PRECONDITION' | 'UNAVAILABLE';

export type ReplicaAction =
  | { type: 'send'; stream: StreamId; event: DirectoryEventInit['event'] }
  /** Ends a stream in peace: another one took its place, or its holder is dead. */
  | { type: 'end'; stream: StreamId }
  /** Ends a stream with an error. `field`: of the message, that will not do. */
  | { type: 'fail'; stream: StreamId; code: StreamError; text: string; field?: string }
  /** To all who follow a dataspace; it may be lost. */
  | { type: 'broadcast'; dataspace: bigint; value: MessageInitShape<typeof InvalidateSchema> }
  /** To be kept where the next leader reads it; `noted` tells what became of it. */
  | { type: 'note'; note: number; what: Note }
  /** These shards are not led from here any more, though nobody asked for them: whoever can goes on with what is kept. */
  | { type: 'stepDown'; shards: readonly number[]; reason: string }
  | LogAction
  /** Of `vkctl events`. */
  | { type: 'event'; kind: 'holder-buried' | 'holder-left'; text: string; holder: string };
