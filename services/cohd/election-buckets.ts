// The election's two JetStream buckets: heartbeats of replicas, and the key of each shard. What is done with them
// libs/coherency/replica/election/election.ts decides.
import type { Bus } from '@odonata/bus/bus.ts';
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import type {
  ElectionAction,
  ElectionEvent,
  PeerValue,
} from '@odonata/coherency/replica/election/election-messages.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { WIRE } from '@odonata/rpc/wire-version.ts';
import type { KV } from 'nats';
import { z } from 'zod';

const replicaSchema = z.object({
  address: z.string(),
  incarnation: z.coerce.bigint(),
  standalone: z.boolean(),
  /** What it speaks; absent: version 1. */
  wire: z.object({ oldest: z.number(), newest: z.number() }).optional(),
});
type StoredReplica = z.infer<typeof replicaSchema>;
const shardSchema = z.object({
  replica: z.string(),
  incarnation: z.coerce.bigint(),
  to: z.string().optional(),
  epoch: z.coerce.bigint().optional(),
  before: z.object({ replica: z.string(), epoch: z.coerce.bigint() }).optional(),
});

export interface ElectionBucketsOptions {
  bus: Bus;
  replicas: KV;
  shardKeys: KV;
  replica: string;
  /** Of this process. */
  incarnation: bigint;
  gate: WireGate;
  /** Another replica, with which this one cannot lead shards of one cluster, was there first. */
  onOutvoted(error: Error): void;
}

export class ElectionBuckets {
  private readonly o: ElectionBucketsOptions;
  private readonly stops: (() => void)[] = [];
  /** The last heartbeat of each replica, by its revision. */
  private readonly heard = new Map<string, number>();

  constructor(options: ElectionBucketsOptions) {
    this.o = options;
  }

  /** Tells all that is there, and then what changes. */
  async follow(see: (event: ElectionEvent) => void): Promise<void> {
    const { bus, replicas, shardKeys } = this.o;
    this.stops.push(
      await bus.followBucket(replicas, (entry) => {
        const name = nameOf(entry.key);
        const stored = entry.operation === 'PUT' ? replicaSchema.parse(entry.json()) : undefined;
        if (stored !== undefined) this.expectAgreement(name, stored, entry.revision);
        const { wire: _, ...value } = stored ?? { wire: undefined };
        see({ type: 'peer', name, value: stored && (value as Omit<StoredReplica, 'wire'>) });
      }),
    );
    this.stops.push(
      await bus.followBucket(shardKeys, (entry) => {
        const { key, revision } = entry;
        const value = entry.operation === 'PUT' ? shardSchema.parse(entry.json()) : undefined;
        see({ type: 'shard', shard: Number(key), revision, value });
      }),
    );
  }

  async beat(value: PeerValue): Promise<void> {
    await this.o.replicas.put(keyOf(this.o.replica), storedJson({ ...value, wire: WIRE }));
  }

  /**
   * Replicas that lead shards of one cluster speak one version. Who came later gives way: it ends, with the line. What was
   * left by a replica that is dead is no reason: only a heartbeat that follows another one is.
   */
  private expectAgreement(name: string, { wire, incarnation }: StoredReplica, revision: number): void {
    if (name === this.o.replica) return;
    const before = this.heard.get(name);
    this.heard.set(name, revision);
    try {
      this.o.gate.agree(name, wire);
    } catch (error) {
      if (before === undefined || before === revision || incarnation > this.o.incarnation) return;
      this.o.onOutvoted(error as Error);
    }
  }

  /** Takes the heartbeat back. */
  async retreat(): Promise<void> {
    await this.o.replicas.purge(keyOf(this.o.replica));
  }

  /** @returns the key's new revision @throws Error where it has another one than that, or nobody knows */
  async swap({ shard, value, revision }: Extract<ElectionAction, { type: 'swap' }>): Promise<number> {
    const { shardKeys } = this.o;
    const json = storedJson(value);
    return revision === undefined
      ? await shardKeys.create(String(shard), json)
      : await shardKeys.update(String(shard), json, revision);
  }

  /** What to say of an error. */
  explain(error: unknown): string {
    return this.o.bus.explain(error, 'the election of directories').details;
  }

  close(): void {
    for (const stop of this.stops) stop();
  }
}
