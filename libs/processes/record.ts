// What a home keeps over a new start of its supervisor.

import type { Child, Given } from './family.ts';
import type { Hold, Status } from './message.ts';
import type { Kept } from './outbox.ts';

/** A process, at its home. */
export interface Own {
  readonly pid: bigint;
  /** 0: it was started from outside. */
  parent: bigint;
  /** Of the spawn, where the parent's node is another one. */
  token: bigint | undefined;
  group: bigint;
  session: bigint;
  status: Status | undefined;
  /** The last change that its parent is told; missing: it never was stopped. */
  hold?: Hold;
}

export interface HomeRecord {
  readonly own: readonly Own[];
  readonly families: readonly {
    readonly parent: bigint;
    readonly children: readonly Child[];
    readonly given: readonly Given[];
  }[];
  readonly kept: readonly { readonly node: number; readonly message: Kept }[];
  readonly revoked: readonly bigint[];
}

/** As JSON, which has no numbers of 64 bits. */
export const recordText = (record: HomeRecord): string =>
  JSON.stringify(record, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));

/** @throws SyntaxError */
export const recordOf = (text: string): HomeRecord =>
  JSON.parse(text, (_, value) =>
    typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  );
