// What a keeper hears, and what it wants done.
import type { Entry, Swap } from './known-records.ts';
import type { ServiceRecord, ServiceSpec } from './record.ts';

export type KeeperEvent =
  /** All records as of that revision of the store. */
  | { type: 'view'; revision: number; entries: readonly Entry[] }
  | { type: 'stored'; key: string; revision: number }
  | { type: 'refused' | 'doubted'; key: string }
  | { type: 'began'; key: string; pid: string }
  | { type: 'ended'; key: string; code: number; reason: string }
  | { type: 'checked'; key: string; ok: boolean }
  | { type: 'stopped'; key: string }
  | { type: 'fenced'; node: string; revision: number }
  | { type: 'tick' }
  /** This node goes: its instances end, and are others'. */
  | { type: 'leave' };

export interface Start {
  readonly key: string;
  readonly service: ServiceRecord;
  readonly replica: number;
  readonly spec: ServiceSpec;
}
export type KeeperAction =
  | Swap
  | { do: 'lease'; untilMs: number }
  | ({ do: 'start' } & Start)
  /** It runs since before: its end and its health are to be told. */
  | ({ do: 'adopt'; pid: string } & Start)
  | { do: 'stop'; key: string; graceMs: number; why: string }
  | { do: 'ask'; node: string; revision: number }
  | {
      do: 'tell';
      kind: 'instance-started' | 'instance-ended' | 'instance-moved' | 'node-taken';
      key: string;
      text: string;
    };
