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
  private readonly members = new Map<string, Map<string, Membership>>();
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

  start(replica: string): AtStart {
    const noted = new Map(this.members.get(replica));
    return { incarnation: ++this.starts, noted, dataspaces: [...this.dataspaces] };
  }

  allMembers(): Map<string, Map<string, Membership>> {
    return new Map([...this.members].map(([replica, members]) => [replica, new Map(members)]));
  }

  keep(replica: string, note: Note): void {
    const members = this.members.get(replica) ?? new Map<string, Membership>();
    this.members.set(replica, members);
    if (note.about === 'taken-in') members.set(note.node, note.membership);
    else if (note.about === 'dead') members.delete(note.node);
    else throw new Error(`${note.about} is not kept here`);
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

function attempt<T>(work: () => T): { ok: true; value: T } | { ok: false } {
  try {
    return { ok: true, value: work() };
  } catch {
    return { ok: false };
  }
}
