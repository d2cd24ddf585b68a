// What a node decides about durable dataspaces: what is synced goes to the backing store, and what was lost comes back from
// there.
//
//   sync -> capture -> captured -> put -> stored, and does it hold?  yes: the next piece, and at last `synced`
//                                                                    no:  capture again, some twenty times
//   fetch -> get -> read: `found` or `not-found` for each page; while the store does not answer, again, for a minute
//
// Syncs of one dataspace come one after the other, so of two bytes of one writer the later is stored last. While pages are
// on their way to the store, this node may be declared dead, or the page be lost where it went from here, and another node
// may bring back what was stored before. Then it is no answer that they are stored by now: what the cluster goes on with
// does not have them. Such a piece begins anew, with the pages as they are then.
import type { PageRun, PageSpan } from '../page.ts';

/** Whose pages are lost more often than this while it syncs them gives up. */
export const TRIES_MAX = 20;
/** Syncs of one dataspace that wait for their turn. */
export const SYNCS_MAX = 10_000;
/** How long an access waits for a store that does not answer, before it becomes an error. */
export const STORE_WAIT_MS = 60_000;
const AGAIN_FIRST_MS = 50;
const AGAIN_MAX_MS = 1_000;

/** A page as the store has it. `version` of the copy that was stored, as libs/coherency counts them. */
export type ReadPage<B> =
  | { page: number; state: 'INTACT'; version: number; bytes: B }
  | { page: number; state: 'CORRUPT' | 'NEVER_STORED' };

/** Why a sync is not stored. `pages`: those that were lost again and again. */
export type SyncFailure<E> =
  | { why: 'LOST_AGAIN'; pages: PageSpan }
  | { why: 'BUSY' }
  | { why: 'FAILED'; error: E };

/** `C`: captured pages; `B`: bytes of a page; `E`: an error of the caller. */
export type BackingEvent<C, B, E> =
  /** Somebody wants a run stored. `sync`: names it; the caller makes it, and never uses it again. */
  | { type: 'sync'; sync: number; run: PageRun }
  /** Copies of pages as they were. */
  | { type: 'captured'; attempt: number; captured: C }
  /** They were stored, as far as the store knows. */
  | { type: 'stored'; attempt: number }
  /** They were not captured, or not stored. */
  | { type: 'failed'; attempt: number; error: E }
  /** Pages of a durable dataspace are LOST at a version, and needed. */
  | { type: 'fetch'; dataspace: bigint; name: string; run: PageRun; lostVersion: number }
  | { type: 'read'; get: number; pages: readonly ReadPage<B>[] }
  /** `passes`: the store does not answer, or has no room for now. */
  | { type: 'unread'; get: number; passes: boolean; reason: string };

export type BackingAction<C, B, E> =
  /** Copy these pages: `captured` or `failed` follows. */
  | { type: 'capture'; attempt: number; run: PageRun }
  /** Store them: `stored` or `failed` follows. */
  | { type: 'put'; attempt: number; dataspace: bigint; captured: C }
  /** `recovered`: syncs failed before. */
  | { type: 'synced'; sync: number; dataspace: bigint; recovered: boolean }
  /** Some of it may be stored, and not all of it is. `first`: of a row of failures. */
  | { type: 'not-synced'; sync: number; dataspace: bigint; failure: SyncFailure<E>; first: boolean }
  /** Read these pages, which are of one chunk: `read` or `unread` follows. */
  | { type: 'get'; get: number; run: PageRun }
  /** An event of the memory. */
  | { type: 'found'; dataspace: bigint; page: number; version: number; lostVersion: number; bytes: B }
  | { type: 'not-found'; dataspace: bigint; page: number; lostVersion: number; reason: string }
  | { type: 'log'; level: 'error'; about: { dataspace: string; page: number }; text: string };

interface Sync {
  sync: number;
  dataspace: bigint;
  /** What is not stored yet; the first is under way. */
  pieces: PageSpan[];
  tries: number;
}

interface Attempt<C> {
  sync: Sync;
  /** Undefined until then. */
  captured: C | undefined;
}

interface Fetch {
  dataspace: bigint;
  name: string;
  /** Of one chunk, in order. */
  pages: number[];
  lostVersion: number;
  endMs: number;
  /** How often the store did not answer. */
  failures: number;
  /** The `get` under way; undefined: it waits until `againMs`. */
  get: number | undefined;
  againMs: number;
}

export class NodeBacking<C, B, E> {
  /** By dataspace; the first of each is under way. */
  private readonly syncs = new Map<bigint, Sync[]>();
  private readonly attempts = new Map<number, Attempt<C>>();
  /** In the order in which they began, and so end. */
  private readonly fetches = new Set<Fetch>();
  /** Those to which the store did not answer, until they ask again. */
  private readonly waiting = new Set<Fetch>();
  /** By `get` under way. */
  private readonly gets = new Map<number, Fetch>();
  /** Pages that are looked for, each at its loss. */
  private readonly underWay = new Set<string>();
  private readonly chunkPages: number;
  private readonly holds: (captured: C) => boolean;
  private last = 0;
  private failing = false;
  private out: BackingAction<C, B, E>[] = [];

  /** @param holds a port: whether captured pages that are stored by now are as durable as that looks */
  constructor({ chunkPages, holds }: { chunkPages: number; holds(captured: C): boolean }) {
    this.chunkPages = chunkPages;
    this.holds = holds;
  }

  /** When `tick` is due; undefined: not before the next event. */
  get nextMs(): number | undefined {
    const [oldest] = this.fetches;
    let next = oldest?.endMs;
    for (const { againMs } of this.waiting) if (next === undefined || againMs < next) next = againMs;
    return next;
  }

  /** True while a page is looked for in the store. */
  isFetching(dataspace: bigint, page: number): boolean {
    for (const fetch of this.fetches)
      if (fetch.dataspace === dataspace && fetch.pages.includes(page)) return true;
    return false;
  }

  /** Syncs of a dataspace that are not done. */
  syncsOf(dataspace: bigint): number {
    return this.syncs.get(dataspace)?.length ?? 0;
  }

  step(event: BackingEvent<C, B, E>, nowMs: number): BackingAction<C, B, E>[] {
    switch (event.type) {
      case 'sync':
        this.sync(event.sync, event.run);
        break;
      case 'captured':
        this.captured(event.attempt, event.captured);
        break;
      case 'stored':
        this.stored(event.attempt);
        break;
      case 'failed':
        this.failed(event.attempt, event.error);
        break;
      case 'fetch':
        this.fetch(event, nowMs);
        break;
      case 'read':
        this.read(event.get, event.pages);
        break;
      case 'unread':
        this.unread(event.get, event.passes, event.reason, nowMs);
        break;
    }
    return this.take();
  }

  /** Asks again what was not answered, and gives up what was not for too long. */
  tick(nowMs: number): BackingAction<C, B, E>[] {
    for (const fetch of this.fetches) {
      if (nowMs < fetch.endMs) break;
      this.giveUp(fetch, 'the backing store does not answer');
    }
    for (const fetch of this.waiting) if (nowMs >= fetch.againMs) this.get(fetch);
    return this.take();
  }

  private take(): BackingAction<C, B, E>[] {
    const { out } = this;
    this.out = [];
    return out;
  }

  // ---- syncs

  private sync(sync: number, { dataspace, firstPage, pageCount }: PageRun): void {
    const queue = this.syncs.get(dataspace) ?? [];
    if (queue.length >= SYNCS_MAX) {
      this.out.push({ type: 'not-synced', sync, dataspace, failure: { why: 'BUSY' }, first: false });
      return;
    }
    const pieces = [...cut(firstPage, pageCount, this.chunkPages)];
    queue.push({ sync, dataspace, pieces, tries: 0 });
    this.syncs.set(dataspace, queue);
    if (queue.length === 1) this.begin(queue[0]!);
  }

  private begin(sync: Sync): void {
    const [piece] = sync.pieces;
    if (piece === undefined) {
      this.out.push({
        ...{ type: 'synced', sync: sync.sync, dataspace: sync.dataspace, recovered: this.failing },
      });
      this.failing = false;
      this.next(sync);
      return;
    }
    if (sync.tries++ >= TRIES_MAX) {
      this.refuse(sync, { why: 'LOST_AGAIN', pages: piece });
      return;
    }
    const attempt = ++this.last;
    this.attempts.set(attempt, { sync, captured: undefined });
    this.out.push({ type: 'capture', attempt, run: { dataspace: sync.dataspace, ...piece } });
  }

  private refuse(sync: Sync, failure: SyncFailure<E>): void {
    const { dataspace } = sync;
    this.out.push({ type: 'not-synced', sync: sync.sync, dataspace, failure, first: !this.failing });
    this.failing = true;
    this.next(sync);
  }

  private next({ dataspace }: Sync): void {
    const queue = this.syncs.get(dataspace)!;
    queue.shift();
    if (queue.length === 0) this.syncs.delete(dataspace);
    else this.begin(queue[0]!);
  }

  private captured(number: number, captured: C): void {
    const attempt = this.attempts.get(number);
    // Said twice, or of what is over.
    if (attempt === undefined || attempt.captured !== undefined) return;
    attempt.captured = captured;
    this.out.push({ type: 'put', attempt: number, dataspace: attempt.sync.dataspace, captured });
  }

  private stored(number: number): void {
    const attempt = this.attempts.get(number);
    if (attempt?.captured === undefined) return;
    this.attempts.delete(number);
    const { sync, captured } = attempt;
    if (this.isDurable(captured)) {
      sync.pieces.shift();
      sync.tries = 0;
    }
    this.begin(sync);
  }

  /** False where what is stored by now is not what the cluster goes on with. */
  protected isDurable(captured: C): boolean {
    return this.holds(captured);
  }

  private failed(number: number, error: E): void {
    const attempt = this.attempts.get(number);
    if (attempt === undefined) return;
    this.attempts.delete(number);
    this.refuse(attempt.sync, { why: 'FAILED', error });
  }

  // ---- lost pages

  private fetch(
    { dataspace, name, run, lostVersion }: Extract<BackingEvent<C, B, E>, { type: 'fetch' }>,
    nowMs: number,
  ): void {
    for (const { firstPage, pageCount } of cut(run.firstPage, run.pageCount, this.chunkPages)) {
      const all = Array.from({ length: pageCount }, (_, i) => firstPage + i);
      const pages = all.filter((page) => !this.isUnderWay(dataspace, page, lostVersion));
      if (pages.length === 0) continue;
      const about = { dataspace, name, pages, lostVersion };
      const fetch = { ...about, endMs: nowMs + STORE_WAIT_MS, failures: 0, get: undefined, againMs: nowMs };
      this.fetches.add(fetch);
      for (const page of pages) this.underWay.add(lossOf(dataspace, page, lostVersion));
      this.get(fetch);
    }
  }

  /** What was read of an earlier loss may be older than what was stored until this one: it is no answer. */
  protected isUnderWay(dataspace: bigint, page: number, lostVersion: number): boolean {
    return this.underWay.has(lossOf(dataspace, page, lostVersion));
  }

  private get(fetch: Fetch): void {
    const { dataspace, pages } = fetch;
    const [first, last] = [pages[0]!, pages.at(-1)!];
    fetch.get = ++this.last;
    this.waiting.delete(fetch);
    this.gets.set(fetch.get, fetch);
    const run = { dataspace, firstPage: first, pageCount: last - first + 1 };
    this.out.push({ type: 'get', get: fetch.get, run });
  }

  /** Undefined: it was answered before, or given up. */
  private answered(get: number): Fetch | undefined {
    const fetch = this.gets.get(get);
    this.gets.delete(get);
    return fetch;
  }

  private end(fetch: Fetch): void {
    this.fetches.delete(fetch);
    this.waiting.delete(fetch);
    if (fetch.get !== undefined) this.gets.delete(fetch.get);
    for (const page of fetch.pages) this.underWay.delete(lossOf(fetch.dataspace, page, fetch.lostVersion));
  }

  private read(get: number, read: readonly ReadPage<B>[]): void {
    const fetch = this.answered(get);
    if (fetch === undefined) return;
    this.end(fetch);
    const pages = new Set(fetch.pages);
    for (const each of read) if (pages.delete(each.page)) this.use(fetch, each);
    for (const page of pages) this.use(fetch, { page, state: 'NEVER_STORED' });
  }

  private use({ dataspace, name, lostVersion }: Fetch, read: ReadPage<B>): void {
    const { page } = read;
    if (read.state === 'INTACT') {
      const { version, bytes } = read;
      this.out.push({ type: 'found', dataspace, page, version, lostVersion, bytes });
      return;
    }
    if (read.state === 'CORRUPT')
      this.out.push({
        ...{ type: 'log', level: 'error', about: { dataspace: name, page } },
        text: 'a stored page fails its checksum',
      });
    const reason =
      read.state === 'CORRUPT'
        ? `page ${page} of dataspace ${name} is corrupt in the backing store`
        : `a page of dataspace ${name} is lost: its only copy is gone, with its node or the gateway of another cluster, and it was never synced`;
    this.out.push({ type: 'not-found', dataspace, page, lostVersion, reason });
  }

  private unread(get: number, passes: boolean, reason: string, nowMs: number): void {
    const fetch = this.answered(get);
    if (fetch === undefined) return;
    if (!passes || nowMs >= fetch.endMs) {
      this.giveUp(fetch, reason);
      return;
    }
    fetch.get = undefined;
    this.waiting.add(fetch);
    fetch.againMs = nowMs + Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** fetch.failures++);
  }

  private giveUp(fetch: Fetch, why: string): void {
    this.end(fetch);
    const { dataspace, name, pages, lostVersion } = fetch;
    for (const page of pages) {
      const reason = `page ${page} of dataspace ${name} cannot be read back: ${why}`;
      this.out.push({ type: 'not-found', dataspace, page, lostVersion, reason });
    }
  }
}

const lossOf = (dataspace: bigint, page: number, lostVersion: number): string =>
  `${dataspace} ${page} ${lostVersion}`;

/** A range of pages, cut where a chunk of the store ends. */
function* cut(firstPage: number, pageCount: number, chunkPages: number): Generator<PageSpan> {
  const end = firstPage + pageCount;
  for (let page = firstPage; page < end; ) {
    const next = Math.min(end, page - (page % chunkPages) + chunkPages);
    yield { firstPage: page, pageCount: next - page };
    page = next;
  }
}
