// The records of services, at any replica of the directory.

import { RecordService } from '@odonata/proto/service/v1/service';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import type { Entry } from '@odonata/services/known-records.ts';
import { recordOf, recordText, type StoredRecord } from '@odonata/services/record.ts';
import { isWantedKey, wantedIn } from '@odonata/services/wanted.ts';
import type { WantedEntry } from '../wanted/wanted-here.ts';

const ANSWER_MS = 2_000;
const PART_MS = 5_000;
export const PART_BYTES = 256 * 1024;
const KNOWN_MS = 3_000;
/** So long a list of replicas is believed. */
const FRESH_MS = 2_000;

type Records = Client<typeof RecordService>;

export interface Listed {
  readonly revision: number;
  readonly entries: readonly Entry[];
  /** What nodes are told, beside the records of services. */
  readonly wanted: readonly WantedEntry[];
}

export class ServiceStore {
  readonly #syslink: () => SyslinkEndpoint | undefined;
  #replicas: readonly string[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(syslink: () => SyslinkEndpoint | undefined) {
    this.#syslink = syslink;
  }

  /** @throws RpcError where no replica answers */
  async list(): Promise<Listed> {
    const { revision, records } = await this.#any((each) => each.listRecords({}, { deadlineMs: ANSWER_MS }));
    const entries = records.flatMap(({ key, revision, value }) => {
      const record = recordOf(value);
      return record === undefined ? [] : [{ key, revision: Number(revision), value: record }];
    });
    const wanted = records.flatMap(({ key, revision, value }) => {
      const record = isWantedKey(key) ? wantedIn(value) : undefined;
      return record === undefined ? [] : [{ key, revision: Number(revision), record }];
    });
    return { revision: Number(revision), entries, wanted };
  }

  /** Once. @throws RpcError ABORTED: it is not stored, and never will be; any other: nobody knows */
  async swap(key: string, revision: number, value: StoredRecord | undefined): Promise<number> {
    const [first] = await this.#names();
    const text = value === undefined ? {} : { value: recordText(value) };
    const request = { key, revision: BigInt(revision), ...text };
    return Number((await this.#client(first!).swapRecord(request, { deadlineMs: ANSWER_MS })).revision);
  }

  async putPart(digest: string, part: number, data: Uint8Array): Promise<void> {
    await this.#any((each) => each.putPart({ digest, part, data }, { deadlineMs: PART_MS }));
  }

  async getPart(digest: string, part: number): Promise<Uint8Array> {
    return (await this.#any((each) => each.getPart({ digest, part }, { deadlineMs: PART_MS }))).data;
  }

  #client(name: string): Records {
    const syslink = this.#syslink();
    if (syslink === undefined) throw tryAgain(Code.Unavailable, 'not attached to a router yet');
    return syslink.client(RecordService, { name });
  }

  async #names(): Promise<readonly string[]> {
    // A router that has just started does not know all yet.
    for (const endMs = performance.now() + KNOWN_MS; ; await delay(100)) {
      if (performance.now() - this.#readMs > FRESH_MS || this.#replicas.length === 0) {
        const endpoints = (await this.#syslink()?.listEndpoints()) ?? [];
        const all = endpoints.filter(({ kind }) => kind === EndpointKind.DIRECTORY);
        const [there, away] = [all.filter((each) => each.connected), all.filter((each) => !each.connected)];
        this.#replicas = [...there, ...away].map(({ name }) => name);
        this.#readMs = performance.now();
      }
      if (this.#replicas.length > 0) return this.#replicas;
      if (performance.now() > endMs) throw tryAgain(Code.Unavailable, 'no replica of the directory is there');
    }
  }

  /** Of what may be asked of each. */
  async #any<T>(ask: (each: Records) => Promise<T>): Promise<T> {
    let last: unknown;
    for (const name of await this.#names()) {
      try {
        return await ask(this.#client(name));
      } catch (error) {
        last = error;
        if (RpcError.is(error) && error.code !== Code.Unavailable && error.code !== Code.DeadlineExceeded)
          throw error;
      }
    }
    this.#readMs = Number.NEGATIVE_INFINITY;
    throw last;
  }
}
