// What two gateways say to each other of dataspaces and their pages.

import type { DeskWordsInit } from '@odonata/coherency/desk/desk-wire.ts';
import type { ReturnedAs } from '@odonata/coherency/lending/lender-messages.ts';
import { PAGE_BYTES, type PageRun } from '@odonata/coherency/page.ts';
import type { GatewayMemory, LentPages } from '@odonata/proto/syslink/v1/syslink';

export type Word = GatewayMemory['word'];
export type WordInit =
  | { case: 'offer'; value: { life: bigint; dataspaces: OfferedDataspace[] } }
  | { case: 'renew'; value: { sentMs: bigint } }
  | { case: 'renewed'; value: { sentMs: bigint; leaseMs: number } }
  | { case: 'lent'; value: { pages: PageRun; data: Uint8Array; lending: bigint; writing: boolean } }
  | { case: 'revoked'; value: { pages: PageRun; lending: bigint } }
  | { case: 'returned'; value: ReturnedPages }
  | { case: 'settled'; value: { pages: PageRun; lending: bigint; gone: boolean } }
  | { case: 'wanted'; value: { pages: PageRun; writing: boolean } }
  | { case: 'refused'; value: { pages: PageRun; withdrawn: boolean } }
  | { case: 'deskAsked' | 'deskAnswered'; value: GatewayLetter };

/** Of the desk of a dataspace, as its home calls that. */
export interface GatewayLetter {
  dataspace: bigint;
  /** Of the cluster that borrows it. */
  node: string;
  words: DeskWordsInit;
}

interface OfferedDataspace {
  name: string;
  id: bigint;
  sizeBytes: bigint;
  writable: boolean;
}

export interface ReturnedPages {
  pages: PageRun;
  lending: bigint;
  data?: Uint8Array;
  lost?: boolean;
  writing?: boolean;
}

/** As what pages are returned. @throws RangeError where there are not as many bytes as pages */
export function returnedAs(
  run: PageRun,
  { data, lost, writing }: { data: Uint8Array; lost: boolean; writing: boolean },
): ReturnedAs {
  if (!writing) return 'READ';
  if (lost) return 'LOST';
  if (data.length === 0) return 'UNWRITTEN';
  expectBytes(run, data);
  return 'WRITTEN';
}

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
