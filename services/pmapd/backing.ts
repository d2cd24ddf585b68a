// Durable dataspaces of this node: the core says what is stored and read back, and when; here it is, by NATS.

import assert from 'node:assert/strict';
import { CHUNK_PAGES, chunkOf } from '@odonata/backing-store/chunk.ts';
import { type PageRead, PageStore, type PageToStore } from '@odonata/backing-store/page-store.ts';
import type { Ledger } from '@odonata/backing-store/store-stream.ts';
import type { Bus } from '@odonata/bus/bus.ts';
import {
  type BackingAction,
  type BackingEvent,
  NodeBacking,
  type ReadPage,
  type SyncFailure,
} from '@odonata/coherency/node/backing.ts';
import { PAGE_BYTES, type PageRun, type PageSpan, unreachable } from '@odonata/coherency/page.ts';
import { versionOfStored } from '@odonata/coherency/stored-version.ts';
import { PageBuffer } from '@odonata/pmap/wire/page-buffer.ts';
import { doAll, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, codeName, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { notFound, tryAgain } from '@odonata/rpc/refusal.ts';
import { ofLimit } from './limit-of.ts';
import type { CoherentMemory } from './memory/coherent-memory.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';

/** What is waited for: the server, and room on its disk. */
const PASSES = new Set<Code>([Code.Unavailable, Code.ResourceExhausted]);

/** Chunks of which is remembered what they have. */
const STORED_MAX = 10_000;

type Action = BackingAction<Captured, PageBuffer, RpcError>;

/** Pages as they were at one time; `holds` says, when they are stored, whether that counts. */
interface Captured {
  pages: PageToStore[];
  holds(): boolean;
}

interface Sync {
  dataspace: SharedDataspace;
  resolve(): void;
  reject(error: RpcError): void;
}

export interface BackingOptions {
  memory: () => CoherentMemory;
  bus: Bus;
  cluster: string;
  replicas: number;
  bytesMax: number;
  log: Logger;
  /** The first of a row of syncs that are not stored. */
  onFailed(reason: string, dataspace: string): void;
}

export class Backing {
  private readonly o: BackingOptions;
  /** Syncs that failed, by code. */
  readonly failures = new Map<string, number>();
  private opening: Promise<PageStore> | undefined;
  private readonly core: NodeBacking<Captured, PageBuffer, RpcError>;
  private readonly syncs = new Map<number, Sync>();
  private lastSync = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Pages that were found in the store, by dataspace and chunk. */
  private readonly stored = new Map<string, ReadonlySet<number>>();

  constructor(options: BackingOptions) {
    this.o = options;
    this.core = new NodeBacking({ chunkPages: CHUNK_PAGES, holds: (captured) => captured.holds() });
  }

  /**
   * Stores bytes; `length` 0: all from the offset on. Returns how many pages that are.
   * @throws RpcError: then some of it may be stored, and not all of it is
   */
  async sync(dataspace: SharedDataspace, offset: bigint, length: bigint): Promise<number> {
    const run = { dataspace: dataspace.id, ...pagesOf(dataspace, offset, length) };
    const sync = ++this.lastSync;
    await new Promise<void>((resolve, reject) => {
      this.syncs.set(sync, { dataspace, resolve, reject });
      this.step({ type: 'sync', sync, run });
    });
    return run.pageCount;
  }

  /** Brings lost pages back, or ends the wait of those who want them. */
  fetch({ id: dataspace, name }: SharedDataspace, run: PageRun, lostVersion: number): void {
    this.step({ type: 'fetch', dataspace, name, run, lostVersion });
  }

  /** True while a page is looked for in the store. */
  isFetching(dataspace: bigint, page: number): boolean {
    return this.core.isFetching(dataspace, page);
  }

  private step(event: BackingEvent<Captured, PageBuffer, RpcError>): void {
    this.performAll(this.core.step(event, monotonicMs()));
  }

  private performAll(actions: readonly Action[]): void {
    try {
      doAll(actions, (action) => this.perform(action));
    } finally {
      this.arm();
    }
  }

  private arm(): void {
    clearTimeout(this.timer);
    const { nextMs } = this.core;
    if (nextMs === undefined) return;
    const tick = ownTurn({ timer: 'backing' }, () => this.performAll(this.core.tick(monotonicMs())));
    this.timer = setTimeout(tick, Math.max(1, nextMs - monotonicMs())).unref();
  }

  private perform(action: Action): void {
    switch (action.type) {
      case 'capture': {
        const { attempt, run } = action;
        this.attempt(attempt, this.capture(run), (captured) =>
          this.step({ type: 'captured', attempt, captured }),
        );
        return;
      }
      case 'put': {
        const { attempt, dataspace, captured } = action;
        const put = this.opened().then((store) => store.write(dataspace, captured.pages));
        this.attempt(attempt, put, () => this.step({ type: 'stored', attempt }));
        return;
      }
      case 'synced':
        this.synced(action);
        return;
      case 'not-synced':
        this.notSynced(action);
        return;
      case 'get':
        void this.read(action.get, action.run);
        return;
      case 'found':
      case 'not-found':
        this.o.memory().step(action);
        return;
      case 'log':
        this.o.log[action.level](action.about, action.text);
        return;
      default:
        unreachable(action);
    }
  }

  private attempt<T>(attempt: number, work: Promise<T>, done: (result: T) => void): void {
    work.then(done, (error: unknown) => this.step({ type: 'failed', attempt, error: rpcErrorOf(error) }));
  }

  private async capture({ dataspace: id, firstPage, pageCount }: PageRun): Promise<Captured> {
    const memory = this.o.memory();
    const dataspace = memory.get(id);
    if (dataspace === undefined)
      throw notFound({ type: 'dataspace', name: id }, `dataspace ${id} was removed`);
    return await memory.capture(dataspace, firstPage, pageCount);
  }

  private async read(get: number, run: PageRun): Promise<void> {
    try {
      const read = await (await this.opened()).read(run.dataspace, run.firstPage, run.pageCount);
      this.step({ type: 'read', get, pages: read.map(readPage) });
    } catch (error) {
      const { code, details } = rpcErrorOf(error);
      this.step({ type: 'unread', get, passes: PASSES.has(code), reason: details });
    }
  }

  private synced({ sync, recovered }: Extract<Action, { type: 'synced' }>): void {
    const { dataspace, resolve } = this.takeSync(sync);
    if (recovered) this.o.log.info({ dataspace: dataspace.name }, 'syncs are stored again');
    resolve();
  }

  /** The first of a row is told: a program may try again at once, and for hours. */
  private notSynced({ sync, failure, first }: Extract<Action, { type: 'not-synced' }>): void {
    const { dataspace, reject } = this.takeSync(sync);
    const { name } = dataspace;
    const error = refusalOf(name, failure);
    const code = codeName(error.code);
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
    if (first) this.o.onFailed(`a sync of dataspace ${name} was not stored: ${error.details}`, name);
    reject(error);
  }

  private takeSync(sync: number): Sync {
    const known = this.syncs.get(sync);
    assert(known !== undefined, `sync ${sync} is over already`);
    this.syncs.delete(sync);
    return known;
  }

  /** Under the NATS server, where that is on this machine. */
  get diskFreeBytes(): number | undefined {
    return this.o.bus.disk?.freeBytes;
  }

  /** Reads all that is stored of a dataspace. @throws RpcError UNAVAILABLE */
  async check(dataspace: bigint): Promise<{ storedPages: number; corruptPages: number }> {
    return await (await this.opened()).check(dataspace);
  }

  /**
   * Which pages of a piece of one chunk can be read back. What is stored stays so until its dataspace goes, so whole
   * chunks are looked at once. @throws RpcError UNAVAILABLE
   */
  async storedOf(
    dataspace: bigint,
    { firstPage, pageCount }: PageSpan,
  ): Promise<{ pages: ReadonlySet<number>; stored: number; read: boolean }> {
    const wanted = Array.from({ length: pageCount }, (_, i) => firstPage + i);
    const known = this.stored.get(`${dataspace} ${chunkOf(firstPage)}`);
    const all = known !== undefined && wanted.every((page) => known.has(page));
    if (all) return { pages: known, stored: pageCount, read: false };
    const first = chunkOf(firstPage) * CHUNK_PAGES;
    const read = await (await this.opened()).read(dataspace, first, CHUNK_PAGES);
    const pages = new Set(read.filter(({ state }) => state === 'INTACT').map(({ page }) => page));
    if (this.stored.size >= STORED_MAX) this.stored.clear();
    this.stored.set(`${dataspace} ${chunkOf(firstPage)}`, pages);
    return { pages, stored: wanted.filter((page) => pages.has(page)).length, read: true };
  }

  /** Forgets a dataspace that was removed. */
  async remove(dataspace: bigint): Promise<void> {
    await (await this.opened()).remove(dataspace);
  }

  private opened(): Promise<PageStore> {
    const { bus, cluster, replicas, bytesMax, log } = this.o;
    const { disk } = bus;
    const warn = (line: string, error: unknown) => log.warn({ err: error }, line);
    const options = { cluster, replicas, bytesMax, disk, warn, ledger: ledgerIn(bus) };
    this.opening ??= PageStore.open(bus.nats, options).catch((error) => {
      this.opening = undefined;
      throw error;
    });
    return this.opening;
  }
}

function readPage(read: PageRead): ReadPage<PageBuffer> {
  const { page, state } = read;
  if (state !== 'INTACT') return { page, state };
  return { page, state, version: versionOfStored(read.version), bytes: new PageBuffer(read.bytes) };
}

function rpcErrorOf(error: unknown): RpcError {
  return error instanceof RpcError ? error : new RpcError(Code.Internal, String(error), { cause: error });
}

function refusalOf(name: string, failure: SyncFailure<RpcError>): RpcError {
  switch (failure.why) {
    case 'FAILED':
      return failure.error;
    case 'BUSY':
      return ofLimit(
        'syncs',
        tryAgain(
          Code.ResourceExhausted,
          `too many syncs of dataspace ${name} wait for their turn; let fewer ask at one time`,
        ),
      );
    case 'LOST_AGAIN': {
      const { firstPage, pageCount } = failure.pages;
      const range = `pages ${firstPage} to ${firstPage + pageCount - 1} of dataspace ${name}`;
      return new RpcError(
        Code.Aborted,
        `${range} were lost again and again while they were stored; try again`,
      );
    }
  }
}

/** Beside the stream, in a bucket of its own: it is there when the stream is not. */
function ledgerIn(bus: Bus): Ledger {
  const bucket = () => bus.bucket('store');
  return {
    read: async () => {
      const entry = await (await bucket()).get('bytes');
      return entry?.operation === 'PUT' ? Number(entry.string()) : undefined;
    },
    note: async (bytes) => {
      await (await bucket()).put('bytes', String(bytes));
    },
  };
}

/** @throws RpcError FAILED_PRECONDITION, OUT_OF_RANGE */
function pagesOf(
  { name, durable, sizeBytes }: SharedDataspace,
  offset: bigint,
  length: bigint,
): { firstPage: number; pageCount: number } {
  if (!durable) {
    const fix = 'make a durable one: vkctl ds create --durable';
    throw new RpcError(Code.FailedPrecondition, `dataspace ${name} has no backing store; ${fix}`);
  }
  const end = length === 0n ? sizeBytes : offset + length;
  if (offset >= end || end > sizeBytes) {
    const range = `bytes ${offset} to ${end}`;
    throw new RpcError(Code.OutOfRange, `dataspace ${name} has ${sizeBytes} bytes; ${range} are none of it`);
  }
  const firstPage = Number(offset / BigInt(PAGE_BYTES));
  return { firstPage, pageCount: Number((end - 1n) / BigInt(PAGE_BYTES)) - firstPage + 1 };
}
