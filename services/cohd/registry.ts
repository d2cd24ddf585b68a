// The shared dataspaces of the cluster by name, in a JetStream bucket: what cohd must know again after
// a restart. The revision of the entry that made a dataspace is its identity.
import type { Bus } from '@odonata/bus/bus.ts';
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { KV, KvEntry } from 'nats';
import { z } from 'zod';

export interface DataspaceRecord {
  id: bigint;
  name: string;
  sizeBytes: bigint;
  /** Node that got it whole, and the incarnation of its pmap manager then. */
  creator: string;
  creatorIncarnation: bigint;
  /** It has a backing store. */
  durable: boolean;
}

/** Dataspaces of a cluster. */
export const DATASPACES_MAX = 100_000;
export const DATASPACE_BYTES_MAX = 1n << 40n;

const stored = z.object({
  name: z.string(),
  sizeBytes: z.coerce.bigint(),
  creator: z.string(),
  creatorIncarnation: z.coerce.bigint(),
  durable: z.boolean().default(false),
});

function recordOf(entry: KvEntry): DataspaceRecord {
  return { id: BigInt(entry.revision), ...stored.parse(entry.json()) };
}

/** @throws RpcError INVALID_ARGUMENT */
export function checkName(name: string): void {
  if (/^[A-Za-z0-9._/-]{1,200}$/.test(name)) return;
  throw invalidField(
    'name',
    `dataspace name ${JSON.stringify(name.slice(0, 80))}: use 1 to 200 of A-Z a-z 0-9 . _ - /`,
  );
}

export class Registry {
  private readonly bus: Bus;
  private readonly bucket: KV;
  private readonly byName = new Map<string, DataspaceRecord>();
  private readonly ids = new Map<bigint, DataspaceRecord>();
  private readonly onRemoved: (record: DataspaceRecord) => void;
  private seen = 0n;
  private stop: () => void = () => {};

  private constructor(bus: Bus, bucket: KV, onRemoved: (record: DataspaceRecord) => void) {
    this.bus = bus;
    this.bucket = bucket;
    this.onRemoved = onRemoved;
  }

  /** Reads the bucket and follows it: another replica may make and remove dataspaces too. */
  static async load(bus: Bus, bucket: KV, onRemoved: (record: DataspaceRecord) => void): Promise<Registry> {
    const registry = new Registry(bus, bucket, onRemoved);
    registry.stop = await bus.followBucket(bucket, (entry) => registry.see(entry));
    return registry;
  }

  /** The newest change that this replica has seen; a dataspace that is made later has a greater id. */
  get revision(): bigint {
    return this.seen;
  }

  private see(entry: KvEntry): void {
    if (BigInt(entry.revision) > this.seen) this.seen = BigInt(entry.revision);
    const known = this.byName.get(nameOf(entry.key));
    if (entry.operation === 'PUT') {
      if (known === undefined || known.id < BigInt(entry.revision)) {
        if (known !== undefined) this.drop(known);
        this.add(recordOf(entry));
      }
    } else if (known !== undefined && known.id < BigInt(entry.revision)) this.drop(known);
  }

  private add(record: DataspaceRecord): void {
    this.byName.set(record.name, record);
    this.ids.set(record.id, record);
  }

  private drop(record: DataspaceRecord): void {
    this.byName.delete(record.name);
    this.ids.delete(record.id);
    this.onRemoved(record);
  }

  get(name: string): DataspaceRecord | undefined {
    return this.byName.get(name);
  }

  byId(id: bigint): DataspaceRecord | undefined {
    return this.ids.get(id);
  }

  list(): DataspaceRecord[] {
    return [...this.byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Stores a new dataspace, or finds the one that another replica made meanwhile. @throws RpcError */
  async create(wanted: Omit<DataspaceRecord, 'id'>): Promise<{ record: DataspaceRecord; created: boolean }> {
    checkName(wanted.name);
    if (wanted.sizeBytes < 1n || wanted.sizeBytes > DATASPACE_BYTES_MAX) {
      throw invalidField(
        'size_bytes',
        `size of dataspace ${wanted.name}: use 1 byte to 1 TiB, not ${wanted.sizeBytes}`,
      );
    }
    if (this.byName.size >= DATASPACES_MAX) {
      throw new RpcError(Code.ResourceExhausted, `the cluster has ${DATASPACES_MAX} dataspaces; remove some`);
    }
    const key = keyOf(wanted.name);
    return await this.ask(async () => {
      try {
        const record = { id: BigInt(await this.bucket.create(key, storedJson(wanted))), ...wanted };
        if (record.id > this.seen) this.seen = record.id;
        if (!this.ids.has(record.id)) this.add(record);
        return { record, created: true };
      } catch (error) {
        // Somebody else may have made it; where there is no answer there is none to a second question.
        if (apiCode(error) === undefined) throw error;
        const entry = await this.bucket.get(key);
        if (entry?.operation !== 'PUT') throw error;
        this.see(entry);
        return { record: recordOf(entry), created: false };
      }
    });
  }

  async remove(record: DataspaceRecord): Promise<void> {
    await this.ask(() => this.bucket.purge(keyOf(record.name)));
    if (this.ids.has(record.id)) this.drop(record);
  }

  private async ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw this.bus.explain(error, 'the registry of dataspaces');
    }
  }

  close(): void {
    this.stop();
  }
}
