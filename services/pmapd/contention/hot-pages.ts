// Which shared pages this node had to wait for, and for whom: the pages that nodes take from each other are what decides how
// fast programs share memory. Each fault that another node had to serve counts for its page and its process.
//
// What is kept is bounded: two windows of half a minute, in each the pages of some dataspaces, of each page some processes. A page
// that comes when there is no room takes the place of the one with the fewest faults, and begins with its count, and so does a
// dataspace (the "space-saving" sketch of Metwally, Agrawal and El Abbadi, 2005): what is hot is never missing, what is cold may
// look warmer.
import assert from 'node:assert/strict';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';

export const WINDOW_MS = 30_000;
/** Of one window. */
export const DATASPACES_MAX = 32;
/** Of one dataspace. */
export const PAGES_MAX = 256;
/** Of one page. */
export const USERS_MAX = 8;
/** What a fault tells of the bytes it is for: the word of the first one. */
export const WORD_BYTES = 8;
const WORDS = PAGE_BYTES / WORD_BYTES;

/** A fault that is over. */
export interface Touch {
  readonly pid: bigint;
  /** Whose process that is. */
  readonly owner: string;
  readonly vkernel: string;
  readonly write: boolean;
  /** In its page; undefined where nobody knows. */
  readonly offset: number | undefined;
  readonly waitedNs: number;
}

/** What one process did with a page: its reads, or its writes. */
export interface PageUser extends Pick<Touch, 'pid' | 'owner' | 'vkernel' | 'write'> {
  faults: number;
  waitedNs: number;
  /** A bit for each word that a fault was for, the first word's the lowest of the first byte. */
  readonly words: Uint8Array;
}

export interface HotPage {
  readonly page: number;
  faults: number;
  waitedNs: number;
  readonly users: PageUser[];
  /** Faults of processes that had no room among the users. */
  otherFaults: number;
}

/** Of one dataspace. */
interface Pages {
  readonly id: bigint;
  faults: number;
  readonly byPage: Map<number, HotPage>;
  readonly coldest: Coldest<HotPage>;
}

type Window = Map<bigint, Pages>;

export class HotPages {
  readonly #nowMs: () => number;
  #current: Window = new Map();
  #previous: Window = new Map();
  #coldest = new Coldest<Pages>();
  #sinceMs: number;
  /** The window before was this long; 0: there was none. */
  #previousMs = 0;

  /** @param nowMs a clock that never goes back */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#sinceMs = nowMs();
  }

  record(dataspace: bigint, page: number, touch: Touch): void {
    this.#turn();
    const pages = this.#current.get(dataspace) ?? newPages(this.#current, this.#coldest, dataspace);
    pages.faults++;
    const hot = pages.byPage.get(page) ?? newPage(pages, page);
    hot.faults++;
    hot.waitedNs += touch.waitedNs;
    const user = userOf(hot, touch);
    if (user === undefined) {
      hot.otherFaults++;
      return;
    }
    user.faults++;
    user.waitedNs += touch.waitedNs;
    if (touch.offset !== undefined) mark(user.words, touch.offset);
  }

  /** The hottest first. */
  of(dataspace: bigint, max: number): { spanMs: number; pages: HotPage[] } {
    this.#turn();
    const merged = new Map<number, HotPage>();
    for (const window of [this.#previous, this.#current])
      for (const hot of window.get(dataspace)?.byPage.values() ?? []) merge(merged, hot);
    const pages = [...merged.values()].sort((a, b) => b.faults - a.faults || a.page - b.page).slice(0, max);
    return { spanMs: this.#previousMs + (this.#nowMs() - this.#sinceMs), pages };
  }

  /** Pages that are kept. */
  get size(): number {
    let size = 0;
    for (const { byPage } of this.#current.values()) size += byPage.size;
    return size;
  }

  #turn(): void {
    const nowMs = this.#nowMs();
    const lengthMs = nowMs - this.#sinceMs;
    if (lengthMs < WINDOW_MS) return;
    // Long since nothing happened: then nothing is hot.
    const wasIdle = lengthMs >= 2 * WINDOW_MS;
    this.#previous = wasIdle ? new Map() : this.#current;
    this.#previousMs = wasIdle ? WINDOW_MS : lengthMs;
    this.#current = new Map();
    this.#coldest = new Coldest();
    this.#sinceMs = nowMs;
  }
}

/** Finds the first of those with the fewest faults, whose faults only grow; what comes has more than the one that goes for it. */
class Coldest<T extends { readonly faults: number }> {
  /** All that had the fewest when it was looked last, the first one last. */
  #found: T[] = [];
  #faults = 0;

  /** @param all with what was here when it was looked last, but for those that were taken */
  take(all: ReadonlyMap<unknown, T>): T {
    for (let found = this.#found.pop(); found !== undefined; found = this.#found.pop())
      if (found.faults === this.#faults) return found;
    this.#faults = Number.POSITIVE_INFINITY;
    for (const { faults } of all.values()) this.#faults = Math.min(this.#faults, faults);
    for (const each of all.values()) if (each.faults === this.#faults) this.#found.push(each);
    const found = this.#found.reverse().pop();
    assert(found !== undefined);
    return found;
  }
}

function newPages(window: Window, coldest: Coldest<Pages>, id: bigint): Pages {
  let faults = 0;
  if (window.size >= DATASPACES_MAX) {
    const cold = coldest.take(window);
    window.delete(cold.id);
    faults = cold.faults;
  }
  const made = { id, faults, byPage: new Map<number, HotPage>(), coldest: new Coldest<HotPage>() };
  window.set(id, made);
  return made;
}

function newPage({ byPage: pages, coldest }: Pages, page: number): HotPage {
  let faults = 0;
  if (pages.size >= PAGES_MAX) {
    const cold = coldest.take(pages);
    pages.delete(cold.page);
    faults = cold.faults;
  }
  const made: HotPage = { page, faults, waitedNs: 0, users: [], otherFaults: faults };
  pages.set(page, made);
  return made;
}

function userOf(
  hot: HotPage,
  { pid, owner, vkernel, write }: Omit<PageUser, 'faults' | 'waitedNs' | 'words'>,
) {
  const known = hot.users.find((user) => user.pid === pid && user.write === write);
  if (known !== undefined || hot.users.length >= USERS_MAX) return known;
  const made: PageUser = {
    pid,
    owner,
    vkernel,
    write,
    faults: 0,
    waitedNs: 0,
    words: new Uint8Array(WORDS / 8),
  };
  hot.users.push(made);
  return made;
}

function mark(words: Uint8Array, offset: number): void {
  const word = Math.floor(offset / WORD_BYTES);
  assert(word >= 0 && word < WORDS, `offset ${offset} is in no page`);
  words[word >> 3]! |= 1 << (word & 7);
}

function merge(into: Map<number, HotPage>, from: HotPage): void {
  const hot = into.get(from.page) ?? { page: from.page, faults: 0, waitedNs: 0, users: [], otherFaults: 0 };
  into.set(from.page, hot);
  hot.faults += from.faults;
  hot.waitedNs += from.waitedNs;
  hot.otherFaults += from.otherFaults;
  for (const each of from.users) {
    const user = userOf(hot, each);
    if (user === undefined) {
      hot.otherFaults += each.faults;
      continue;
    }
    user.faults += each.faults;
    user.waitedNs += each.waitedNs;
    for (let i = 0; i < user.words.length; i++) user.words[i]! |= each.words[i]!;
  }
}
