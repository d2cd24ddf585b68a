// What a program asks of the thread that has its pmap, and what it hears of it.
import type { Code } from '@odonata/rpc/error.ts';

/** Of one opened dataspace, for all threads that use it. */
export type StateCell = Int32Array<SharedArrayBuffer>;
/** In a StateCell: what can be read there is no longer the dataspace. */
export const BROKEN = 1;

export interface PmapThreadData {
  /** `unix:/path` of the node's pmap manager. */
  readonly address: string;
  /** Path of the socket on which it takes descriptors. */
  readonly userfaultSocket: string;
  /** Of the session: PERSON:WORD. */
  readonly name: string;
  readonly tlsDir: string | undefined;
  /** How long the pmap manager may take to let us in. */
  readonly deadlineMs: number;
  /** 0 until nothing is mapped any more, at the end of the process; then 1. */
  readonly ended: Int32Array<SharedArrayBuffer>;
}

export interface OpenRequest {
  readonly name: string;
  /** To make it with; 0: it must exist. */
  readonly sizeBytes: bigint;
  readonly exclusive: boolean;
  readonly durable: boolean;
  /** What of it can be mapped: from here on, so many bytes; 0: to its end. */
  readonly offset: bigint;
  readonly length: bigint;
  readonly state: StateCell;
}

export interface Opened {
  readonly handle: number;
  readonly pid: bigint;
  readonly sizeBytes: bigint;
  readonly readOnly: boolean;
  readonly lease: SharedArrayBuffer;
}

export interface LockRange {
  readonly begin: bigint;
  readonly endInclusive: bigint;
}

export type LockMode = 'SHARED' | 'EXCLUSIVE' | 'MODIFYING';

/** By the name of the request: what goes with it, and what comes back. */
export interface PmapCalls {
  open: { args: OpenRequest; result: Opened };
  map: { args: { handle: number; writable: boolean }; result: { buffer: SharedArrayBuffer } };
  lock: {
    args: { handle: number; range: LockRange; mode: LockMode; timeoutMs: bigint };
    result: undefined;
  };
  unlock: { args: { handle: number; range: LockRange }; result: undefined };
  sync: { args: { handle: number; offset: bigint; length: bigint }; result: undefined };
  /** Answered when the wait is registered. */
  wait: { args: { handle: number; offset: number; timeoutMs: bigint }; result: { wait: number } };
  waited: { args: { wait: number }; result: { woken: boolean } };
  cancelWait: { args: { wait: number }; result: undefined };
  wake: { args: { handle: number; offset: number; count: number }; result: { woken: number } };
  close: { args: { handle: number }; result: undefined };
  /** Nothing stays mapped, and the session ends. */
  end: { args: Record<string, never>; result: undefined };
}
export type PmapCall = keyof PmapCalls;

export type PmapRequest = { [C in PmapCall]: { id: number; call: C; args: PmapCalls[C]['args'] } }[PmapCall];

export interface PmapFailure {
  readonly code: Code;
  readonly details: string;
}

export type PmapReport =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: PmapFailure }
  /** As a process would end: by which signal, and why. */
  | { readonly broken: number; readonly signal: string; readonly reason: string };
