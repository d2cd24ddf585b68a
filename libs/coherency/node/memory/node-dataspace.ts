// A shared dataspace as the memory of a node knows it: its frames, who waits for its pages, and what is kept of them.
import assert from 'node:assert/strict';
import type { PageRun, PageSpan } from '../../page.ts';
import { ContestedPages } from '../readahead/contested-pages.ts';
import { DenseBlocks } from '../readahead/dense-blocks.ts';
import { LostLately } from '../readahead/lost-lately.ts';
import { WritePrediction } from '../readahead/write-prediction.ts';
import type { PageFrames } from './page-frames.ts';
import type { Mapping } from './page-tables.ts';
import { Waiting } from './waiting.ts';

/** What was sent on and is not settled. */
export interface Retained<B> {
  version: number;
  /** Undefined: zeros. */
  bytes: B | undefined;
}

export class NodeDataspace<M extends Mapping, B> {
  readonly id: bigint;
  readonly name: string;
  readonly pageCount: number;
  readonly durable: boolean;
  readonly frames: PageFrames<B>;
  readonly waiting = new Waiting<M>();
  readonly prediction = new WritePrediction();
  readonly lostLately = new LostLately();
  readonly contested = new ContestedPages();
  readonly dense = new DenseBlocks();
  /** By page; the holder's machine keeps one version of a page at most. */
  readonly retained = new Map<number, Retained<B>>();
  /** By page that was asked for: who pays for the frame that is kept for it. */
  readonly reserved = new Map<number, number>();
  /** By page; from the backing store, until the directory grants the page with it. Undefined: zeros. */
  readonly stored = new Map<number, B | undefined>();
  /** By operation under way: what of it begins anew where it is LOST. */
  readonly anew = new Map<number, PageSpan>();

  constructor(about: {
    id: bigint;
    name: string;
    pageCount: number;
    durable: boolean;
    frames: PageFrames<B>;
  }) {
    this.id = about.id;
    this.name = about.name;
    this.pageCount = about.pageCount;
    this.durable = about.durable;
    this.frames = about.frames;
  }

  /** True where a page begins anew with zeros if it is LOST. */
  beginsAnew(page: number): boolean {
    for (const { firstPage, pageCount } of this.anew.values())
      if (page >= firstPage && page < firstPage + pageCount) return true;
    return false;
  }

  /** What is kept of a page. It must be kept at this version. */
  retainedAt(page: number, version: number): Retained<B> {
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
}
