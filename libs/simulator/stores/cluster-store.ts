// What the cluster keeps apart from its directory, as JetStream does in the real one: heartbeats of replicas, the key of
// each shard, which holders live, and which dataspaces there are. Requests and answers may be lost: whoever asked does not
// know what became of it then. Changes are told to who follows them, in order, and late.

import type { Dataspace } from '@odonata/coherency/replica/dataspaces.ts';
import type { PeerValue, ShardValue } from '@odonata/coherency/replica/election/election-messages.ts';
import type { Membership } from '@odonata/coherency/replica/members.ts';
import type { Note } from '@odonata/coherency/replica/note.ts';
import type { Simulation } from '../simulation.ts';
import { LEASE_MS } from '../world/lease-ms.ts';
import { type Endpoint, Stream } from '../world/network.ts';
import { Part } from '../world/part.ts';
import type { Place } from '../world/place.ts';

/** How long whoever asks waits for an answer. */
const ANSWER_MS = LEASE_MS / 2;

/** What is noted of a node. */
interface Noted {
  /** The process of the replica that wrote it, or took it over. */
  start: bigint;
  /** None: its holder is dead. */
  membership: Membership | undefined;
}

interface Key {
  value: ShardValue;
  revision: number;
}

export type Change =
  | { type: 'peer'; name: string; value: PeerValue | undefined }
  | { type: 'shard'; shard: number; revision: number; value: ShardValue | undefined }
  | { type: 'dataspace'; dataspace: Dataspace }
  /** All that was there when it was asked for was told. */
  | { type: 'watched' };

/** A replica, as the store knows it. */
export interface Follower extends Endpoint {
  readonly name: string;
  timer(delayLocalMs: number, work: () => void): void;
}

/** What a replica reads when it starts. */
export interface AtStart {
  incarnation: bigint;
  noted: ReadonlyMap<string, Membership>;
  dataspaces: readonly Dataspace[];
}

export class ClusterStore extends Part {
  readonly dataspaces: Dataspace[] = [];
  /** How often a shard was taken. */
  taken = 0;
  private readonly simulation: Simulation;
  private readonly beats = new Map<string, PeerValue>();
  private readonly keys: (Key | undefined)[];
  /** By replica and node. */
  private readonly notes = new Map<string, Map<string, Noted>>();
  private readonly followers = new Map<string, { incarnation: bigint; stream: Stream<Change> }>();
  private lastRevision = 0;
  private starts = 0n;

  constructor(simulation: Simulation, place: Place) {
    super(simulation, place.name, place);
    this.simulation = simulation;
    this.keys = Array.from({ length: simulation.layout.shards }, () => undefined);
  }

  // ---- what the checkers look at

  /** Of the replica that was the last to take a shard; 0n: nobody did. */
  epochOf(shard: number): bigint {
    const key = this.keys[shard];
    return key === undefined ? 0n : (key.value.epoch ?? BigInt(key.revision));
  }

  /** True where what a replica noted is what the next leader of a shard believes. */
  isServedBy(shard: number, replica: string): boolean {
    const value = this.keys[shard]?.value;
    return (value?.before?.replica ?? value?.replica) === replica;
  }

  // ---- requests

  /** Has something done, and waits for the answer, for so long at most. @param work throws: it is refused */
  ask<T>(from: Follower, work: () => T, answered: (value: T) => void, failed: () => void): void {
    const { network } = this.simulation;
    const { generation } = from;
    let over = false;
    const end = (tell: () => void): void => {
      if (over) return;
      over = true;
      tell();
    };
    this.after(network.delayMs(), () => {
      if (!network.passes(from.place, this.place)) return;
      const answer = attempt(work);
      from.answered(generation, network.delayMs(), () => {
        if (network.passes(this.place, from.place))
          end(() => (answer.ok ? answered(answer.value) : failed()));
      });
    });
    from.timer(ANSWER_MS, () => end(failed));
  }

  /** Of a process of a replica: later ones have higher numbers. */
  nextStart(): bigint {
    return ++this.starts;
  }

  /**
   * From now on what an earlier process of the replica says of the same nodes, and comes late, is refused.
   * @throws Error where a later process began
   */
  start(replica: string, incarnation: bigint): AtStart {
    const notes = this.notes.get(replica) ?? new Map<string, Noted>();
    if (this.simulation.duties.fenceNotes)
      for (const noted of notes.values()) {
        if (noted.start > incarnation) throw new Error('a later process began');
        noted.start = incarnation;
      }
    return { incarnation, noted: membersOf(notes), dataspaces: [...this.dataspaces] };
  }

  allMembers(): Map<string, Map<string, Membership>> {
    return new Map([...this.notes].map(([replica, notes]) => [replica, membersOf(notes)]));
  }

  /** @throws Error where a later process of the replica wrote, or took over, what is noted of that node */
  keep(replica: string, start: bigint, note: Note): void {
    if (note.about === 'rebuilt') throw new Error(`${note.about} is not kept here`);
    const notes = this.notes.get(replica) ?? new Map<string, Noted>();
    this.notes.set(replica, notes);
    const later = (notes.get(note.node)?.start ?? 0n) > start;
    if (later && this.simulation.duties.fenceNotes) throw new Error('it has another revision');
    notes.set(note.node, { start, membership: note.about === 'taken-in' ? note.membership : undefined });
  }

  beat(name: string, value: PeerValue | undefined): void {
    if (value === undefined) this.beats.delete(name);
    else this.beats.set(name, value);
    this.tell({ type: 'peer', name, value });
  }

  /** @throws Error where the key has another revision */
  swap(shard: number, value: ShardValue, revision: number | undefined): number {
    if (this.keys[shard]?.revision !== revision) throw new Error('it has another revision');
    const key = { value, revision: ++this.lastRevision };
    this.keys[shard] = key;
    if (value.epoch === undefined) this.taken++;
    this.tell({ type: 'shard', shard, ...key });
    return key.revision;
  }

  register(dataspace: Dataspace): void {
    this.dataspaces.push(dataspace);
    this.tell({ type: 'dataspace', dataspace });
  }

  // ---- who follows

  /** Tells all that is there, and then what changes. */
  follow(follower: Follower, incarnation: bigint, see: (change: Change) => void): void {
    // An earlier process of the replica asked for it, and is no more.
    if ((this.followers.get(follower.name)?.incarnation ?? 0n) > incarnation) return;
    this.unfollow(follower);
    const stream = new Stream<Change>(this.simulation.network, this.simulation, this, follower, see);
    this.followers.set(follower.name, { incarnation, stream });
    for (const [name, value] of this.beats) stream.send({ type: 'peer', name, value });
    this.keys.forEach((key, shard) => {
      if (key !== undefined) stream.send({ type: 'shard', shard, ...key });
    });
    for (const dataspace of this.dataspaces) stream.send({ type: 'dataspace', dataspace });
    stream.send({ type: 'watched' });
  }

  unfollow(follower: Pick<Follower, 'name'>): void {
    this.followers.get(follower.name)?.stream.break();
    this.followers.delete(follower.name);
  }

  private tell(change: Change): void {
    for (const { stream } of this.followers.values()) stream.send(change);
  }
}

function membersOf(notes: ReadonlyMap<string, Noted>): Map<string, Membership> {
  const members = new Map<string, Membership>();
  for (const [node, { membership }] of notes) if (membership !== undefined) members.set(node, membership);
  return members;
}

function attempt<T>(work: () => T): { ok: true; value: T } | { ok: false } {
  try {
    return { ok: true, value: work() };
  } catch {
    return { ok: false };
  }
}
