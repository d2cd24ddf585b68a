// What travels on the stream between a pmap manager and a directory, and between pmap managers.
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import type { HolderId, PageRun } from '@odonata/coherency/page.ts';
import type { SyncAnswer as DeskAnswer, LockAsk as DeskLockAsk } from '@odonata/coherency/sync-desk.ts';

/** What a directory says of pages. */
export type RunEvent = Extract<HolderEvent, { run: unknown }>;

export type HolderWord = Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>;

export type LockAsk = Omit<DeskLockAsk, 'reclaim'>;

export type SyncAsk =
  | { type: 'lock'; ask: LockAsk; reclaim: boolean }
  | { type: 'unlock'; request: bigint; dataspace: bigint; owner: bigint; begin: bigint; end: bigint }
  | { type: 'wait'; request: bigint; dataspace: bigint; offset: bigint; owner: bigint }
  | { type: 'cancelWait'; request: bigint }
  | { type: 'wake'; request: bigint; dataspace: bigint; offset: bigint; count: number }
  | { type: 'ownerGone'; request: bigint; owner: bigint };

export type SyncAnswer =
  | DeskAnswer
  /** Of an unlock, the end of an owner. */
  | { type: 'done'; holder: HolderId; request: bigint };

export type Up =
  /** `life`: as the last welcome said; a holder that was buried has another one. */
  | { type: 'hello'; node: number; incarnation: number; life: number }
  | { type: 'renew'; sentMs: number }
  | { type: 'holder'; epoch: number; word: HolderWord }
  | { type: 'sync'; ask: SyncAsk }
  | { type: 'retire'; epoch: number }
  | { type: 'goodbye' };

export type Down =
  | { type: 'welcome'; epoch: number; holder: HolderId; leaseMs: number; report: boolean; life: number }
  | { type: 'renewed'; sentMs: number }
  /** `receiverNode` -1: unknown. */
  | { type: 'page'; epoch: number; event: RunEvent; receiverNode: number }
  | { type: 'sync'; answer: SyncAnswer }
  | { type: 'retired'; epoch: number; remaining: PageRun[] };

export interface PageTransfer {
  epoch: number;
  receiver: HolderId;
  event: Extract<HolderEvent, { type: 'data' }>;
  values: number[];
}
