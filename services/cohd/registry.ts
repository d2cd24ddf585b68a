// The shared dataspaces of the cluster by name, in a JetStream bucket: what cohd must know again after
// a restart. The revision of the entry that made a dataspace is its identity. What is asked of the bucket, and what is known
// after its answer, `libs/coherency/names/name-table.ts` decides; here it is carried out.
import type { Bus } from '@odonata/bus/bus.ts';
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import {
  type Decide,
  type Found,
  type Making,
  type NameAction,
  NameTable,
  type New,
} from '@odonata/coherency/names/name-table.ts';
import { isLodged } from '@odonata/coherency/node/pool/lodged.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { existsOtherwise, invalidField, notFound, overQuota } from '@odonata/rpc/refusal.ts';
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

function foundIn(entry: KvEntry): Found<DataspaceRecord> {
  const revision = BigInt(entry.revision);
  if (entry.operation !== 'PUT') return { name: nameOf(entry.key), revision };
  const { id, load, ...about } = stored.parse(entry.json());
  const record = { id: id ?? revision, ...about, ...(load && { load: fitting(load, about) }) };
  return { name: about.name, revision, record };
}

// An earlier version stored any number that it was told: an answer with it nobody could read.
function fitting(load: UnendedLoad, { sizeBytes }: { sizeBytes: bigint }): UnendedLoad {
  const most = (bytes: bigint): bigint => (bytes < sizeBytes ? bytes : sizeBytes);
  return { ...load, bytes: most(load.bytes), least: most(load.least) };
}

/** Private memory that is at another node: its node names it. */
const LODGED = /^~[a-z0-9][a-z0-9.-]{0,62}\/[0-9]{1,20}\/[0-9]{1,20}$/;

/** @param borrowed it is of another cluster, whose gateway names it @throws RpcError INVALID_ARGUMENT */
export function checkName(name: string, borrowed = false): void {
  const form = isLodged(name)
    ? LODGED
    : borrowed
      ? /^[A-Za-z0-9._/-]{1,160}@[a-z0-9][a-z0-9-]{0,30}$/
      : /^[A-Za-z0-9._/-]{1,200}$/;
  if (form.test(name)) return;
  throw invalidField(
    'name',
    `dataspace name ${JSON.stringify(name.slice(0, 80))}: use 1 to 200 of A-Z a-z 0-9 . _ - /`,
  );
}

/** @throws RpcError ALREADY_EXISTS unless it has this size */
export function expectSize({ name, sizeBytes: is }: DataspaceRecord, wanted: bigint): void {
  if (is !== wanted)
    throw existsOtherwise('size_bytes', `dataspace ${name} exists with ${is} bytes, not ${wanted}`);
}

/** NOT_FOUND. */
export const notKnown = (name: string): RpcError =>
  notFound(
    { type: 'dataspace', name },
    `no dataspace ${JSON.stringify(name.slice(0, 200))}; vkctl ds ls lists them`,
  );

interface Asking {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

export class Registry {
  private readonly bus: Bus;
  private readonly bucket: KV;
  private readonly table = new NameTable<DataspaceRecord>();
  private readonly asking = new Map<number, Asking>();
  private requests = 0;
  private readonly onRemoved: (record: DataspaceRecord) => void;
  private stop: () => void = () => {};

  private constructor(bus: Bus, bucket: KV, onRemoved: (record: DataspaceRecord) => void) {
    this.bus = bus;
    this.bucket = bucket;
    this.onRemoved = onRemoved;
  }

  /** Reads the bucket and follows it: another replica may make and remove dataspaces too. */
  static async load(bus: Bus, bucket: KV, onRemoved: (record: DataspaceRecord) => void): Promise<Registry> {
    const registry = new Registry(bus, bucket, onRemoved);
    registry.stop = await bus.followBucket(bucket, (entry) =>
      registry.perform(registry.table.follow(foundIn(entry))),
    );
    return registry;
  }

  /** The newest change that this replica has seen; a dataspace that is made later has a greater id. */
  get revision(): bigint {
    return this.table.revision;
  }

  get(name: string): DataspaceRecord | undefined {
    return this.table.get(name);
  }

  byId(id: bigint): DataspaceRecord | undefined {
    return this.table.byId(id);
  }

  /** How many dataspaces somebody owns, with those that are being made. */
  ownedBy(owner: string): number {
    return this.table.ownedBy(owner);
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where somebody may own no more; what is nobody's in particular counts for nobody */
  expectQuota(owner: string, most: number): void {
    if (owner === NOBODYS || this.ownedBy(owner) < most) return;
    const fix = 'remove some (vkctl ds rm), or raise --user-dataspaces of cohd';
    throw overQuota(`user:${owner}`, `${owner} owns ${most} dataspaces, the most of one user: ${fix}`);
  }

  list(): DataspaceRecord[] {
    return [...this.table.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The step that stores a new dataspace. @param instead of one that is removed before @throws RpcError */
  make<A>(
    record: New<DataspaceRecord>,
    answer: (record: DataspaceRecord) => A,
    { instead = false } = {},
  ): Making<DataspaceRecord, A> {
    checkName(record.name, isBorrowed(record.name));
    if (record.sizeBytes < 1n || record.sizeBytes > DATASPACE_BYTES_MAX) {
      throw invalidField(
        'size_bytes',
        `size of dataspace ${record.name}: use 1 byte to 1 TiB, not ${record.sizeBytes}`,
      );
    }
    if (!instead && this.table.size >= DATASPACES_MAX) {
      throw overQuota('cluster', `the cluster has ${DATASPACES_MAX} dataspaces; remove some`);
    }
    return { do: 'make', record, answer };
  }

  /**
   * Decides what becomes of the record of this name, and stores that; where somebody else changes it at the same time, decides
   * anew. One after another of one name. @throws RpcError
   */
  ask<A>(name: string, decide: Decide<DataspaceRecord, A>): Promise<A> {
    const request = this.requests++;
    return new Promise<A>((resolve, reject) => {
      this.asking.set(request, { resolve: resolve as Asking['resolve'], reject });
      this.perform(this.table.ask(request, name, decide));
    });
  }

  private perform(actions: readonly NameAction<DataspaceRecord>[]): void {
    for (const action of actions) {
      switch (action.type) {
        case 'write':
          this.carryOut(action.request, this.written(action));
          break;
        case 'read':
          this.carryOut(action.request, this.found(action));
          break;
        case 'answered':
          this.told(action.request)?.resolve(action.answer);
          break;
        case 'failed':
          this.told(action.request)?.reject(this.explained(action.error));
          break;
        case 'crowded': {
          const what = `others change dataspace ${action.name} at the same time; try again`;
          this.told(action.request)?.reject(new RpcError(Code.Aborted, what));
          break;
        }
        case 'gone':
          this.onRemoved(action.record);
      }
    }
  }

  private carryOut(request: number, work: Promise<NameAction<DataspaceRecord>[]>): void {
    work
      .then((actions) => this.perform(actions))
      .catch((error: unknown) => this.told(request)?.reject(this.explained(error)));
  }

  private told(request: number): Asking | undefined {
    const asking = this.asking.get(request);
    this.asking.delete(request);
    return asking;
  }

  private explained(error: unknown): unknown {
    return error instanceof RpcError ? error : this.bus.explain(error, 'the registry of dataspaces');
  }

  private async written({
    request,
    name,
    write,
  }: NameAction<DataspaceRecord> & { type: 'write' }): Promise<NameAction<DataspaceRecord>[]> {
    const key = keyOf(name);
    let revision: bigint | undefined;
    try {
      if (write.op === 'make') revision = BigInt(await this.bucket.create(key, storedJson(write.record)));
      else if (write.op === 'remove') await this.bucket.purge(key, { previousSeq: Number(write.revision) });
      else revision = BigInt(await this.bucket.update(key, storedJson(write.record), Number(write.revision)));
    } catch (error) {
      return this.table.refused(request, error, apiCode(error) !== undefined);
    }
    return this.table.written(request, revision);
  }

  private async found({
    request,
    name,
  }: NameAction<DataspaceRecord> & { type: 'read' }): Promise<NameAction<DataspaceRecord>[]> {
    let entry: KvEntry | null;
    try {
      entry = await this.bucket.get(keyOf(name));
    } catch (error) {
      return this.table.notFound(request, error);
    }
    return this.table.found(request, entry ? foundIn(entry) : undefined);
  }

  close(): void {
    this.stop();
  }
}
