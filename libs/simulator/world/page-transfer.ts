// Pages on their way from one node to another.
import type { HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import type { HolderId } from '@odonata/coherency/page.ts';

export interface PageTransfer {
  epoch: bigint;
  receiver: HolderId;
  event: Extract<HolderEvent, { type: 'data' }>;
  values: number[];
}
