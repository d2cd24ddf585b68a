// The bytes of pages as they come and go: read and sent on, kept until the receiver has them, put into frames.
//
// A page is read when no virtual kernel can write it any more (`revoke` comes first), and before its frame goes (`drop`
// comes after): so what is sent is the last that was written.
import assert from 'node:assert/strict';
import type { HolderAction } from '../../holder/holder-messages.ts';
import type { PageRun } from '../../page.ts';
import type { MemoryContext } from './memory-context.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { PageBytes } from './page-frames.ts';
import type { Mapping } from './page-tables.ts';

type Of<T extends HolderAction['type']> = Extract<HolderAction, { type: T }>;

export class PageCopies<M extends Mapping, B extends PageBytes<B>> {
  private readonly context: MemoryContext<M, B>;

  constructor(context: MemoryContext<M, B>) {
    this.context = context;
  }

  send(dataspace: NodeDataspace<M, B>, { run, receiver, version, state, retain }: Of<'send'>): void {
    const { frames } = dataspace;
    const end = run.firstPage + run.pageCount;
    // What has frames goes as bytes, what has none as zeros.
    for (let firstPage = run.firstPage; firstPage < end; ) {
      const resident = frames.has(firstPage);
      let pageCount = 1;
      while (firstPage + pageCount < end && frames.has(firstPage + pageCount) === resident) pageCount++;
      const part = { dataspace: run.dataspace, firstPage, pageCount };
      const bytes = resident ? frames.read(firstPage, pageCount) : undefined;
      if (retain) this.retain(dataspace, part, version, bytes);
      this.context.ports.tally.pagesOut += pageCount;
      this.context.say({ type: 'deliver', receiver, run: part, version, state, bytes, keep: retain });
      firstPage += pageCount;
    }
  }

  /** What was sent is kept: it may never arrive. */
  protected retain(
    dataspace: NodeDataspace<M, B>,
    run: PageRun,
    version: number,
    bytes: B | undefined,
  ): void {
    for (let i = 0; i < run.pageCount; i++)
      dataspace.retained.set(run.firstPage + i, { version, bytes: bytes?.part(i, 1) });
  }

  resend(dataspace: NodeDataspace<M, B>, { run, receiver, version, state }: Of<'resend'>): void {
    for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
      const { bytes } = dataspace.retainedAt(page, version);
      const one = { dataspace: run.dataspace, firstPage: page, pageCount: 1 };
      this.context.say({ type: 'deliver', receiver, run: one, version, state, bytes, keep: true });
    }
  }

  /** @param arrived of the run that began with `arrivedFirst` */
  install(
    dataspace: NodeDataspace<M, B>,
    { run, zero }: Of<'install'>,
    arrivedFirst: number,
    arrived: B | undefined,
  ): void {
    // A hole reads as zero: a zero page takes its frame at its first fault.
    if (zero) return;
    assert(arrived !== undefined, 'data is installed while it arrives');
    const { firstPage, pageCount } = run;
    const bytes = arrived.part(firstPage - arrivedFirst, pageCount);
    this.context.room.install(dataspace, firstPage, pageCount, bytes);
    this.context.ports.tally.pagesIn += pageCount;
  }

  installStored(dataspace: NodeDataspace<M, B>, { firstPage, pageCount }: PageRun): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      assert(dataspace.stored.has(page), `page ${page} of ${dataspace.name} was read back`);
      const bytes = dataspace.stored.get(page);
      // A hole reads as zero.
      if (bytes !== undefined) this.context.room.install(dataspace, page, 1, bytes);
      dataspace.stored.delete(page);
    }
  }

  restore(dataspace: NodeDataspace<M, B>, { run, version }: Of<'restore'>): void {
    for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
      const { bytes } = dataspace.retainedAt(page, version);
      if (bytes !== undefined) this.context.room.install(dataspace, page, 1, bytes);
      dataspace.retained.delete(page);
    }
  }
}
