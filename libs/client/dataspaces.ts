// Dataspaces as a whole: make, list, load, save, sync, remove. One memory, so any node serves; the directory knows where
// pages are.

import { hostname, userInfo } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { type Dataspace, DataspaceUsageSchema } from '@odonata/proto/coherency/v1/coherency';
import type { DataspaceLoss, StatResponse } from '@odonata/proto/pmap/v1/pmap';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf } from './abort.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';
import { loadDataspace, saveDataspace } from './dataspace-bytes.ts';
import { type DataspaceDetail, lossesOf, recordsOf, usageOf } from './dataspace-detail.ts';
import { type HotPages, listHotPages } from './hot-pages.ts';
import { bytesOf } from './numbers.ts';
import { overRouters } from './over-routers.ts';

/** How long what a broken load made is tried to be removed. */
const REMOVE_MS = 8_000;
/** Each page is taken from every node that might have it after all. */
/** What a directory knows it says at once, when it runs. */
const RECORD_MS = 10_000;
const ACCEPT_MS = 600_000;

export interface Through {
  /** The node that carries it; absent: the first one that answers. */
  node?: string;
  signal?: AbortSignal;
}

/** Of what is made: who may do what with it. */
export interface Owning {
  /** As of a file, without execution: 0o640; absent: 0o600, its owner alone. */
  mode?: number;
  /** That the mode is about, one of the caller's; absent: none. */
  group?: string;
}

export interface Load extends Through, Owning {
  /** To make it with. Absent: it keeps its size, or is made as large as `lengthBytes`. */
  sizeBytes?: number;
  /** So many bytes must come; absent: those of an array, else as many as there are, and zeros after them. */
  lengthBytes?: number;
  onProgress?: (loadedBytes: number) => void;
}

export interface Loaded {
  bytes: number;
  /** That carried it. */
  node: string;
  /** What it has beyond them; undefined: nobody may say. */
  rest?: { bytes: number; holds: Rest } | undefined;
}

/** Zeros where it was made, or made anew; else what it held before. */
export type Rest = 'before' | 'zeros';

export interface ByteRange {
  offset: bigint;
  /** 0: to the end. */
  length: bigint;
}

const WHOLE: ByteRange = { offset: 0n, length: 0n };

export class Dataspaces {
  readonly #to: Connection;

  constructor(to: Connection) {
    this.#to = to;
  }

  /** Makes one full of zeros. @throws RpcError ALREADY_EXISTS */
  async create(
    name: string,
    sizeBytes: number | bigint,
    { durable = false, mode, group, ...through }: Through & Owning & { durable?: boolean } = {},
  ): Promise<Dataspace | undefined> {
    const { client, signal } = await this.#through(through);
    const request = { name, sizeBytes: bytesOf('sizeBytes', sizeBytes), durable, mode, group };
    const { dataspace } = await client.create(request, { signal });
    return dataspace;
  }

  /** Who owns its pages, who maps it. @throws RpcError NOT_FOUND */
  stat(name: string, options: { signal?: AbortSignal } = {}): Promise<DataspaceDetail> {
    return this.#again(options.signal, async (signal) => {
      const detail = await usageOf(this.#to, name, signal);
      if (detail.usage.lostPages > 0n) detail.loss = (await lossesOf(this.#to, name, signal))[0];
      return detail;
    });
  }

  /** What the backing store has of a durable one. */
  async stored(name: string, through: Through = {}): Promise<StatResponse> {
    const { client, signal } = await this.#through(through);
    return await client.stat({ name }, { signal });
  }

  /** All, by name, with who has their pages; one that is removed meanwhile is left out. */
  async *list(options: { signal?: AbortSignal } = {}): AsyncGenerator<DataspaceDetail, void, undefined> {
    const all = await this.records(options);
    const losses = new Map(
      all.length === 0 ? [] : (await this.losses('', options)).map((loss) => [loss.name, loss]),
    );
    for (const dataspace of all) {
      const { name } = dataspace;
      try {
        const detail = await this.#again(options.signal, (signal) => usageOf(this.#to, name, signal));
        yield losses.has(name) ? { ...detail, loss: losses.get(name) } : detail;
      } catch (error) {
        // Of one's own that one may not read there is no more to tell.
        if (RpcError.is(error, Code.PermissionDenied))
          yield { dataspace, usage: create(DataspaceUsageSchema) };
        else if (!RpcError.is(error, Code.NotFound)) throw error;
      }
    }
  }

  /** The same as the directory has them on record: one question for all, or for each thousand. */
  records(options: { signal?: AbortSignal; deadlineMs?: number } = {}): Promise<Dataspace[]> {
    return this.#again(options.signal, (signal) => recordsOf(this.#to, signal, options.deadlineMs));
  }

  /** Pages that no node has, by dataspace: of all, or of one. */
  losses(name = '', options: { signal?: AbortSignal } = {}): Promise<DataspaceLoss[]> {
    return this.#again(options.signal, (signal) => lossesOf(this.#to, name, signal));
  }

  /**
   * Writes bytes into one from its start (a number among them: so many stay as they are); makes it where there is none. Until all of them are there nobody opens it, and
   * what breaks off removes what it made.
   * @throws RpcError NOT_FOUND where there is none and no size; DATA_LOSS where fewer bytes came than were to come
   */
  async load(
    name: string,
    bytes: Uint8Array | AsyncIterable<Uint8Array | number>,
    options: Load = {},
  ): Promise<Loaded> {
    const source = bytes instanceof Uint8Array ? once(bytes) : bytes;
    const lengthBytes = options.lengthBytes ?? (bytes instanceof Uint8Array ? bytes.length : undefined);
    const signal = this.#signal(options.signal);
    const node = await this.#node({ ...options, signal });
    const there = await this.#there(name, signal).catch((error) => {
      if (options.sizeBytes === undefined) throw error;
      return 'unknown' as const;
    });
    const sizeBytes = options.sizeBytes ?? sizeToMake(name, there, lengthBytes);
    const { onProgress, mode, group } = options;
    const about = { name, sizeBytes, loadBytes: lengthBytes, mode, group };
    let begun = 0n;
    const onBegun = (load: bigint) => {
      begun = load;
    };
    const load = { ...about, bytes: source, onProgress, onBegun, signal };
    try {
      const loadedBytes = await loadDataspace(this.#to, node, load);
      return { bytes: loadedBytes, node, rest: restOf(there, sizeBytes, loadedBytes) };
    } catch (error) {
      if (begun !== 0n) await this.#removeHalf(name, begun);
      throw error;
    }
  }

  /** Its bytes, in order, or those from an offset on. With `incomplete` also where a load into it broke off. */
  async *save(
    name: string,
    { incomplete, offset, ...through }: Through & { incomplete?: boolean; offset?: number } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const signal = this.#signal(through.signal);
    const node = await this.#node({ ...through, signal });
    yield* saveDataspace(this.#to, node, name, { incomplete, offset, signal });
  }

  /** Stores a durable one, or a range of it; resolves with the number of pages when all of it is stored. */
  async sync(
    name: string,
    { range = WHOLE, deadlineMs, ...through }: Through & { range?: ByteRange; deadlineMs?: number } = {},
  ): Promise<bigint> {
    const { client, signal } = await this.#through(through);
    const { pages } = await client.sync({ name, ...range }, { deadlineMs, signal });
    return pages;
  }

  /**
   * Changes whose it is, and who may do what with it; what is absent stays. Programs that have it open keep what they had.
   * @throws RpcError PERMISSION_DENIED where it is somebody else's, or another owner is wanted and one is no admin
   */
  async own(
    name: string,
    wanted: Owning & { owner?: string },
    options: { signal?: AbortSignal } = {},
  ): Promise<Dataspace | undefined> {
    return await this.#again(options.signal, async (signal) => {
      const directory = await this.#to.directory(signal);
      return (await directory.setOwnership({ name, ...wanted }, { signal })).dataspace;
    });
  }

  /** @throws RpcError FAILED_PRECONDITION while somebody maps it */
  async remove(name: string, through: Through = {}): Promise<void> {
    const { client, signal } = await this.#through(through);
    await client.remove({ name }, { signal });
  }

  /** Its LOST pages read as zeros from now on; resolves with their number. @param options.by for the directory's log */
  async acceptLoss(
    name: string,
    { by = whoAmI(), ...through }: Through & { by?: string } = {},
  ): Promise<bigint> {
    const { client, signal } = await this.#through(through);
    const { pages } = await client.acceptLoss({ name, by }, { deadlineMs: ACCEPT_MS, signal });
    return pages;
  }

  /** The pages that nodes take from each other, of the last half to whole minute. @throws RpcError NOT_FOUND */
  async hot(
    name: string,
    { max = 32, signal: given }: { max?: number; signal?: AbortSignal } = {},
  ): Promise<HotPages> {
    const signal = this.#signal(given);
    await this.#record(name, given);
    return await this.#again(given, () => listHotPages(this.#to, name, max, signal));
  }

  #signal(signal: AbortSignal | undefined): AbortSignal | undefined {
    return anyOf(this.#to.closed, signal);
  }

  #again<T>(
    given: AbortSignal | undefined,
    ask: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    const signal = this.#signal(given);
    return overRouters(this.#to, () => ask(signal), signal);
  }

  #node({ node, signal }: Through): Promise<string> {
    return this.#again(signal, (either) => this.#to.answeringNode(node, either));
  }

  async #through(through: Through) {
    const client = this.#to.dataspaces(await this.#node(through));
    return { client, signal: this.#signal(through.signal) };
  }

  async #record(name: string, signal?: AbortSignal): Promise<Dataspace | undefined> {
    return await this.#again(signal, async (either) => {
      const directory = await this.#to.directory(either);
      return (
        await directory.getDataspace({ name, withoutUsage: true }, { deadlineMs: RECORD_MS, signal: either })
      ).dataspace;
    });
  }

  async #there(name: string, signal: AbortSignal | undefined): Promise<Dataspace | undefined> {
    try {
      return await this.#record(name, signal);
    } catch (error) {
      if (RpcError.is(error, Code.NotFound)) return undefined;
      throw error;
    }
  }

  /**
   * What a load made that broke off; where its pmap manager went away, that one could not remove it. It stays, marked as
   * incomplete, where the directory does not answer either, or we are closed; and what another load of that name makes,
   * or has made, is none of ours.
   */
  async #removeHalf(name: string, load: bigint): Promise<void> {
    const { closed } = this.#to;
    const options = { deadlineMs: 2_000, signal: closed };
    const endMs = performance.now() + REMOVE_MS;
    while (performance.now() < endMs && !closed.aborted) {
      try {
        const directory = await this.#to.directory(closed);
        const { dataspace } = await directory.getDataspace({ name, withoutUsage: true }, options);
        if (dataspace?.load?.made !== true || dataspace.load.id !== load) return;
        await directory.deleteDataspace({ name, unendedLoad: load }, options);
        return;
      } catch (error) {
        if (RpcError.is(error, Code.NotFound)) return;
        await delay(200, closed);
      }
    }
  }
}

/** 0 where the dataspace exists: it keeps its size, unless an earlier load made it and broke off. */
function sizeToMake(name: string, there: Dataspace | undefined | 'unknown', lengthBytes?: number): number {
  if (there === 'unknown') return 0;
  if (there !== undefined) return there.load?.made ? (lengthBytes ?? 0) : 0;
  if (lengthBytes !== undefined) return lengthBytes;
  const what = `no dataspace "${name}", and no size to make it with`;
  throw clientError(Code.NotFound, 'NO_SIZE', { dataspace: name }, what);
}

/** @param there before the load */
function restOf(
  there: Dataspace | undefined | 'unknown',
  sizeBytes: number,
  loadedBytes: number,
): Loaded['rest'] {
  if (there === 'unknown') return undefined;
  const kept = there !== undefined && there.load?.made !== true;
  const whole = Number(kept ? there.sizeBytes : sizeBytes || (there?.sizeBytes ?? 0));
  return { bytes: Math.max(0, whole - loadedBytes), holds: kept ? 'before' : 'zeros' };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

/** `ada@host`. */
function whoAmI(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `uid ${process.getuid!()}@${hostname()}`;
  }
}
