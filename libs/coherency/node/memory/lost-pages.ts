// Pages that no node has: looked for in the backing store where there is one, begun anew with zeros where somebody accepts
// the loss or writes them whole, and else an error of whoever needs them.
import type { HolderAction } from '../../holder/holder-messages.ts';
import { type PageRun, spansOf } from '../../page.ts';
import type { MemoryContext } from './memory-context.ts';
import type { EventOf } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { Mapping } from './page-tables.ts';
import type { Waiter } from './waiting.ts';
import type { Waking } from './waking.ts';
import { whyLost, whyRemoved, whyWithdrawn } from './why-gone.ts';

export class LostPages<M extends Mapping, B> {
  private readonly context: MemoryContext<M, B>;
  private readonly waking: Waking<M, B>;

  constructor(context: MemoryContext<M, B>, waking: Waking<M, B>) {
    this.context = context;
    this.waking = waking;
  }

  /** The directory refused pages of a dataspace. */
  refused(
    dataspace: NodeDataspace<M, B>,
    { run, reason, version }: Extract<HolderAction, { type: 'failed' }>,
  ): void {
    const { name, durable, waiting } = dataspace;
    if (reason !== 'LOST' && reason !== 'WITHDRAWN') {
      const why = whyRemoved(name);
      for (const waiter of waiting.take(run.firstPage, run.pageCount))
        this.waking.fail(waiter, 'REMOVED', why);
    } else if (durable) this.context.say({ type: 'fetch', run, lostVersion: version });
    else this.lost(dataspace, run, version, reason === 'WITHDRAWN');
  }

  // Whether pages may begin anew is asked page by page, of few operations.
  private lost(dataspace: NodeDataspace<M, B>, run: PageRun, lostVersion: number, withdrawn: boolean): void {
    const reason = withdrawn ? whyWithdrawn(dataspace.name) : whyLost(dataspace.name);
    const pages = Array.from({ length: run.pageCount }, (_, i) => run.firstPage + i);
    for (const span of spansOf(pages.filter((page) => dataspace.beginsAnew(page))))
      this.beginWith({ dataspace: dataspace.id, ...span }, 0, lostVersion, undefined);
    for (const { firstPage, pageCount } of spansOf(pages.filter((page) => !dataspace.beginsAnew(page))))
      this.fail(dataspace, firstPage, dataspace.waiting.take(firstPage, pageCount), reason, withdrawn);
  }

  private fail(
    { name }: NodeDataspace<M, B>,
    page: number,
    waiters: readonly Waiter<M>[],
    reason: string,
    withdrawn = false,
  ): void {
    if (waiters.length === 0) return;
    const type = withdrawn ? 'page-withdrawn' : 'page-lost';
    this.context.say({ type, dataspace: name, page, accesses: waiters.length, reason });
    for (const waiter of waiters) this.waking.fail(waiter, 'LOST', reason);
  }

  found({ dataspace, page, version, lostVersion, bytes }: EventOf<'found', M, B>): void {
    this.beginWith({ dataspace, firstPage: page, pageCount: 1 }, version, lostVersion, bytes);
  }

  // What came too late must not take the place of what is asked for: only with an acquire it is kept.
  private beginWith(run: PageRun, version: number, lostVersion: number, bytes: B | undefined): void {
    const dataspace = this.context.dataspaces.get(run.dataspace);
    if (dataspace === undefined) return;
    for (const action of this.context.holder.step({ type: 'stored', run, version, lostVersion })) {
      if (action.type === 'acquire') {
        const { firstPage, pageCount } = action.run;
        for (let page = firstPage; page < firstPage + pageCount; page++) dataspace.stored.set(page, bytes);
      }
      if (action.type === 'ready') this.waking.ready(dataspace, action.run);
      else this.context.sayToDirectory(action);
    }
  }

  notFound({ dataspace: id, page, lostVersion, reason }: EventOf<'not-found', M, B>): void {
    const dataspace = this.context.dataspaces.get(id);
    if (dataspace === undefined) return;
    if (dataspace.beginsAnew(page)) {
      this.beginWith({ dataspace: id, firstPage: page, pageCount: 1 }, 0, lostVersion, undefined);
      return;
    }
    const waiters = dataspace.waiting.take(page, 1);
    if (this.isStillLost(id, page, lostVersion)) this.fail(dataspace, page, waiters, reason);
    else for (const waiter of waiters) this.waking.one(waiter);
  }

  /** Another node may have stored it, and brought it back, since this one looked. */
  protected isStillLost(dataspace: bigint, page: number, lostVersion: number): boolean {
    return this.context.holder.isLost(dataspace, page, lostVersion);
  }
}
