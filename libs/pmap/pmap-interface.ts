// What the virtual kernel asks of its pmap: a vmspace for each process, whose linear memory is demand-paged.
//
// The main thread calls these; it never touches guest memory itself, because it would wait in a fault for the
// answer that it has to give. All promises reject with PmapError, whose errno is a WASI errno.

import type { LeaseCell } from './shared-lease.ts';

export interface Pmap {
  createSpace(options: SpaceOptions): Promise<Space>;
  /** Private memory that no process maps, read and written as a file. */
  createFile(options: PrivateFileOptions): Promise<PrivateFile>;
  close(): Promise<void>;
}

export interface SpaceOptions {
  /** 0: the pmap manager gives one, to a program outside of virtual kernels. */
  readonly pid: bigint;
  /** Pages of WebAssembly, 64 KiB each. */
  readonly initialPages: number;
  /** Pages of WebAssembly, 64 KiB each, at most 65536. */
  readonly maximumPages: number;
  /** Memory that the process may have. */
  readonly quotaBytes: number;
  /** What of it is kept for its tables and for compiling it. */
  readonly besideBytes: number;
  /** What its memory begins with; absent: zeros. */
  readonly image?: ProgramImage | undefined;
  /** The process must die: its memory was lost, it is over its quota, or it wrote to what is read-only. */
  readonly onFatal: (signal: string, reason: string) => void;
  /** Somebody watches it, or nobody does any more. */
  readonly onWatched?: (on: boolean) => void;
  /** The memory that it will have, before the pmap manager is asked: nobody touches that before the space is there. */
  readonly onMemory?: ((memory: WebAssembly.Memory, lease: LeaseCell) => void) | undefined;
}

/** Pages of an image that lie beside each other in memory. */
export interface ImageSpan {
  /** Of the memory, 4 KiB each. */
  readonly firstPage: number;
  readonly pageCount: number;
  /** Of the image. */
  readonly imagePage: number;
}

/** What the memory of all processes of one program begins with. */
export interface ProgramImage {
  /** Of its bytes. */
  readonly sha256: Uint8Array<ArrayBuffer>;
  /** Whole pages, one span after the other. */
  readonly bytes: Uint8Array;
  readonly spans: readonly ImageSpan[];
}

export interface PrivateFileOptions {
  readonly sizeBytes: number;
  readonly quotaBytes: number;
  /** All of it was lost: others have its frames, or its pmap manager is gone. */
  readonly onLost: (reason: string) => void;
}

/** Frames of the node. Each page that is written to has to be granted before, and is given back after a hole was punched. */
export interface PrivateFile {
  readonly fd: number;
  /** @returns how many pages were granted, at most so many; 0 where there are none */
  take(pages: number): Promise<number>;
  give(pages: number): void;
  close(): void;
}

/** A control transfer of a process that is watched. */
export interface Transfer {
  readonly kind: 'SYSCALL' | 'SIGNAL' | 'TRAP' | 'TIMEOUT';
  readonly name: string;
  readonly reason: string;
}

export type RangeLockMode = 'SHARED' | 'EXCLUSIVE' | 'MODIFYING';

/** The vmspace of one process. */
export interface Space {
  /** As its pmap manager calls it. */
  readonly id?: bigint;
  readonly pid: bigint;
  /** Shared, so that the guest's thread can import it. */
  readonly memory: WebAssembly.Memory;
  /** Until when the guest may use what it maps: nothing that it does later may be seen by others. */
  readonly lease: LeaseCell;
  /** The image is laid under its memory; false: its thread has to write it. */
  readonly hasImage?: boolean;
  /** At once: can touch nothing shared any more; pending and later faults are zero-filled, so that the thread can end. */
  detach(): void;
  /** @param unused the guest's thread ended; missing: it has. One that goes on meanwhile must be done with its memory */
  destroy(unused?: Promise<unknown>): Promise<void>;
  /** Ranges of dataspaces that it has mapped. */
  mappedRanges?(): number;
  /** Private pages (4 KiB) that it touched. */
  residentPages(): number;
  /** So much of its quota is for its further threads from now on. False where that is not left: then nothing changes. */
  keepBeside(bytes: number): boolean;
  /** Of a dataspace that it has open. ENOENT for others. */
  sizeOf(dataspace: bigint): bigint;
  open(name: string, sizeBytes: bigint, flags: OpenFlags): Promise<Dataspace>;
  /** The dataspace is gone. EBUSY while somebody has it mapped. */
  remove(name: string): Promise<void>;
  /** What people read in reports of hot pages. */
  nameRange(dataspace: bigint, offset: bigint, length: bigint, name: string): Promise<void>;
  /** Resolves when the bytes are in the backing store; a length of 0 means all from the offset on. */
  sync(dataspace: bigint, offset: bigint, length: bigint): Promise<void>;
  map(
    guestAddress: number,
    lengthBytes: number,
    dataspace: bigint,
    offsetBytes: bigint,
    writable: boolean,
  ): Promise<void>;
  unmap(guestAddress: number, lengthBytes: number): Promise<void>;
  /** The end is inclusive. timeoutMs < 0 waits for ever, 0 only tries. */
  lock(
    dataspace: bigint,
    begin: bigint,
    endInclusive: bigint,
    mode: RangeLockMode,
    timeoutMs: bigint,
  ): Promise<void>;
  unlock(dataspace: bigint, begin: bigint, endInclusive: bigint): Promise<void>;
  /** Resolves when `count` processes have come to this generation. timeoutMs < 0 waits for ever. */
  barrier(dataspace: bigint, meeting: Meeting, timeoutMs: bigint): Promise<void>;
  /** Resolves once the wait is registered. timeoutMs < 0 waits for ever. */
  wait(guestAddress: number, timeoutMs: bigint): Promise<PendingWait>;
  /** For whoever watches; `dropped` more were too many to tell. */
  tellTransfers?(transfers: readonly Transfer[], dropped: number): void;
  /** How many it woke. */
  wake(guestAddress: number, count: number): Promise<number>;
}

/** A round of a barrier. */
export interface Meeting {
  readonly name: bigint;
  readonly count: number;
  readonly generation: bigint;
}

export interface OpenFlags {
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly durable: boolean;
}

export interface Dataspace {
  readonly id: bigint;
  readonly sizeBytes: bigint;
  /** It may be read, and not written. */
  readonly readOnly?: boolean;
}

export interface PendingWait {
  /** True: woken; false: timed out. */
  readonly woken: Promise<boolean>;
  cancel(): void;
}

export class PmapError extends Error {
  /** A WASI errno. */
  readonly errno: number;
  /** gRPC's, where a service said so. */
  readonly code: number | undefined;

  constructor(errno: number, message: string, code?: number) {
    super(message);
    this.name = 'PmapError';
    this.errno = errno;
    this.code = code;
  }
}
