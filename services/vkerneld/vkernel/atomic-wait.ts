// `memory.atomic.wait32`, `wait64` and `notify` of a program, as calls of ours (wasm/waits.ts says why): threads of one process that
// wait for words of its memory.
//
// A thread has a place of its own in shared memory, with the address that it waits for and a word that it sleeps on. It looks at the
// value after it has said that it waits; who changes it and then wakes finds it there, or the value was seen changed.
//
//   header   words   0 lock   1 places in use   2 who came last
//   places   words   0 the address / 4 and 1; 0: none   1 asleep (0) or woken (1)   2 who came in which order

import { Mutex } from './mutex.ts';
import type { GuestMemory } from './wasi/guest-memory.ts';
import { waitExports } from './wasm/waits.ts';

const LOCK = 0;
const WAITING = 1;
const LAST = 2;
const HEADER = 4;
const PLACE = 4;
const AT = 0;
const WOKEN = 1;
const ORDER = 2;

/** What a wait answers. */
const [OK, NOT_EQUAL, TIMED_OUT] = [0, 1, 2];
const NS_PER_MS = 1e6;

/** (func (import "w" "notify")), wait32, wait64, each exported as it is: only such functions go into a table. */
const adapter = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 24, 3],
  ...[0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f],
  ...[0x60, 4, 0x7f, 0x7f, 0x7e, 0x7f, 1, 0x7f],
  ...[0x60, 4, 0x7f, 0x7e, 0x7e, 0x7f, 1, 0x7f],
  ...[2, 19, 3, ...[1, 0x77, 1, 0x30, 0, 0], ...[1, 0x77, 1, 0x31, 0, 1], ...[1, 0x77, 1, 0x32, 0, 2]],
  ...[7, 13, 3, ...[1, 0x30, 0, 0], ...[1, 0x31, 0, 1], ...[1, 0x32, 0, 2]],
]);

/** (memory 1) and loads of a word of it, atomically: one at the address that it is given. */
const trapping = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 5, 1, 0x60, 1, 0x7f, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 8, 1, 4, ...Buffer.from('trap'), 0, 0],
  ...[10, 11, 1, 9, 0, 0x20, 0, 0xfe, 0x10, 2, 0, 0x1a, 0x0b],
]);
const [OUT_OF_BOUNDS, UNALIGNED] = [-4, 2];

/** One of V8's own: what is thrown in JavaScript, whatever it is, handlers of the program would catch. */
function trap(address: number): void {
  const { trap } = new WebAssembly.Instance(new WebAssembly.Module(trapping)).exports;
  (trap as (address: number) => void)(address);
}

export class AtomicWait {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #lock: Mutex;
  readonly #memory: GuestMemory;
  readonly #place: number;

  /** @param place of this thread; no other of the process has it */
  constructor(lot: SharedArrayBuffer, memory: GuestMemory, place: number) {
    this.#words = new Int32Array(lot);
    this.#lock = new Mutex(this.#words, LOCK);
    this.#memory = memory;
    this.#place = HEADER + place * PLACE;
  }

  static lot(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer((HEADER + threads * PLACE) * 4);
  }

  /** Gives an instance its calls; then what it has to run at its start may run. */
  serve(exports: WebAssembly.Exports): void {
    const table = exports[waitExports.table];
    if (!(table instanceof WebAssembly.Table)) return;
    const functions = new WebAssembly.Instance(new WebAssembly.Module(adapter), {
      w: {
        0: (address: number, count: number, offset: number) =>
          this.#within(() => this.#notify(address, count, offset)),
        1: (address: number, expected: number, timeoutNs: bigint, offset: number) =>
          this.#within(() =>
            this.#wait(
              this.#at(address, offset, 4),
              timeoutNs,
              (at) => this.#memory.atomicI32(at) === expected,
            ),
          ),
        2: (address: number, expected: bigint, timeoutNs: bigint, offset: number) =>
          this.#within(() =>
            this.#wait(
              this.#at(address, offset, 8),
              timeoutNs,
              (at) => this.#memory.atomicI64(at) === expected,
            ),
          ),
      },
    }).exports;
    for (let i = 0; i < table.length; i++) table.set(i, functions[i]);
    const start = exports[waitExports.start];
    if (typeof start === 'function') start();
  }

  #within(call: () => number): number {
    return this.#memory.gate?.within(call) ?? call();
  }

  /** Traps as V8 does. */
  #at(address: number, offset: number, bytes: number): number {
    const at = (address >>> 0) + (offset >>> 0);
    if (at + bytes > this.#memory.byteLength) trap(OUT_OF_BOUNDS);
    if (at % bytes !== 0) trap(UNALIGNED);
    return at;
  }

  #wait(at: number, timeoutNs: bigint, isExpected: (at: number) => boolean): number {
    const words = this.#words;
    const place = this.#place;
    // Its page is there before others have to wait for us.
    if (!isExpected(at)) return NOT_EQUAL!;
    this.#lock.lock();
    Atomics.add(words, WAITING, 1);
    words[place + ORDER] = ++words[LAST]!;
    Atomics.store(words, place + WOKEN, 0);
    Atomics.store(words, place + AT, at / 4 + 1);
    this.#lock.unlock();
    if (isExpected(at)) {
      const timeoutMs = timeoutNs < 0n ? Number.POSITIVE_INFINITY : Number(timeoutNs) / NS_PER_MS;
      Atomics.wait(words, place + WOKEN, 0, timeoutMs);
      this.#memory.expectRunning();
      return this.#leave() ? OK! : TIMED_OUT!;
    }
    // One that it was given meanwhile it has had.
    return this.#leave() ? OK! : NOT_EQUAL!;
  }

  /** True: it was woken. */
  #leave(): boolean {
    const words = this.#words;
    return this.#lock.with(() => {
      Atomics.sub(words, WAITING, 1);
      Atomics.store(words, this.#place + AT, 0);
      return words[this.#place + WOKEN] === 1;
    });
  }

  /** How many it woke: those first that have waited longest. */
  #notify(address: number, count: number, offset: number): number {
    const at = this.#at(address, offset, 4);
    const words = this.#words;
    if (Atomics.load(words, WAITING) === 0) return 0;
    return this.#lock.with(() => {
      const found: number[] = [];
      for (let place = HEADER; place < words.length; place += PLACE)
        if (words[place + AT] === at / 4 + 1) found.push(place);
      if (found.length > 1) found.sort((a, b) => (words[a + ORDER]! - words[b + ORDER]!) | 0);
      const chosen = found.slice(0, count >>> 0);
      for (const place of chosen) {
        Atomics.store(words, place + AT, 0);
        Atomics.store(words, place + WOKEN, 1);
        Atomics.notify(words, place + WOKEN);
      }
      return chosen.length;
    });
  }
}
