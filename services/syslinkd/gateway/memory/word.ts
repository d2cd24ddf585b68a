// What two gateways say to each other of dataspaces and their pages.
import { PAGE_BYTES, type PageRun } from '@odonata/coherency/page.ts';
import type { GatewayMemory, LentPages } from '@odonata/proto/syslink/v1/syslink';

export type Word = GatewayMemory['word'];
export type WordInit =
  | { case: 'offer'; value: { life: bigint; dataspaces: { name: string; id: bigint; sizeBytes: bigint }[] } }
  | { case: 'renew'; value: { sentMs: bigint } }
  | { case: 'renewed'; value: { sentMs: bigint; leaseMs: number } }
  | { case: 'lent'; value: { pages: PageRun; data: Uint8Array; lending: bigint } }
  | { case: 'revoked' | 'returned'; value: { pages: PageRun; lending: bigint } }
  | { case: 'wanted' | 'refused'; value: { pages: PageRun } };

/** @throws RangeError */
export function runOf(pages: LentPages | undefined): PageRun {
  if (pages === undefined) throw new RangeError('no pages are named');
  return { dataspace: pages.dataspace, firstPage: pages.firstPage, pageCount: pages.pageCount };
}

/** @throws RangeError unless there are as many bytes as pages */
export function expectBytes({ pageCount }: PageRun, data: Uint8Array): void {
  if (data.length !== pageCount * PAGE_BYTES)
    throw new RangeError(`${data.length} bytes for ${pageCount} pages`);
}
