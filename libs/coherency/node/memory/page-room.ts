// Frames for pages of dataspaces. One is kept for each page before it is asked for, so that what arrives has room; a hole
// gets one when it is touched. Whoever asks or touches pays for it.

import type { ShardedHolder } from '../../holder/sharded-holder.ts';
import { mayRead, type PageRun } from '../../page.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import { CHARGED_TO_NODE, type FrameBudget } from './page-frames.ts';
import type { Mapping } from './page-tables.ts';

export class PageRoom<M extends Mapping, B> {
  private readonly budget: FrameBudget;
  private readonly holder: Pick<ShardedHolder, 'state' | 'pending'>;

  constructor(budget: FrameBudget, holder: Pick<ShardedHolder, 'state' | 'pending'>) {
    this.budget = budget;
    this.holder = holder;
  }

  /**
   * Keeps frames for pages that will be asked for.
   * @returns how many pages from the first on may be asked for
   */
  reserve(dataspace: NodeDataspace<M, B>, firstPage: number, pageCount: number, charged: number): number {
    const { id, frames, reserved } = dataspace;
    let room: number | undefined;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      // A page that is held, or an empty one that may be used, takes a frame when it is touched.
      if (reserved.has(page) || frames.has(page) || mayRead(this.holder.state(id, page))) continue;
      room ??= this.budget.roomFor(charged);
      if (room-- <= 0) return page - firstPage;
      reserved.set(page, charged);
      this.budget.reserve(charged);
    }
    return pageCount;
  }

  /** What was asked for of a run came, or will not come. */
  settle({ id, reserved }: NodeDataspace<M, B>, { firstPage, pageCount }: PageRun): void {
    if (reserved.size === 0) return;
    if (pageCount > reserved.size) {
      for (const [page, charged] of [...reserved])
        if (page >= firstPage && page < firstPage + pageCount) this.free(id, reserved, page, charged);
      return;
    }
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const charged = reserved.get(page);
      if (charged !== undefined) this.free(id, reserved, page, charged);
    }
  }

  private free(id: bigint, reserved: Map<number, number>, page: number, charged: number): void {
    if (this.holder.pending(id, page)) return;
    reserved.delete(page);
    this.budget.unreserve(charged);
  }

  /** The dataspace goes. */
  forget({ reserved }: NodeDataspace<M, B>): void {
    for (const charged of reserved.values()) this.budget.unreserve(charged);
    reserved.clear();
  }

  /** Puts bytes into frames: those that were kept for them. */
  install(dataspace: NodeDataspace<M, B>, firstPage: number, pageCount: number, bytes: B): void {
    const { frames, reserved } = dataspace;
    frames.write(firstPage, pageCount, bytes, (page) => {
      const charged = reserved.get(page);
      if (charged === undefined) return CHARGED_TO_NODE;
      reserved.delete(page);
      this.budget.unreserve(charged);
      return charged;
    });
  }

  /**
   * Gives the holes of a run frames of zeros, as far as somebody may have them.
   * @returns how many pages from the first on have frames
   */
  fill({ frames }: NodeDataspace<M, B>, firstPage: number, pageCount: number, charged: number): number {
    let room: number | undefined;
    let count = 0;
    for (; count < pageCount; count++) {
      if (frames.has(firstPage + count)) continue;
      room ??= this.budget.roomFor(charged);
      if (room-- <= 0) break;
    }
    return count === 0 ? 0 : frames.fillHoles(firstPage, count, () => charged);
  }
}
