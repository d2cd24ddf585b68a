// Records of services, and the programs that they run, in two JetStream buckets: what nodes decide by (libs/services) is changed by
// compare-and-set alone. Nothing is decided here.
import type { Bus } from '@odonata/bus/bus.ts';
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, nameOf } from '@odonata/bus/stored.ts';
import type { RecordService } from '@odonata/proto/service/v1/service';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { overQuota } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import { isWantedKey } from '@odonata/services/wanted.ts';
import type { KV } from 'nats';

/** All that are kept: a gigabyte of programs. */
const PARTS_MAX = 4_096;
const RECORDS_MAX = 20_000;
const SWEEP_MS = 600_000;
/** A program that is put is named soon. */
const UNNAMED_MS = 3_600_000;
/** "wrong last sequence" */
const OTHER_REVISION = 10071;

const partKey = (digest: string, part: number): string => `${digest}.${part}`;

export class ServiceRecords {
  readonly #bus: Bus;
  readonly #records: KV;
  readonly #programs: KV;
  readonly #log: Logger;
  /** An empty value: it was removed, and keeps its revision. */
  readonly #seen = new Map<string, { revision: number; value: string }>();
  #revision = 0;
  #parts = 0;
  #stop: () => void = () => {};
  #sweeping: NodeJS.Timeout | undefined;

  private constructor(options: { bus: Bus; records: KV; programs: KV; log: Logger }) {
    this.#bus = options.bus;
    this.#records = options.records;
    this.#programs = options.programs;
    this.#log = options.log;
  }

  static async load(options: { bus: Bus; records: KV; programs: KV; log: Logger }): Promise<ServiceRecords> {
    const made = new ServiceRecords(options);
    const { bus, records } = options;
    made.#stop = await bus.followBucket(records, (entry) =>
      made.#see(nameOf(entry.key), entry.revision, entry.operation === 'PUT' ? entry.string() : ''),
    );
    made.#parts = (await bus.keysOf('programs')).length;
    const sweep = ownTurn({ timer: 'programs' }, () => void made.#sweep());
    made.#sweeping = setInterval(sweep, SWEEP_MS);
    made.#sweeping.unref();
    return made;
  }

  handlers(): Handlers<typeof RecordService> {
    return {
      listRecords: () => ({
        revision: BigInt(this.#revision),
        records: [...this.#seen]
          .filter(([, { value }]) => value !== '')
          .map(([key, { revision, value }]) => ({ key, revision: BigInt(revision), value })),
      }),
      swapRecord: async ({ key, revision, value }) => {
        // A node that could say what nodes are told would give itself, and all others, whatever it likes.
        if (isWantedKey(key))
          throw new RpcError(Code.PermissionDenied, `record ${key.slice(0, 80)} is written by no node`);
        return { revision: BigInt(await this.swap(key, Number(revision), value ?? '')) };
      },
      putPart: async ({ digest, part, data }) => {
        if (this.#parts >= PARTS_MAX)
          throw overQuota('cluster', `programs of services take ${PARTS_MAX / 4} MiB; remove some services`);
        await this.#asked(this.#programs.put(partKey(digest, part), data));
        this.#parts += 1;
        return {};
      },
      getPart: async ({ digest, part }) => {
        const entry = await this.#asked(this.#programs.get(partKey(digest, part)));
        if (entry === null || entry.operation !== 'PUT')
          throw new RpcError(Code.NotFound, `part ${part} of program ${digest} is not kept`);
        return { data: entry.value };
      },
    };
  }

  /** As this replica knows it; undefined: there is none. */
  find(key: string): { revision: number; value: string } | undefined {
    const found = this.#seen.get(key);
    return found?.value === '' ? undefined : found;
  }

  /** All whose key begins so, by key. */
  below(prefix: string): string[] {
    return [...this.#seen]
      .filter(([key, { value }]) => value !== '' && key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { value }]) => value);
  }

  close(): void {
    clearInterval(this.#sweeping);
    this.#stop();
  }

  /** @throws RpcError ABORTED: it has another revision; RESOURCE_EXHAUSTED; any other: nobody knows */
  async swap(key: string, revision: number, value: string): Promise<number> {
    if (revision === 0 && this.#seen.size >= RECORDS_MAX)
      throw overQuota('cluster', `${RECORDS_MAX} records of services are kept; remove some services`);
    try {
      const stored =
        revision === 0
          ? await this.#records.create(keyOf(key), value)
          : await this.#records.update(keyOf(key), value, revision);
      this.#see(key, stored, value);
      return stored;
    } catch (error) {
      const before = this.#seen.get(key);
      // Removed by somebody, of which the asker knows nothing: it is as if it had never been.
      if (apiCode(error) === OTHER_REVISION && revision === 0 && before?.value === '' && value !== '')
        return await this.swap(key, before.revision, value);
      if (apiCode(error) === OTHER_REVISION)
        throw new RpcError(Code.Aborted, `record ${key} does not have revision ${revision}`);
      throw this.#explained(error);
    }
  }

  #see(key: string, revision: number, value: string): void {
    this.#revision = Math.max(this.#revision, revision);
    if ((this.#seen.get(key)?.revision ?? 0) <= revision) this.#seen.set(key, { revision, value });
  }

  #explained(error: unknown): RpcError {
    return this.#bus.explain(error, 'the bucket of services');
  }

  async #asked<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked;
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Programs that no service names go. */
  async #sweep(): Promise<void> {
    try {
      const named = [...this.#seen.values()].map(({ value }) => value).join('\n');
      const keys = await this.#bus.keysOf('programs');
      this.#parts = keys.length;
      for (const key of keys) {
        if (named.includes(key.slice(0, key.indexOf('.')))) continue;
        const entry = await this.#programs.get(key);
        if (entry === null || Date.now() - entry.created.getTime() < UNNAMED_MS) continue;
        if (entry.operation === 'PUT') await this.#programs.purge(key);
      }
    } catch (error) {
      this.#log.debug({ err: error }, 'programs that no service names stay for a while');
    }
  }
}
