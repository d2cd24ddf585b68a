// A dataspace that a program has open: the same for one that is on a node, which maps it, and for one that is far from any.
import type { EventEmitter } from 'node:events';
import type { RpcError } from '@odonata/rpc/error.ts';
import type { LockMode } from './pmap-messages.ts';

export interface LockOptions {
  /** The first byte; 0. */
  readonly offset?: number;
  /** Bytes; 0 or absent: to the end. */
  readonly length?: number;
  /** Many may have a SHARED one at a time; EXCLUSIVE unless told otherwise. */
  readonly mode?: LockMode;
  /** 0 only tries; absent: for ever. */
  readonly timeoutMs?: number;
}

/** A range lock; given back by hand, or at the end of the block of its `await using`. */
export interface HeldLock extends AsyncDisposable {
  release(): Promise<void>;
}

export interface DataspaceEvents {
  /** What is mapped is not the dataspace any more, and why. As with any emitter: nobody listens, and the process ends. */
  error: [error: RpcError];
}

export type WaitEnd = 'woken' | 'not-equal' | 'timed-out';

export interface OpenDataspace extends EventEmitter<DataspaceEvents>, AsyncDisposable {
  readonly name: string;
  /** Of the whole dataspace. */
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** False: this program is far from any node, and has copies only. */
  readonly isNear: boolean;
  /** Why what is mapped is not the dataspace any more. */
  readonly broken: RpcError | undefined;

  /**
   * Its memory, coherent with every guest of the cluster. Its length is a multiple of 64 KiB: what is past the end of the
   * dataspace is this program's own. Each time the same one.
   * @throws RpcError FAILED_PRECONDITION far from any node
   */
  map(): Promise<SharedArrayBuffer>;
  /**
   * What `use` makes of the memory, which counts only where that was whole to the end.
   * @throws RpcError what it broke with
   */
  use<T>(use: (bytes: SharedArrayBuffer) => T): Promise<T>;
  /** @throws RpcError where what is mapped is not the dataspace any more, or cannot be told to be */
  expectWhole(): void;
  /** A copy, for sockets and files. The event loop does not wait for pages meanwhile. */
  read(offset?: number, length?: number): Promise<Uint8Array<ArrayBuffer>>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  lock(options?: LockOptions): Promise<HeldLock>;
  /** Waits on a word of 32 bits, while it is `expected`, until somebody wakes who waits there. */
  wait(
    offset: number,
    expected: number,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<WaitEnd>;
  /** How many it woke. */
  wake(offset: number, count?: number): Promise<number>;
  /** Resolves when the bytes of a durable one are in the backing store. */
  sync(range?: { offset?: number; length?: number }): Promise<void>;
  /** Gives back its locks and its memory. Idempotent. */
  close(): Promise<void>;
}
