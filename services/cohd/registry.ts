// The shared dataspaces of the cluster by name, in a JetStream bucket: what cohd must know again after
// a restart. The revision of the entry that made a dataspace is its identity.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { KV } from 'nats';
import { z } from 'zod';

export interface DataspaceRecord {
  id: bigint;
  name: string;
  sizeBytes: bigint;
  /** Node that got it whole, and the incarnation of its pmap manager then. */
  creator: string;
  creatorIncarnation: bigint;
}

/** Dataspaces of a cluster. */
export const DATASPACES_MAX = 100_000;
export const DATASPACE_BYTES_MAX = 1n << 40n;

const stored = z.object({
  name: z.string(),
  sizeBytes: z.coerce.bigint(),
  creator: z.string(),
  creatorIncarnation: z.coerce.bigint(),
});

// Bucket keys allow fewer characters than names.
const keyOf = (name: string) => Buffer.from(name).toString('hex');

/** @throws RpcError INVALID_ARGUMENT */
export function checkName(name: string): void {
  if (/^[A-Za-z0-9._/-]{1,200}$/.test(name)) return;
  throw new RpcError(
    Code.InvalidArgument,
    `dataspace name ${JSON.stringify(name.slice(0, 80))}: use 1 to 200 of A-Z a-z 0-9 . _ - /`,
  );
}

export class Registry {
  private readonly bucket: KV;
  private readonly byName = new Map<string, DataspaceRecord>();

  private constructor(bucket: KV) {
    this.bucket = bucket;
  }

  static async load(bucket: KV): Promise<Registry> {
    const registry = new Registry(bucket);
    const keys: string[] = [];
    for await (const key of await bucket.keys()) keys.push(key);
    for (const key of keys) {
      const entry = await bucket.get(key);
      if (entry === null || entry.operation !== 'PUT') continue;
      const record = { id: BigInt(entry.revision), ...stored.parse(entry.json()) };
      registry.byName.set(record.name, record);
    }
    return registry;
  }

  get(name: string): DataspaceRecord | undefined {
    return this.byName.get(name);
  }

  list(): DataspaceRecord[] {
    return [...this.byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Stores a new dataspace. @throws RpcError */
  async create(wanted: Omit<DataspaceRecord, 'id'>): Promise<DataspaceRecord> {
    checkName(wanted.name);
    if (wanted.sizeBytes < 1n || wanted.sizeBytes > DATASPACE_BYTES_MAX) {
      throw new RpcError(
        Code.InvalidArgument,
        `size of dataspace ${wanted.name}: use 1 byte to 1 TiB, not ${wanted.sizeBytes}`,
      );
    }
    if (this.byName.size >= DATASPACES_MAX) {
      throw new RpcError(Code.ResourceExhausted, `the cluster has ${DATASPACES_MAX} dataspaces; remove some`);
    }
    const json = JSON.stringify(wanted, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
    const revision = await this.ask(() => this.bucket.create(keyOf(wanted.name), json));
    const record = { id: BigInt(revision), ...wanted };
    this.byName.set(record.name, record);
    return record;
  }

  async remove(name: string): Promise<void> {
    await this.ask(() => this.bucket.purge(keyOf(name)));
    this.byName.delete(name);
  }

  private async ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw new RpcError(
        Code.Unavailable,
        'the NATS server with JetStream does not answer; try again when it is back',
        { cause: error },
      );
    }
  }
}
