// Pages that an operation of the node itself keeps while the rest of its run comes: else two nodes that each need the same
// pages at one time, one of them to write, may take them from each other for ever.
//
//   run of the operation     0  1  2  3  4  5
//   usable here              x  x  x  .  x  .      kept: 0, 1, 2, up to the first one that is missing
//
// A word of the directory that would take a kept page away waits, until the operation ends, or the directory has said it
// often enough. Nobody waits in a circle: whoever keeps pages waits only for one that stands after all of them.
import { type AccessMode, type PageRun, spansOf } from '../../page.ts';
import { shardOf } from '../../shard.ts';
import type { MemoryContext } from './memory-context.ts';
import type { DirectoryWord } from './memory-messages.ts';
import type { Mapping } from './page-tables.ts';

/** So often the directory says a word again, which it does after some time, before it is heeded all the same. */
const SAID_AGAIN_MAX = 3;

/** What takes pages away. */
export type TakingWord = Extract<DirectoryWord, { type: 'recall' | 'invalidate' }>;

interface Keeper {
  run: PageRun;
  mode: AccessMode;
}

/** Of one page. */
interface Waiting {
  word: TakingWord;
  saidAgain: number;
}

export class KeptPages<M extends Mapping, B> {
  private readonly context: MemoryContext<M, B>;
  private readonly keepers = new Map<number, Keeper>();
  /** By dataspace and page: no more than the pages that are kept. */
  private readonly words = new Map<bigint, Map<number, Waiting>>();

  constructor(context: MemoryContext<M, B>) {
    this.context = context;
  }

  /** An operation waits for its pages. */
  keep(operation: number, run: PageRun, mode: AccessMode): void {
    this.keepers.set(operation, { run, mode });
  }

  /** It is over. @returns the words that waited for it */
  end(operation: number, dataspace: bigint): TakingWord[] {
    this.keepers.delete(operation);
    const waiting = this.words.get(dataspace);
    if (waiting === undefined) return [];
    const prefixes = this.prefixes(dataspace);
    const due: TakingWord[] = [];
    for (const [page, { word }] of waiting) {
      if (prefixes.some((prefix) => keeps(prefix, page, word))) continue;
      waiting.delete(page);
      due.push(word);
    }
    if (waiting.size === 0) this.words.delete(dataspace);
    return due;
  }

  /** @returns what of a word is to be heeded now */
  sift(word: TakingWord): TakingWord[] {
    if (this.keepers.size === 0) return [word];
    const { dataspace, firstPage, pageCount } = word.run;
    const prefixes = this.prefixes(dataspace);
    if (prefixes.length === 0) return [word];
    const now: number[] = [];
    for (let page = firstPage; page < firstPage + pageCount; page++)
      if (!prefixes.some((prefix) => keeps(prefix, page, word)) || !this.waits(word, page)) now.push(page);
    if (now.length === pageCount) return [word];
    return spansOf(now).map((span) => ({ ...word, run: { dataspace, ...span } }));
  }

  // Of one page there is one change at a time: a later word says that the earlier one is over.
  private waits(word: TakingWord, page: number): boolean {
    const { dataspace } = word.run;
    const waiting = this.words.get(dataspace) ?? new Map<number, Waiting>();
    this.words.set(dataspace, waiting);
    const before = waiting.get(page);
    const again = before !== undefined && before.word.version === word.version;
    const saidAgain = again ? before.saidAgain + 1 : 0;
    if (saidAgain >= SAID_AGAIN_MAX) {
      waiting.delete(page);
      return false;
    }
    const one = { ...word, run: { dataspace, firstPage: page, pageCount: 1 } };
    waiting.set(page, { word: one, saidAgain });
    return true;
  }

  /** The lease of a shard ended, or another directory leads it: what the last one said is not heeded any more. */
  forgetShard(shard: number): void {
    for (const [dataspace, waiting] of this.words)
      for (const page of waiting.keys())
        if (shardOf(dataspace, page, this.context.holder.shards) === shard) waiting.delete(page);
  }

  forgetDataspace(dataspace: bigint): void {
    this.words.delete(dataspace);
  }

  /** Another pmap manager goes on: to that the directory says it again. */
  forgetAll(): void {
    this.words.clear();
  }

  private prefixes(dataspace: bigint): Keeper[] {
    const found: Keeper[] = [];
    for (const { run, mode } of this.keepers.values()) {
      if (run.dataspace !== dataspace) continue;
      const missing = this.context.firstMissing(run, mode);
      const pageCount = (missing ?? run.firstPage + run.pageCount) - run.firstPage;
      if (pageCount > 0) found.push({ run: { ...run, pageCount }, mode });
    }
    return found;
  }
}

function keeps({ run, mode }: Keeper, page: number, word: TakingWord): boolean {
  if (page < run.firstPage || page >= run.firstPage + run.pageCount) return false;
  // What begins anew nobody may have; and who reads goes on beside another reader.
  return word.type === 'invalidate' ? !word.anew : word.mode === 'WRITE' || mode === 'WRITE';
}
