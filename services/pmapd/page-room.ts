// Frames for pages of dataspaces. One is kept for each page before it is asked for, so that what arrives has room; a hole
// gets one when it is touched. Whoever asks or touches pays for it.
import { mayRead, type PageRun } from '@odonata/coherency/page.ts';
import type { ShardedHolder } from '@odonata/coherency/sharded-holder.ts';
import { CHARGED_TO_NODE } from './charge.ts';
import type { Frames } from './frames.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

export class PageRoom {
  private readonly frames: Frames;
  private readonly holder: Pick<ShardedHolder, 'state' | 'pending'>;

  constructor(frames: Frames, holder: Pick<ShardedHolder, 'state' | 'pending'>) {
    this.frames = frames;
    this.holder = holder;
  }

  // How many more frames a process, or the node, may have for shared pages.
  private room(charged: number): number {
    const charge = this.frames.charges.get(charged);
    return Math.min(this.frames.room(charge), charge?.quotaRoom ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Keeps frames for pages that will be asked for.
   * @returns how many pages from the first on may be asked for
   */
  reserve(dataspace: SharedDataspace, firstPage: number, pageCount: number, charged: number): number {
    const { id, file, reserved } = dataspace;
    let room: number | undefined;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      // A page that is held, or an empty one that may be used, takes a frame when it is touched.
      if (reserved.has(page) || file.has(page) || mayRead(this.holder.state(id, page))) continue;
      room ??= this.room(charged);
      if (room-- <= 0) return page - firstPage;
      reserved.set(page, charged);
      this.frames.reserve(charged);
    }
    return pageCount;
  }

  /** What was asked for of a run came, or will not come. */
  settle({ id, reserved }: SharedDataspace, { firstPage, pageCount }: PageRun): void {
    if (reserved.size === 0) return;
    const free = (page: number, charged: number): void => {
      if (this.holder.pending(id, page)) return;
      reserved.delete(page);
      this.frames.unreserve(charged);
    };
    if (pageCount > reserved.size) {
      for (const [page, charged] of [...reserved])
        if (page >= firstPage && page < firstPage + pageCount) free(page, charged);
      return;
    }
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const charged = reserved.get(page);
      if (charged !== undefined) free(page, charged);
    }
  }

  /** The dataspace goes. */
  forget({ reserved }: SharedDataspace): void {
    for (const charged of reserved.values()) this.frames.unreserve(charged);
    reserved.clear();
  }

  /** Puts bytes into frames: those that were kept for them. */
  install({ file, reserved }: SharedDataspace, firstPage: number, bytes: Uint8Array): void {
    file.write(firstPage, bytes, (page) => {
      const charged = reserved.get(page);
      if (charged === undefined) return CHARGED_TO_NODE;
      reserved.delete(page);
      this.frames.unreserve(charged);
      return charged;
    });
  }

  /**
   * Gives the holes of a run frames of zeros, as far as somebody may have them.
   * @returns how many pages from the first on have frames
   */
  fill({ file }: SharedDataspace, firstPage: number, pageCount: number, charged: number): number {
    let room: number | undefined;
    let count = 0;
    for (; count < pageCount; count++) {
      if (file.has(firstPage + count)) continue;
      room ??= this.room(charged);
      if (room-- <= 0) break;
    }
    return count === 0 ? 0 : file.fillHoles(firstPage, count, () => charged);
  }
}
