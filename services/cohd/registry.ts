// The shared dataspaces of the cluster by name, in a JetStream bucket: what cohd must know again after
// a restart. The revision of the entry that made a dataspace is its identity.
import type { Bus } from '@odonata/bus/bus.ts';
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField, notFound, overQuota } from '@odonata/rpc/refusal.ts';
import type { KV, KvEntry } from 'nats';
import { z } from 'zod';
import { NOBODYS, OPEN, type Ownership } from './ownership.ts';

export interface DataspaceRecord extends Ownership {
  id: bigint;
  name: string;
  sizeBytes: bigint;
  /** Node that got it whole, and the incarnation of its pmap manager then. */
  creator: string;
  creatorIncarnation: bigint;
  /** It has a backing store. */
  durable: boolean;
  /** A load into it has not ended: it is under way, or broke off. */
  load?: UnendedLoad;
  /** The last load that ended: who asks again whether its own has is told so. */
  loaded?: bigint;
}

export interface UnendedLoad {
  id: bigint;
  /** So many bytes from the first on may be written in part, by it or an earlier one that did not end. */
  bytes: bigint;
  /** So many it has to bring, for all to be whole: where it did not say how many it has, those of an earlier one. */
  least: bigint;
  /** It made the dataspace. */
  made: boolean;
}

/** A record as it was stored at a revision. */
interface Entry {
  record: DataspaceRecord;
  revision: bigint;
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
  /** Missing: it was not changed since it was made, and the revision is its identity. */
  id: z.coerce.bigint().optional(),
  load: z
    .object({
      id: z.coerce.bigint(),
      bytes: z.coerce.bigint(),
      least: z.coerce.bigint(),
      made: z.boolean().default(false),
    })
    .optional(),
  loaded: z.coerce.bigint().optional(),
  /** Missing: of before dataspaces had owners. */
  owner: z.string().default(OPEN.owner),
  group: z.string().default(OPEN.group),
  mode: z.number().default(OPEN.mode),
});

function entryOf(entry: KvEntry): Entry {
  const { id, load, ...about } = stored.parse(entry.json());
  const revision = BigInt(entry.revision);
  return { record: { id: id ?? revision, ...about, ...(load && { load: fitting(load, about) }) }, revision };
}

// An earlier version stored any number that it was told: an answer with it nobody could read.
function fitting(load: UnendedLoad, { sizeBytes }: { sizeBytes: bigint }): UnendedLoad {
  const most = (bytes: bigint): bigint => (bytes < sizeBytes ? bytes : sizeBytes);
  return { ...load, bytes: most(load.bytes), least: most(load.least) };
}

/** @throws RpcError INVALID_ARGUMENT */
export function checkName(name: string): void {
  if (/^[A-Za-z0-9._/-]{1,200}$/.test(name)) return;
  throw invalidField(
    'name',
    `dataspace name ${JSON.stringify(name.slice(0, 80))}: use 1 to 200 of A-Z a-z 0-9 . _ - /`,
  );
}

/** @throws RpcError ALREADY_EXISTS unless it has this size */
export function expectSize({ name, sizeBytes: is }: DataspaceRecord, wanted: bigint): void {
  if (is !== wanted)
    throw new RpcError(Code.AlreadyExists, `dataspace ${name} exists with ${is} bytes, not ${wanted}`);
}

/** NOT_FOUND. */
export const notKnown = (name: string): RpcError =>
  notFound(
    { type: 'dataspace', name },
    `no dataspace ${JSON.stringify(name.slice(0, 200))}; vkctl ds ls lists them`,
  );

export class Registry {
  private readonly bus: Bus;
  private readonly bucket: KV;
  private readonly byName = new Map<string, Entry>();
  private readonly ids = new Map<bigint, DataspaceRecord>();
  /** How many each owns. */
  private readonly owned = new Map<string, number>();
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
    if (known !== undefined && known.revision >= BigInt(entry.revision)) return;
    if (entry.operation === 'PUT') this.put(entryOf(entry));
    else if (known !== undefined) this.drop(known.record);
  }

  private put(entry: Entry): void {
    const { record } = entry;
    const known = this.byName.get(record.name)?.record;
    if (known !== undefined && known.id !== record.id) this.drop(known);
    else if (known !== undefined) this.count(known.owner, -1);
    this.count(record.owner, 1);
    this.byName.set(record.name, entry);
    this.ids.set(record.id, record);
  }

  private count(owner: string, more: number): void {
    const count = this.ownedBy(owner) + more;
    if (count > 0) this.owned.set(owner, count);
    else this.owned.delete(owner);
  }

  private drop(record: DataspaceRecord): void {
    // As it is known here: it may have another owner by now.
    this.count((this.ids.get(record.id) ?? record).owner, -1);
    this.byName.delete(record.name);
    this.ids.delete(record.id);
    this.onRemoved(record);
  }

  get(name: string): DataspaceRecord | undefined {
    return this.byName.get(name)?.record;
  }

  byId(id: bigint): DataspaceRecord | undefined {
    return this.ids.get(id);
  }

  /** How many dataspaces somebody owns. */
  ownedBy(owner: string): number {
    return this.owned.get(owner) ?? 0;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where somebody may own no more; what is nobody's in particular counts for nobody */
  expectQuota(owner: string, most: number): void {
    if (owner === NOBODYS || this.ownedBy(owner) < most) return;
    const fix = 'remove some (vkctl ds rm), or raise --user-dataspaces of cohd';
    throw overQuota(`user:${owner}`, `${owner} owns ${most} dataspaces, the most of one user: ${fix}`);
  }

  list(): DataspaceRecord[] {
    return [...this.ids.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
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
      throw overQuota('cluster', `the cluster has ${DATASPACES_MAX} dataspaces; remove some`);
    }
    const key = keyOf(wanted.name);
    return await this.ask(async () => {
      try {
        const revision = BigInt(await this.bucket.create(key, storedJson(wanted)));
        const record = { id: revision, ...wanted };
        if (record.id > this.seen) this.seen = record.id;
        if (!this.ids.has(record.id)) this.put({ record, revision });
        return { record, created: true };
      } catch (error) {
        // Somebody else may have made it; where there is no answer there is none to a second question.
        if (apiCode(error) === undefined) throw error;
        const entry = await this.bucket.get(key);
        if (entry?.operation !== 'PUT') throw error;
        this.see(entry);
        return { record: entryOf(entry).record, created: false };
      }
    });
  }

  /**
   * Stores what changed of a dataspace, unless somebody else changes it at the same time: then that is read, and
   * `undefined` returned. @throws RpcError
   */
  async change(
    record: DataspaceRecord,
    { load, loaded }: Pick<DataspaceRecord, 'load' | 'loaded'>,
  ): Promise<DataspaceRecord | undefined> {
    const { load: _, loaded: __, ...same } = record;
    return await this.replace(record, { ...same, ...(load && { load }), ...(loaded && { loaded }) });
  }

  /** The same for whose it is. */
  async own(record: DataspaceRecord, ownership: Ownership): Promise<DataspaceRecord | undefined> {
    return await this.replace(record, { ...record, ...ownership });
  }

  private async replace(
    record: DataspaceRecord,
    after: DataspaceRecord,
  ): Promise<DataspaceRecord | undefined> {
    const before = this.byName.get(record.name);
    if (before?.record !== record) return undefined;
    const key = keyOf(record.name);
    return await this.ask(async () => {
      try {
        const revision = BigInt(await this.bucket.update(key, storedJson(after), Number(before.revision)));
        if (this.byName.get(record.name) === before) this.put({ record: after, revision });
        return after;
      } catch (error) {
        const entry = await this.bucket.get(key);
        const revision = BigInt(entry?.revision ?? 0);
        if (revision === before.revision) throw error;
        if (entry) this.see(entry);
        return undefined;
      }
    });
  }

  /** Removes it as it is known here. @returns false: it was changed meanwhile, and stays */
  async removeUnchanged(record: DataspaceRecord): Promise<boolean> {
    const before = this.byName.get(record.name);
    if (before?.record !== record) return false;
    const key = keyOf(record.name);
    return await this.ask(async () => {
      try {
        await this.bucket.purge(key, { previousSeq: Number(before.revision) });
      } catch (error) {
        const entry = await this.bucket.get(key);
        if (BigInt(entry?.revision ?? 0) === before.revision) throw error;
        if (entry) this.see(entry);
        return false;
      }
      if (this.ids.has(record.id)) this.drop(record);
      return true;
    });
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
