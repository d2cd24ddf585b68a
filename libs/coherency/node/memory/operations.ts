// What the node itself does with pages of dataspaces: it reads and writes them for people, for the backing store, and for
// nodes that leave.
import type { AccessMode, PageRun } from '../../page.ts';
import { storedVersionOf } from '../../stored-version.ts';
import type { KeptPages, TakingWord } from './kept-pages.ts';
import type { MemoryContext } from './memory-context.ts';
import type { Use, UseRefusal } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import { CHARGED_TO_NODE } from './page-frames.ts';
import type { Mapping } from './page-tables.ts';

/** Pages as they were at one time, for the backing store. */
export interface Captured {
  run: PageRun;
  /** By page of the run; in the order of stored-version.ts. */
  versions: bigint[];
  lineages: number[];
}

export class Operations<M extends Mapping, B> {
  private readonly context: MemoryContext<M, B>;
  private readonly kept: KeptPages<M, B>;

  constructor(context: MemoryContext<M, B>, kept: KeptPages<M, B>) {
    this.context = context;
    this.kept = kept;
  }

  use({ operation, run, mode, anew }: Use): void {
    const { context } = this;
    const { frozen, room, home } = context;
    const dataspace = context.dataspaces.get(run.dataspace);
    if (frozen) {
      this.refuse(operation, 'AGAIN', 'another pmap manager takes the place of this one; try again');
      return;
    }
    if (dataspace === undefined) {
      this.refuse(operation, 'REMOVED', `dataspace ${run.dataspace} was removed`);
      return;
    }
    if (anew !== undefined) dataspace.anew.set(operation, anew);
    const { firstPage, pageCount } = run;
    const missing = context.firstMissing(run, mode);
    if (missing !== undefined) {
      // What comes must have a frame: so before it is asked for.
      if (room.reserve(dataspace, firstPage, pageCount, CHARGED_TO_NODE) < pageCount) {
        // Some were kept, for what is not asked for now.
        room.settle(dataspace, run);
        this.noFrames(dataspace, operation, pageCount);
      } else {
        this.kept.keep(operation, run, mode);
        context.want(run, mode, pageCount);
        this.wait(dataspace, missing, operation, mode);
      }
      return;
    }
    if (mode === 'WRITE' && room.fill(dataspace, firstPage, pageCount, CHARGED_TO_NODE) < pageCount) {
      this.noFrames(dataspace, operation, pageCount);
      return;
    }
    home.takeForNode(run, mode);
    if (mode === 'WRITE') context.wrote(run);
    // The last action of its step: nothing happens to the pages before it is performed.
    context.say({ type: 'usable', operation });
  }

  private wait(
    { name, waiting }: NodeDataspace<M, B>,
    page: number,
    operation: number,
    mode: AccessMode,
  ): void {
    if (!waiting.add(page, { fault: undefined, operation, mode }))
      this.refuse(operation, 'BUSY', `too many wait for page ${page} of dataspace ${name}`);
  }

  private refuse(operation: number, refusal: UseRefusal, reason: string): void {
    this.context.say({ type: 'refused', operation, refusal, reason });
  }

  private noFrames({ name }: NodeDataspace<M, B>, operation: number, pageCount: number): void {
    const reason = `the node has no frames for ${pageCount} more pages of dataspace ${name}`;
    this.refuse(operation, 'NO_FRAMES', reason);
  }

  /** @returns the words of the directory that waited for it */
  end(operation: number, dataspace: bigint): TakingWord[] {
    this.context.dataspaces.get(dataspace)?.anew.delete(operation);
    return this.kept.end(operation, dataspace);
  }

  /** Of pages that are `usable`, beside their bytes. */
  capture(run: PageRun): Captured {
    const { holder } = this.context;
    const { dataspace, firstPage, pageCount } = run;
    const versions: bigint[] = [];
    const lineages: number[] = [];
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      lineages.push(holder.lineage(dataspace, page));
      const [version, state] = [holder.version(dataspace, page), holder.state(dataspace, page)];
      versions.push(storedVersionOf(this.storedEpoch(dataspace, page), version, state));
    }
    return { run, versions, lineages };
  }

  /** Under which epoch a page is stored: a leader that starts anew may give a version again. */
  protected storedEpoch(dataspace: bigint, page: number): bigint {
    return this.context.ports.permissions.epochOf(dataspace, page);
  }

  /** Whether what is stored by now is as durable as that looks: not where a page may have begun anew meanwhile. */
  holds({ run, lineages }: Captured): boolean {
    const { holder, ports } = this.context;
    const { dataspace, firstPage } = run;
    return lineages.every((lineage, i) => {
      const page = firstPage + i;
      return ports.permissions.usable(dataspace, page) && holder.lineage(dataspace, page) === lineage;
    });
  }
}
