// The page tables of the virtual kernels of a node, through the userfaultfd that each of them handed over.

import type { PageTables } from '@odonata/coherency/node/memory/page-tables.ts';
import type { HolderId, PageRun } from '@odonata/coherency/page.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Errno } from '@odonata/userfault/libc.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

export class UserfaultTables implements PageTables<MapEntry> {
  private readonly dataspaces: ReadonlyMap<bigint, SharedDataspace>;
  private readonly onMended: (dataspace: SharedDataspace, page: number) => void;

  constructor(
    dataspaces: ReadonlyMap<bigint, SharedDataspace>,
    onMended: (dataspace: SharedDataspace, page: number) => void,
  ) {
    this.dataspaces = dataspaces;
    this.onMended = onMended;
  }

  // False: the page is there, or there is no room for it.
  private mend({ dataspace: { id } }: MapEntry, page: number): boolean {
    const dataspace = this.dataspaces.get(id);
    if (dataspace?.file.mend(page) !== true) return false;
    this.onMended(dataspace, page);
    return true;
  }

  // The kernel takes the write bit and flushes before the ioctl returns.
  protect(holder: HolderId, { dataspace, firstPage, pageCount }: PageRun): void {
    for (const entry of this.dataspaces.get(dataspace)?.entries ?? []) {
      if (entry.holder !== holder || !entry.writable) continue;
      const part = entry.clip(firstPage, pageCount);
      if (part === undefined) continue;
      entry.protectRange(entry.addressOf(part.firstPage), part.pageCount * PAGE_BYTES);
    }
  }

  unmap({ dataspace, firstPage, pageCount }: PageRun): void {
    this.dataspaces.get(dataspace)?.file.unmapAll(firstPage, pageCount);
  }

  isMapped(dataspace: bigint): boolean {
    return this.dataspaces.get(dataspace)?.entries.size !== 0;
  }

  has(entry: MapEntry): boolean {
    return entry.dataspace.entries.has(entry);
  }

  protectAll(dataspace: bigint): void {
    for (const entry of this.dataspaces.get(dataspace)?.entries ?? []) entry.protect();
  }

  map(entry: MapEntry, firstPage: number, pageCount: number, writable: boolean): number {
    const { userfault } = entry.vmspace.session;
    const end = firstPage + pageCount;
    let page = firstPage;
    let raced = false;
    let mended = -1;
    while (page < end) {
      const at = entry.addressOf(page);
      const errno = userfault.continue(at, (end - page) * PAGE_BYTES, !writable);
      if (errno === 0) {
        page = end;
        break;
      }
      const doneBytes = userfault.doneBytes();
      if (doneBytes > 0) {
        page += doneBytes / PAGE_BYTES;
        continue;
      }
      // Mapped already, perhaps read-only: then all that are, at once.
      if (writable && !raced) userfault.writeProtect(at, (end - page) * PAGE_BYTES, false);
      raced = true;
      // A virtual kernel that may write the file took the page out of it: it is zeros now, as if that had written them.
      if (errno === Errno.EFAULT && mended < page && this.mend(entry, page)) {
        mended = page;
        continue;
      }
      // Anything else: the mapping changed under the fault (ENOENT), or the process ends (ESRCH).
      if (errno !== Errno.EEXIST) break;
      page++;
    }
    // Whoever waits and was not woken by a page of its own looks again.
    if (raced) userfault.wake(entry.addressOf(firstPage), pageCount * PAGE_BYTES);
    return page - firstPage;
  }
}
