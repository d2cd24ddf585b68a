// The channel by which a guest's thread asks the virtual kernel's main thread for something and waits.
//
// The thread posts its request and sleeps on a word of a small shared buffer; the main thread, which may have to wait
// for others first, stores the answer in that buffer and wakes it. One request at a time: the thread has nothing else
// to do meanwhile. (Output goes through a ring of its own: see output-ring.ts.)
//
//   words   0 turn (0 waiting, 1 answered)   1 errno   2 length of the payload   3 the process must end (1)
//           4 transfers that may be told, and 1 (0: nobody watches)   5 transfers that were too many to tell
//           6 its memory is there (1)
//   bytes   32 ... payload

import type { Meeting } from '@odonata/pmap/pmap-interface.ts';
import { type LeaseCell, LeaseWatch } from '@odonata/pmap/shared-lease.ts';
import type { ConnectionRequest } from './connections-asked.ts';
import { Leave, type ParkArea, type ParkedGuest, type ResumeGuest } from './parked/parked-guest.ts';
import type { DirectoryGrant, Listener } from './wasi/directory-calls.ts';
import type { DeviceName } from './wasi/mounts/devices.ts';
import type { FileRequest } from './wasi/mounts/file-request.ts';
import type { Word } from './wasi/system.ts';
import type { ProgramImage } from './wasm/image.ts';
import type { KeptGlobal, KeptGlobals } from './wasm/kept-globals.ts';

const turnWord = 0;
const errnoWord = 1;
const lengthWord = 2;
const endingWord = 3;
const traceWord = 4;
const untoldWord = 5;
const memoryWord = 6;

/** Of the word of the turn. */
const WAITS = 0;
const ANSWERED = 1;
const LEAVE = 2;
const headerBytes = 32;
/** Until a guest whose lease is over looks whether there is another one. */
const LOOK_AGAIN_MS = 2;

/** The most that one answer carries: a piece of standard input. */
export const payloadBytesMax = 65536;
/** A file that a child has of its parent, whatever it is a file of. */
export interface GivenFile {
  readonly filetype: number;
  readonly seekable: boolean;
  readonly readOnly: boolean;
  readonly counted: boolean;
  readonly flags: number;
  readonly rights: bigint;
  readonly inheriting: bigint;
  readonly lost: bigint;
  /** wasi/file-position.ts */
  readonly position: SharedArrayBuffer;
}

/** What a child has as descriptor `to`: a pipe or connection, a file, a device, or a standard stream of its parent. */
export type GivenDescriptor = {
  readonly to: number;
  /** Nobody asked for it by itself: all that are open are handed on. */
  readonly implied?: boolean;
} & (
  | { readonly host: number }
  | { readonly stream: 0 | 1 | 2 }
  | { readonly host: number; readonly file: GivenFile }
  | { readonly mounted: number; readonly file: GivenFile }
  | { readonly device: DeviceName; readonly flags: number; readonly rights: bigint }
);

export type KernelRequest =
  /** Nothing but time passes; below 0: for ever. */
  | { readonly call: 'sleep'; readonly timeoutMs: number }
  /** Somebody asked for a snapshot, and here it may be taken. */
  | { readonly call: 'snapshot' }
  | { readonly call: 'stdin_read'; readonly maxBytes: number; readonly nonblock: boolean }
  | { readonly call: 'stdin_poll'; readonly timeoutMs: number }
  | {
      readonly call: 'ds_open';
      readonly name: string;
      readonly sizeBytes: bigint;
      readonly create: boolean;
      readonly exclusive: boolean;
      readonly durable: boolean;
    }
  | { readonly call: 'ds_remove'; readonly name: string }
  | { readonly call: 'connect'; readonly request: ConnectionRequest }
  /** The line of a listener by name is at its end: another one in its place. */
  | { readonly call: 'listen_again'; readonly host: number }
  | {
      readonly call: 'name_range';
      readonly dataspace: bigint;
      readonly offset: bigint;
      readonly length: bigint;
      readonly name: string;
    }
  | { readonly call: 'sync'; readonly dataspace: bigint; readonly offset: bigint; readonly length: bigint }
  | {
      readonly call: 'ds_map';
      readonly dataspace: bigint;
      readonly address: number;
      readonly lengthBytes: number;
      readonly offsetBytes: number;
      readonly writable: boolean;
    }
  | { readonly call: 'ds_unmap'; readonly address: number; readonly lengthBytes: number }
  | {
      readonly call: 'lock';
      readonly dataspace: bigint;
      readonly begin: bigint;
      readonly endInclusive: bigint;
      readonly mode: 'SHARED' | 'EXCLUSIVE' | 'MODIFYING';
      readonly timeoutMs: bigint;
    }
  | {
      readonly call: 'unlock';
      readonly dataspace: bigint;
      readonly begin: bigint;
      readonly endInclusive: bigint;
    }
  | {
      readonly call: 'barrier';
      readonly dataspace: bigint;
      readonly meeting: Meeting;
      readonly timeoutMs: bigint;
    }
  /** Registers a wait; the thread then looks at the value again and sends one of the two that follow. */
  | { readonly call: 'wait_register'; readonly address: number; readonly timeoutMs: bigint }
  /** Another thread of the process; the payload is its number. */
  | { readonly call: 'thread_spawn'; readonly argument: number }
  /** What becomes of descriptors of the host: wasi/shared-descriptors.ts. */
  | { readonly call: 'host_adopt'; readonly host: number }
  | { readonly call: 'host_close'; readonly host: number }
  | { readonly call: 'host_replace'; readonly host: number; readonly as: number }
  /** The size of a dataspace that some thread of the process opened. */
  | { readonly call: 'ds_size'; readonly dataspace: bigint }
  /** Of files in mounts of the virtual kernel. */
  | { readonly call: 'file'; readonly request: FileRequest }
  | { readonly call: 'wait_sleep' }
  | { readonly call: 'wait_cancel' }
  | {
      readonly call: 'spawn';
      /** Undefined: that of the process itself. */
      readonly module: Uint8Array<ArrayBuffer> | undefined;
      /** With its name as the first. */
      readonly args: readonly Uint8Array[];
      readonly env: readonly Uint8Array[];
      /** Of a node; of a dataspace, with `near`. */
      readonly node: string;
      readonly place: SpawnPlace;
      /** Not where this process and its other children run. */
      readonly apart: boolean;
      /** 0: of its own; undefined: the parent's. */
      readonly group: bigint | undefined;
      /** Descriptors of the parent that it has, too. */
      readonly fds: readonly GivenDescriptor[];
    }
  /** Both ends, as descriptors of the host. */
  | { readonly call: 'pipe' }
  /** A connection's or pipe's, once more. */
  | { readonly call: 'duplicate'; readonly host: number }
  | {
      readonly call: 'wait_child';
      readonly which: bigint;
      readonly hang: boolean;
      readonly stopped: boolean;
      readonly continued: boolean;
    }
  | { readonly call: 'kill'; readonly target: bigint; readonly signal: string }
  | { readonly call: 'identify'; readonly target: bigint }
  | { readonly call: 'set_group'; readonly target: bigint; readonly group: bigint; readonly session: boolean }
  | { readonly call: 'terminal'; readonly asked: TerminalAsked }
  | { readonly call: 'wake'; readonly address: number; readonly count: number };

/** Where a child runs: on a node by its name (empty: the parent's), where the load is least, near a dataspace. */
export type SpawnPlace = 'named' | 'spread' | 'near';

/** What a program asks of its terminal. */
export interface TerminalAsked {
  readonly settings?: {
    readonly input: number;
    readonly output: number;
    readonly local: number;
    readonly characters: Uint8Array;
  };
  readonly size?: { readonly rows: number; readonly columns: number };
  readonly foreground?: bigint;
  readonly flush?: boolean;
}

/** How a guest ended by itself. */
export type GuestEnd =
  | { readonly how: 'exit'; readonly code: number }
  | { readonly how: 'trap'; readonly signal: string; readonly reason: string; readonly stack: string }
  /** The virtual kernel failed under it. `bug` is for the log, `stack` is the program's. */
  | { readonly how: 'failed'; readonly bug: string; readonly stack: string }
  /** It could not be started. */
  | { readonly how: 'refused'; readonly reason: string };

/** From the guest's thread to the main thread. */
export type GuestMessage =
  /** Linux's number of the thread; 0 where it does not tell. */
  | { readonly kind: 'ready'; readonly hostThread: number }
  /** The program is compiled, and needs this. */
  | { readonly kind: 'prepared'; readonly module: WebAssembly.Module; readonly needs: PreparedGuest }
  /** There is something in the ring. */
  | { readonly kind: 'output' }
  | { readonly kind: 'request'; readonly request: KernelRequest; readonly mayLeave?: boolean }
  /** It is back in its program, which was parked. */
  | { readonly kind: 'resumed' }
  /** It left its program, as it was told: its thread is not needed any more. */
  | { readonly kind: 'parked'; readonly parked: ParkedGuest }
  /** It called the virtual kernel, or a wait of it timed out: told while somebody watches. */
  | { readonly kind: 'transfer'; readonly what: 'SYSCALL' | 'TIMEOUT'; readonly name: string }
  /** A thread that the program started is over, and the process goes on. */
  | { readonly kind: 'returned' }
  | { readonly kind: 'ended'; readonly end: GuestEnd };

/** To the guest's thread, first: what it is to run, where a thread has compiled that before. */
export interface RunCompiled {
  readonly compiled: WebAssembly.Module;
}

/** The same where none has; it answers with what it compiled. Nothing is read of a program in any other thread. */
export interface PrepareGuest {
  readonly module: Uint8Array<ArrayBuffer>;
  /** Of memory and tables together. */
  readonly quotaBytes: number;
  /** wasm/types-seen.ts */
  readonly typesSeen: SharedArrayBuffer;
}

export interface PreparedGuest {
  /** Pages of 64 KiB. */
  readonly initialPages: number;
  readonly maximumPages: number;
  /** What its tables, and V8 that compiles it, may take of its quota. */
  readonly besideBytes: number;
  /** It may ask for children of its own program. */
  readonly spawns: boolean;
  /** What its memory begins with, where the module does not write that itself. */
  readonly image: ProgramImage | undefined;
  /** Of a program that starts threads: what each of them runs, and what its tables take in each. */
  readonly threads: { readonly module: WebAssembly.Module; readonly instanceBytes: number } | undefined;
  /** Whether there may be snapshots of it; undefined: it does not ask for that. */
  readonly snapshot: KeptGlobals | undefined;
  /** Of one that can be parked: its globals. */
  readonly parkable: readonly KeptGlobal[] | undefined;
}

/** To a guest's thread that the program started, instead of the two others; when it returned, the next one may come. */
export interface RunThread {
  readonly module: WebAssembly.Module;
  readonly start: StartGuest;
  readonly thread: number;
  readonly argument: number;
  /** Of those in `waits`. */
  readonly place: number;
}

/** To the guest's thread, second and last. */
export interface StartGuest {
  readonly memory: WebAssembly.Memory;
  /** The pmap manager is still asked for it: all but the program itself is made ready, which waits for `memoryIsThere`. */
  readonly isAhead?: boolean;
  readonly channel: SharedArrayBuffer;
  readonly lease: LeaseCell;
  readonly output: SharedArrayBuffer;
  /** With the program's name as the first. */
  readonly args: readonly Word[];
  readonly env: readonly Word[];
  /** Which standard streams are a terminal, by number. */
  readonly terminals: readonly boolean[];
  readonly grants: readonly DirectoryGrant[];
  readonly listeners: readonly Listener[];
  /** Mounts of the virtual kernel that it sees, from "/" on: `dev`, `tmp`. */
  readonly mounts: readonly string[];
  /** @see ConnectionTable */
  readonly connections: SharedArrayBuffer;
  /** The table of its descriptors, where it may have several threads: wasi/shared-descriptors.ts. */
  readonly descriptors: SharedArrayBuffer | undefined;
  /** Where its threads wait for words of its memory: atomic-wait.ts. */
  readonly waits: SharedArrayBuffer;
  /** signal-state.ts */
  readonly signals: SharedArrayBuffer;
  /** What rings for the first thread where it waits for descriptors of the host. */
  readonly bell: number;
  /** What all programs of its virtual kernel may have together: limits.ts. Missing: any. */
  readonly limits?:
    | { readonly memory: SharedArrayBuffer; readonly place: number; readonly numbers: SharedArrayBuffer }
    | undefined;
  /** What it has of its parent's, by number. */
  readonly given: readonly GivenDescriptor[];
  /** What its memory begins with, where it is the thread that writes it. */
  readonly image: ProgramImage | undefined;
  /** Of a program of which there may be snapshots: snapshots/snapshot-cell.ts. */
  readonly snapshot?:
    | { readonly memory: SharedArrayBuffer; readonly globals: readonly KeptGlobal[] }
    | undefined;
  /** Of a program that can be parked: its globals. */
  readonly parkable?: readonly KeptGlobal[] | undefined;
  /** It was parked, and goes on. */
  readonly resume?: ResumeGuest | undefined;
  readonly pid: bigint;
  readonly node: number;
  readonly vkernel: number;
}

export function createChannel(): SharedArrayBuffer {
  return new SharedArrayBuffer(headerBytes + payloadBytesMax);
}

export interface KernelAnswer {
  readonly errno: number;
  /** A copy. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The guest's end of the channel. */
export class KernelCaller {
  readonly #words: Int32Array;
  readonly #channel: SharedArrayBuffer;
  readonly #lease: LeaseWatch;
  readonly #post: (message: GuestMessage) => void;
  /** Of a program of which there may be snapshots: what its globals are at a call. */
  snapshot: { readonly cell: { readonly asked: boolean }; readonly note: () => void } | undefined;
  /** Of a program that can be parked. */
  parking:
    | {
        readonly mayLeave: boolean;
        readonly takeAnswer: (call: string) => KernelAnswer | undefined;
        readonly useArea: (area: ParkArea) => void;
      }
    | undefined;

  constructor(channel: SharedArrayBuffer, lease: LeaseCell, post: (message: GuestMessage) => void) {
    this.#channel = channel;
    this.#lease = new LeaseWatch(lease);
    this.#words = new Int32Array(channel, 0, headerBytes / 4);
    this.#post = post;
  }

  /**
   * Returns only while the process may go on. One that must end, or whose lease of shared memory is over, may have read
   * pages that are no longer its own: nothing that it does with them may be seen by others.
   */
  expectRunning(): void {
    // Most have no lease, ever, and nobody ends them: two reads say so, which are not atomic, as those take longer than a clock. What
    // a program has read of a page that was taken from it, it read after this word was set.
    if (this.#lease.isIdle && this.#words[endingWord] === 0) return;
    this.#waitUntilRunning();
  }

  #waitUntilRunning(): void {
    // In this order: a lease that ended processes is no lease then.
    while (!this.#lease.lasts || Atomics.load(this.#words, endingWord) !== 0)
      Atomics.wait(this.#words, endingWord, Atomics.load(this.#words, endingWord), LOOK_AGAIN_MS);
  }

  /** For a thread that was told ahead of its memory. */
  waitForMemory(): void {
    while (Atomics.load(this.#words, memoryWord) === 0) Atomics.wait(this.#words, memoryWord, 0);
  }

  /** While somebody watches, as far as there is room for it: who calls without end fills no memory. */
  tell(what: 'SYSCALL' | 'TIMEOUT', name: string): void {
    if (this.#words[traceWord] === 0) return;
    const room = Atomics.load(this.#words, traceWord);
    if (room > 1 && Atomics.compareExchange(this.#words, traceWord, room, room - 1) === room)
      this.#post({ kind: 'transfer', what, name });
    else if (room > 0) Atomics.add(this.#words, untoldWord, 1);
  }

  /** Blocks until the main thread has answered. @throws Leave */
  call(request: KernelRequest): KernelAnswer {
    const answered = this.parking?.takeAnswer(request.call);
    if (answered !== undefined) return answered;
    this.snapshot?.note();
    Atomics.store(this.#words, turnWord, WAITS);
    this.#post({ kind: 'request', request, mayLeave: this.parking?.mayLeave === true });
    while (Atomics.load(this.#words, turnWord) === WAITS) Atomics.wait(this.#words, turnWord, WAITS);
    if (Atomics.load(this.#words, turnWord) === LEAVE) throw new Leave();
    const errno = this.#words[errnoWord]!;
    const length = this.#words[lengthWord]!;
    return {
      errno,
      payload: new Uint8Array(this.#channel, headerBytes, length).slice() as Uint8Array<ArrayBuffer>,
    };
  }
}

/** The main thread's end of the channel. */
export class KernelAnswerer {
  readonly #words: Int32Array;
  readonly #payload: Uint8Array;

  constructor(channel: SharedArrayBuffer) {
    this.#words = new Int32Array(channel, 0, headerBytes / 4);
    this.#payload = new Uint8Array(channel, headerBytes);
  }

  /** The process must end: the thread does nothing more that others could see. Call it before its memory goes. */
  end(): void {
    Atomics.store(this.#words, endingWord, 1);
  }

  /** The thread was told ahead of its memory, which is there now. */
  memoryIsThere(): void {
    Atomics.store(this.#words, memoryWord, 1);
    Atomics.notify(this.#words, memoryWord);
  }

  /** So many transfers may be told from now on; undefined: none, for nobody watches. */
  allowTransfers(count: number | undefined): void {
    Atomics.store(this.#words, traceWord, count === undefined ? 0 : count + 1);
  }

  /** Transfers that were too many to tell since the last time. */
  takeUntold(): number {
    return Atomics.exchange(this.#words, untoldWord, 0);
  }

  /** The thread, which waits for an answer, is to leave its program. Not one that was answered. */
  leave(): void {
    Atomics.store(this.#words, turnWord, LEAVE);
    Atomics.notify(this.#words, turnWord);
  }

  answer(errno: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.#payload.set(payload);
    this.#words[errnoWord] = errno;
    this.#words[lengthWord] = payload.length;
    Atomics.store(this.#words, turnWord, ANSWERED);
    Atomics.notify(this.#words, turnWord);
  }
}

/** Payloads of numbers: 64-bit words, little-endian. */
export function packWords(...values: bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setBigUint64(i * 8, value, true);
  });
  return bytes;
}

export function unpackWord(payload: Uint8Array<ArrayBuffer>, index: number): bigint {
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(index * 8, true);
}
