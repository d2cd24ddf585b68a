// The guest's linear memory, as the system calls see it.
//
// It is shared and demand-paged. A read or write here may fault and wait for its page; that is fine in the guest's
// own thread. A system call of the host that meets a page which is not there, or not to be written, fails with EFAULT instead: files
// are read and written in the memory itself where that goes (`itself`), and all else by copies.

import type { SignalGate } from '../signal-state.ts';
import { Errno, WasiError } from './errno.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

/** More than any path; a longer one is not even copied. */
const stringBytesMax = 1 << 16;

interface Range {
  readonly at: number;
  readonly end: number;
}

const without = (ranges: readonly Range[], { at, end }: Range): Range[] =>
  ranges
    .flatMap((range) => [
      { at: range.at, end: Math.min(range.end, at) },
      { at: Math.max(range.at, end), end: range.end },
    ])
    .filter((range) => range.at < range.end);

export class GuestMemory {
  readonly #memory: WebAssembly.Memory;
  /** Returns only while the process may go on. */
  readonly expectRunning: () => void;
  /** Signals of the thread, where it has any. */
  gate: Pick<SignalGate, 'hold' | 'release' | 'deliver' | 'within' | 'isDue'> | undefined;
  /** Hears of system calls, and of waits that time out. */
  transfers: { tell(what: 'SYSCALL' | 'TIMEOUT', name: string): void } | undefined;
  /** What a mapping lets the guest only read. */
  #readOnly: Range[] = [];
  /** Another thread may map what it likes, and its faults may end the process. */
  hasThreads = false;
  /** Of dataspaces. */
  #shared: Range[] = [];
  #bytes: Uint8Array;
  #view: DataView;
  #byteLength: number;
  #base: number | undefined;

  constructor(memory: WebAssembly.Memory, expectRunning: () => void = () => {}) {
    this.#memory = memory;
    this.expectRunning = expectRunning;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#byteLength = this.#bytes.length;
  }

  /**
   * The memory as it is now, after a check of [at, at + length), both unsigned (the dispatcher sees to that): EFAULT
   * when it leaves the memory. The only way to the views below: they are renewed here.
   */
  #readable(at: number, length: number): this {
    if (!this.isThere(at, length)) throw new WasiError(Errno.fault);
    return this;
  }

  /** Its length now: the guest may have grown it since we looked. A memory stays where it is, and becomes no smaller. */
  #grown(): number {
    const { buffer } = this.#memory;
    if (buffer !== this.#bytes.buffer) {
      this.#bytes = new Uint8Array(buffer);
      this.#view = new DataView(buffer);
      this.#byteLength = this.#bytes.length;
    }
    return this.#byteLength;
  }

  /** The same for a write: EFAULT where the guest itself may not write. */
  #writable(at: number, length: number): this {
    if (this.#readOnly.length > 0 && this.#isReadOnly(at, length)) throw new WasiError(Errno.fault);
    return this.#readable(at, length);
  }

  /** What a range shows from now on. */
  mapped(at: number, length: number, what: 'shared' | 'shared-read-only' | 'private'): void {
    const range = { at, end: at + length };
    this.#shared = without(this.#shared, range);
    this.#readOnly = without(this.#readOnly, range);
    if (what !== 'private') this.#shared.push(range);
    if (what === 'shared-read-only') this.#readOnly.push(range);
  }

  /**
   * A system call may read these bytes themselves. Not where they may be taken away while it runs: a lease of shared memory that ends, or a
   * process that ends for a fault of another thread. After a copy that is seen (`expectRunning`) before anything is done with it.
   */
  lends(at: number, length: number): boolean {
    if (this.hasThreads || this.#shared.length === 0) return !this.hasThreads;
    return !this.#shared.some((range) => at < range.end && range.at < at + length);
  }

  // A read may have waited for its page, and the process may have been ended meanwhile.
  #seen<T>(value: T): T {
    this.expectRunning();
    return value;
  }

  get byteLength(): number {
    return this.#grown();
  }

  u8(at: number): number {
    return this.#seen(this.#readable(at, 1).#view.getUint8(at));
  }

  u16(at: number): number {
    return this.#seen(this.#readable(at, 2).#view.getUint16(at, true));
  }

  u32(at: number): number {
    return this.#seen(this.#readable(at, 4).#view.getUint32(at, true));
  }

  /** An iovec. EFAULT when what it says leaves the memory. */
  slice(entry: number): GuestSlice {
    const view = this.#readable(entry, 8).#view;
    const at = view.getUint32(entry, true);
    const length = view.getUint32(entry + 4, true);
    this.expectRunning();
    this.#readable(at, length);
    return { at, length };
  }

  u64(at: number): bigint {
    return this.#seen(this.#readable(at, 8).#view.getBigUint64(at, true));
  }

  setU8(at: number, value: number): void {
    this.#writable(at, 1).#view.setUint8(at, value);
  }

  setU16(at: number, value: number): void {
    this.#writable(at, 2).#view.setUint16(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.#writable(at, 4).#view.setUint32(at, value, true);
  }

  setU64(at: number, value: bigint): void {
    this.#writable(at, 8).#view.setBigUint64(at, value, true);
  }

  /** The current value of an aligned word, read atomically. EINVAL when it is not aligned. */
  atomicU32(at: number): number {
    const { buffer } = this.#readable(at, 4).#bytes;
    if (at % 4 !== 0) throw new WasiError(Errno.inval);
    return this.#seen(Atomics.load(new Uint32Array(buffer, at, 1), 0));
  }

  /** As `memory.atomic.wait` reads it. */
  atomicI32(at: number): number {
    const { buffer } = this.#readable(at, 4).#bytes;
    return this.#seen(Atomics.load(new Int32Array(buffer, at, 1), 0));
  }

  atomicI64(at: number): bigint {
    const { buffer } = this.#readable(at, 8).#bytes;
    return this.#seen(Atomics.load(new BigInt64Array(buffer, at, 1), 0));
  }

  /** A copy of the bytes, not shared. */
  copyOut(at: number, length: number): Uint8Array<ArrayBuffer> {
    // slice() of a view makes an array of its own, in unshared memory.
    const copy = this.#readable(at, length).#bytes.slice(at, at + length);
    return this.#seen(copy) as Uint8Array<ArrayBuffer>;
  }

  /** The bytes themselves: only to copy from at once, and then to `expectRunning`. */
  view(at: number, length: number): Uint8Array {
    return this.#readable(at, length).#bytes.subarray(at, at + length);
  }

  /** All of the memory, after a check of a range: for a system call, which says EFAULT where a page of it is not there. */
  itself(at: number, length: number): Uint8Array {
    return this.#readable(at, length).#bytes;
  }

  /** An iovec, where the guest may read or write all that it says; undefined: `slice` and the other checks say why not. */
  sliceTo(what: 'read' | 'write', entry: number): GuestSlice | undefined {
    if (!this.isThere(entry, 8)) return undefined;
    const at = this.#view.getUint32(entry, true);
    const length = this.#view.getUint32(entry + 4, true);
    this.expectRunning();
    return (what === 'read' ? this.isThere(at, length) : this.mayWrite(at, length))
      ? { at, length }
      : undefined;
  }

  /** It is memory of the guest. */
  isThere(at: number, length: number): boolean {
    return at + length <= this.#byteLength || at + length <= this.#grown();
  }

  /** The guest itself may write there. */
  mayWrite(at: number, length: number): boolean {
    const { length: mappings } = this.#readOnly;
    return (mappings === 0 || !this.#isReadOnly(at, length)) && this.isThere(at, length);
  }

  #isReadOnly(at: number, length: number): boolean {
    return this.#readOnly.some((range) => at < range.end && range.at < at + length);
  }

  /** Where a range is, after a check of it: for a call of the host. @param baseOf says where the memory begins, which stays there */
  addressOf(at: number, length: number, baseOf: (memory: Uint8Array) => number): number {
    const bytes = this.#readable(at, length).#bytes;
    this.#base ??= baseOf(bytes);
    return this.#base + at;
  }

  copyIn(at: number, bytes: Uint8Array): void {
    this.#writable(at, bytes.length).#bytes.set(bytes, at);
  }

  fillZero(at: number, length: number): void {
    this.#writable(at, length).#bytes.fill(0, at, at + length);
  }

  /** A path, one character a byte: what it names need not be UTF-8. ENAMETOOLONG when nothing could have it. */
  path(at: number, length: number): string {
    if (length > stringBytesMax) throw new WasiError(Errno.nametoolong);
    return Buffer.from(this.copyOut(at, length).buffer).toString('latin1');
  }

  /** EILSEQ when it is not UTF-8, ENAMETOOLONG when it is no name that anything could have. */
  string(at: number, length: number): string {
    if (length > stringBytesMax) throw new WasiError(Errno.nametoolong);
    const bytes = this.copyOut(at, length);
    try {
      return decoder.decode(bytes);
    } catch {
      throw new WasiError(Errno.ilseq);
    }
  }

  /** Checks that a result of so many bytes can be stored, before anything is done that could not be undone. */
  expectWritable(at: number, length: number): void {
    this.#writable(at, length);
  }

  /** Checks that so many bytes can be read. */
  expectReadable(at: number, length: number): void {
    this.#readable(at, length);
  }
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** One buffer of a scatter or gather list. */
export interface GuestSlice {
  readonly at: number;
  readonly length: number;
}

/** As POSIX has it (IOV_MAX). */
const slicesMax = 1024;

/** Reads an array of iovec or ciovec. EINVAL when it is too long, EFAULT when one leaves the memory. */
export function guestSlices(memory: GuestMemory, at: number, count: number): GuestSlice[] {
  const slices: GuestSlice[] = [];
  if (count > slicesMax) throw new WasiError(Errno.inval);
  for (let i = 0; i < count; i++) {
    const slice = memory.slice(at + i * 8);
    if (count === 1 && slice.length > 0) return [slice];
    if (slice.length > 0) slices.push(slice);
  }
  return slices;
}
