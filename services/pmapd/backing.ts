// Durable dataspaces of a node: what is synced goes to the backing store, and what was lost comes back from it.
//
// A sync first acquires the pages for reading, so that this node has their latest bytes, wherever in the cluster they
// were dirty; then stores them in the order of stored-version.ts; and only then answers. Syncs of one dataspace here come
// one after the other, so of two bytes of one writer the later is stored last.
//
// While pages are on their way to the store, this node may be declared dead, or the page be lost where it went from here,
// and another node may bring back what was stored before. Then it is no answer that they are stored by now: what the
// cluster goes on with does not have them. Such a sync begins anew, with the pages as they are then.
import { CHUNK_PAGES, chunkOf, piecesOf } from '@odonata/backing-store/chunk.ts';
import { type PageRead, PageStore } from '@odonata/backing-store/page-store.ts';
import type { Ledger } from '@odonata/backing-store/store-stream.ts';
import type { Bus } from '@odonata/bus/bus.ts';
import { PAGE_BYTES, type PageRun, type PageSpan } from '@odonata/coherency/page.ts';
import { versionOfStored } from '@odonata/coherency/stored-version.ts';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { Code, codeName, RpcError } from '@odonata/rpc/error.ts';
import { InOrder } from '@odonata/rpc/in-order.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { CoherentMemory } from './coherent-memory.ts';
import { PageBuffer } from './page-buffer.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

/** How long an access waits for a store that does not answer, before it becomes an error. */
const STORE_WAIT_MS = 60_000;
/** What is waited for: the server, and room on its disk. */
const PASSES = new Set<Code>([Code.Unavailable, Code.ResourceExhausted]);
/** Whose pages are lost more often than this while it syncs them gives up. */
const TRIES_MAX = 20;

/** Chunks of which is remembered what they have. */
const STORED_MAX = 10_000;

export interface BackingOptions {
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
  private failing = false;
  private opening: Promise<PageStore> | undefined;
  /** Syncs by dataspace. */
  private readonly syncs = new InOrder<bigint>();
  private readonly fetching = new Set<string>();
  /** Pages that were found in the store, by dataspace and chunk. */
  private readonly stored = new Map<string, ReadonlySet<number>>();

  constructor(options: BackingOptions) {
    this.o = options;
  }

  /**
   * Stores bytes; `length` 0: all from the offset on. Returns how many pages that are.
   * @throws RpcError: then some of it may be stored, and not all of it is
   */
  async sync(
    memory: CoherentMemory,
    dataspace: SharedDataspace,
    offset: bigint,
    length: bigint,
  ): Promise<number> {
    const run = pagesOf(dataspace, offset, length);
    try {
      await this.syncs.run(dataspace.id, () => this.store(memory, dataspace, run));
    } catch (error) {
      const told =
        error instanceof RpcError
          ? error
          : new RpcError(Code.DataLoss, error instanceof Error ? error.message : String(error), {
              cause: error,
            });
      this.failed(dataspace, told);
      throw told;
    }
    if (this.failing) this.o.log.info({ dataspace: dataspace.name }, 'syncs are stored again');
    this.failing = false;
    return run.pageCount;
  }

  /** The first of a row is told: a program may try again at once, and for hours. */
  private failed({ name }: SharedDataspace, { code, details }: RpcError): void {
    const of = codeName(code);
    this.failures.set(of, (this.failures.get(of) ?? 0) + 1);
    if (!this.failing) this.o.onFailed(`a sync of dataspace ${name} was not stored: ${details}`, name);
    this.failing = true;
  }

  private async store(
    memory: CoherentMemory,
    dataspace: SharedDataspace,
    { firstPage, pageCount }: Omit<PageRun, 'dataspace'>,
  ): Promise<void> {
    const store = await this.opened();
    for (const piece of piecesOf(firstPage, pageCount))
      await this.storePiece(memory, dataspace, store, piece.firstPage, piece.pageCount);
  }

  private async storePiece(
    memory: CoherentMemory,
    dataspace: SharedDataspace,
    store: PageStore,
    firstPage: number,
    pageCount: number,
  ): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { pages, holds } = await memory.capture(dataspace, firstPage, pageCount);
      await store.write(dataspace.id, pages);
      if (holds()) return;
    }
    const range = `pages ${firstPage} to ${firstPage + pageCount - 1} of dataspace ${dataspace.name}`;
    throw new RpcError(Code.Aborted, `${range} were lost again and again while they were stored; try again`);
  }

  /** True while a page is looked for in the store. */
  isFetching(dataspace: bigint, page: number): boolean {
    for (const key of this.fetching) if (key.startsWith(`${dataspace} ${page} `)) return true;
    return false;
  }

  /** Under the NATS server, where that is on this machine. */
  get diskFreeBytes(): number | undefined {
    return this.o.bus.disk?.freeBytes;
  }

  /** Brings lost pages back, or ends the wait of those who want them. */
  fetch(memory: CoherentMemory, dataspace: SharedDataspace, run: PageRun, lostVersion: number): void {
    // What was read of an earlier loss may be older than what was stored until this one.
    const keyOf = (page: number): string => `${dataspace.id} ${page} ${lostVersion}`;
    for (const { firstPage, pageCount } of piecesOf(run.firstPage, run.pageCount)) {
      const pages = Array.from({ length: pageCount }, (_, i) => firstPage + i);
      const wanted = pages.filter((page) => !this.fetching.has(keyOf(page)));
      if (wanted.length === 0) continue;
      for (const page of wanted) this.fetching.add(keyOf(page));
      void this.fetchPages(memory, dataspace, wanted, lostVersion).finally(() => {
        for (const page of wanted) this.fetching.delete(keyOf(page));
      });
    }
  }

  /** @param pages of one chunk, in order: it is read once */
  private async fetchPages(
    memory: CoherentMemory,
    dataspace: SharedDataspace,
    pages: number[],
    lostVersion: number,
  ): Promise<void> {
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    const endMs = performance.now() + STORE_WAIT_MS;
    const [first, last] = [pages[0]!, pages.at(-1)!];
    for (;;) {
      try {
        const read = await (await this.opened()).read(dataspace.id, first, last - first + 1);
        for (const page of pages) this.use(memory, dataspace, read[page - first]!, lostVersion);
        return;
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        if (!PASSES.has(error.code) || performance.now() > endMs) {
          for (const page of pages) {
            const why = `page ${page} of dataspace ${dataspace.name} cannot be read back: ${error.details}`;
            memory.step({ type: 'not-found', dataspace: dataspace.id, page, lostVersion, reason: why });
          }
          return;
        }
        await delay(backoff.nextDelayMs());
      }
    }
  }

  private use(memory: CoherentMemory, dataspace: SharedDataspace, read: PageRead, lostVersion: number): void {
    const { name } = dataspace;
    switch (read.state) {
      case 'INTACT':
        memory.step({
          ...{ type: 'found', dataspace: dataspace.id, page: read.page, lostVersion },
          ...{ version: versionOfStored(read.version), bytes: new PageBuffer(read.bytes) },
        });
        return;
      case 'CORRUPT':
        this.o.log.error({ dataspace: name, page: read.page }, 'a stored page fails its checksum');
        memory.step({
          ...{ type: 'not-found', dataspace: dataspace.id, page: read.page, lostVersion },
          reason: `page ${read.page} of dataspace ${name} is corrupt in the backing store`,
        });
        return;
      case 'NEVER_STORED':
        memory.step({
          ...{ type: 'not-found', dataspace: dataspace.id, page: read.page, lostVersion },
          reason: `a page of dataspace ${name} is lost: its only copy died with its node, and it was never synced`,
        });
    }
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
