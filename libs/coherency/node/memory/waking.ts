// Those who wait for pages look again, or get an error.
import type { PageRun } from '../../page.ts';
import type { Faults } from './faults.ts';
import type { MemoryContext } from './memory-context.ts';
import type { UseRefusal } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { Mapping } from './page-tables.ts';
import type { Waiter } from './waiting.ts';

export class Waking<M extends Mapping, B> {
  private readonly context: MemoryContext<M, B>;
  private readonly faults: Faults<M, B>;

  constructor(context: MemoryContext<M, B>, faults: Faults<M, B>) {
    this.context = context;
    this.faults = faults;
  }

  /** The permission of pages changed for the better, or what was asked for will not come. */
  ready(dataspace: NodeDataspace<M, B>, run: PageRun): void {
    this.context.room.settle(dataspace, run);
    this.run(dataspace, run.firstPage, run.pageCount);
  }

  all(dataspace: NodeDataspace<M, B>): void {
    this.run(dataspace, 0, dataspace.pageCount);
  }

  run({ waiting }: NodeDataspace<M, B>, firstPage: number, pageCount: number): void {
    for (const waiter of waiting.take(firstPage, pageCount)) this.one(waiter);
  }

  one(waiter: Waiter<M>): void {
    if (waiter.fault !== undefined) this.faults.again(waiter.fault, waiter.place);
    else this.context.say({ type: 'again', operation: waiter.operation });
  }

  fail(waiter: Waiter<M>, refusal: UseRefusal, reason: string): void {
    if (waiter.fault !== undefined) this.faults.fail(waiter.fault, reason);
    else this.context.say({ type: 'refused', operation: waiter.operation, refusal, reason });
  }
}
