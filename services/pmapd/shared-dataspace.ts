// A shared dataspace as a node sees it: its frames, who maps it, who waits for its pages.
import assert from 'node:assert/strict';
import type { AccessMode, PageRun, PageSpan } from '@odonata/coherency/page.ts';
import type { FaultAt } from './coherent-memory.ts';
import type { MemoryFile } from './memory-file.ts';
import type { MapEntry } from './vmspace.ts';
import { WritePrediction } from './write-prediction.ts';

/** Something that waits for permission to a page. */
export interface PageWaiter {
  /** Tries again; called when the permission of its page changed. */
  retry(): void;
  fail(reason: string): void;
  /** For faults: one waiter an address is enough. */
  key: string;
  mode: AccessMode;
  /** Absent: an operation of the node itself. */
  fault?: FaultAt;
}

/** What was sent on and is not settled. */
export interface Retained {
  version: number;
  /** Undefined: zero. */
  bytes: Uint8Array | undefined;
}

/** Waiters on one page. */
export const PAGE_WAITERS_MAX = 10_000;

export class SharedDataspace {
  readonly id: bigint;
  readonly name: string;
  readonly sizeBytes: bigint;
  readonly pageCount: number;
  readonly file: MemoryFile;
  readonly entries = new Set<MapEntry>();
  readonly waiting = new Map<number, PageWaiter[]>();
  readonly prediction = new WritePrediction();
  /** By page; the holder's machine keeps one version of a page at most. */
  readonly retained = new Map<number, Retained>();
  /** By page that was asked for: who pays for the frame that is kept for it. */
  readonly reserved = new Map<number, number>();
  /** By page; from the backing store, until the directory grants the page with it. Undefined: zeros. */
  readonly stored = new Map<number, Uint8Array | undefined>();
  /** What operations under way have begin anew where it is LOST. */
  readonly anew = new Set<PageSpan>();
  readonly durable: boolean;
  unfollow: () => void = () => {};

  constructor(about: {
    id: bigint;
    name: string;
    sizeBytes: bigint;
    durable: boolean;
    pageCount: number;
    file: MemoryFile;
  }) {
    this.durable = about.durable;
    this.id = about.id;
    this.name = about.name;
    this.sizeBytes = about.sizeBytes;
    this.pageCount = about.pageCount;
    this.file = about.file;
  }

  /** True where a page begins anew with zeros if it is LOST. */
  beginsAnew(page: number): boolean {
    for (const { firstPage, pageCount } of this.anew)
      if (page >= firstPage && page < firstPage + pageCount) return true;
    return false;
  }

  /** What is kept of a page. It must be kept at this version. */
  retainedAt(page: number, version: number): Retained {
    const retained = this.retained.get(page);
    assert(
      retained?.version === version,
      `page ${page} of ${this.name} is not retained at version ${version}`,
    );
    return retained;
  }

  forget({ firstPage, pageCount }: PageRun, version: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      if (this.retained.get(page)?.version === version) this.retained.delete(page);
    }
  }

  wait(page: number, waiter: PageWaiter): void {
    const waiters = this.waiting.get(page) ?? [];
    if (waiters.some((w) => w.key === waiter.key && w.mode === waiter.mode)) return;
    if (waiters.length >= PAGE_WAITERS_MAX) {
      waiter.fail('too many faults wait for one page');
      return;
    }
    waiters.push(waiter);
    this.waiting.set(page, waiters);
  }

  /** Takes the waiters of a run off. */
  takeWaiters(firstPage: number, pageCount: number): PageWaiter[] {
    if (this.waiting.size === 0) return [];
    const taken: PageWaiter[] = [];
    const take = (page: number) => {
      const waiters = this.waiting.get(page);
      if (waiters === undefined) return;
      taken.push(...waiters);
      this.waiting.delete(page);
    };
    if (pageCount <= this.waiting.size) for (let i = 0; i < pageCount; i++) take(firstPage + i);
    else
      for (const page of [...this.waiting.keys()])
        if (page >= firstPage && page < firstPage + pageCount) take(page);
    return taken;
  }
}
