// Output on its way from a guest's thread to the main thread: a ring of bytes in shared memory.
//
// A program that writes byte by byte costs one copy a write, and no message: the main thread is rung only when it is
// not awake already, and takes whatever gathered meanwhile in one piece. The writer waits while the ring is full.
//
//   words   0 head (bytes ever written)   1 tail (bytes ever taken)   2 rung (the reader was told)   3 lock of those that write
//           4 streams that nobody reads any more, a bit each
//   bytes   32 ... records: stream << 24 | length, little-endian; then so many bytes; all of it wraps around

import { Mutex } from './mutex.ts';
import { Errno, WasiError } from './wasi/errno.ts';

const headWord = 0;
const tailWord = 1;
const rungWord = 2;
const lockWord = 3;
const closedWord = 4;
const wordsBytes = 32;
const headerBytes = 4;
const ringBytes = 1 << 18;
const recordBytesMax = 1 << 15;

/** The most that is taken at once. */
export const outputBytesMax = 1 << 16;

export function createOutputRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(wordsBytes + ringBytes);
}

class Ring {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array;

  constructor(ring: SharedArrayBuffer) {
    this.words = new Int32Array(ring, 0, wordsBytes / 4);
    this.#bytes = new Uint8Array(ring, wordsBytes, ringBytes);
  }

  /** Bytes between tail and head; the counters wrap around at 2^32, of which the ring's size is a divisor. */
  get usedBytes(): number {
    return (Atomics.load(this.words, headWord) - Atomics.load(this.words, tailWord)) >>> 0;
  }

  isClosed(stream: 1 | 2): boolean {
    return (Atomics.load(this.words, closedWord) & (1 << stream)) !== 0;
  }

  put(at: number, bytes: Uint8Array): void {
    const start = (at >>> 0) % ringBytes;
    const first = bytes.subarray(0, ringBytes - start);
    this.#bytes.set(first, start);
    this.#bytes.set(bytes.subarray(first.length), 0);
  }

  get(at: number, bytes: Uint8Array): void {
    const start = (at >>> 0) % ringBytes;
    const first = Math.min(bytes.length, ringBytes - start);
    bytes.set(this.#bytes.subarray(start, start + first));
    bytes.set(this.#bytes.subarray(0, bytes.length - first), first);
  }
}

/** The guest's end, one in each of its threads. */
export class OutputWriter {
  readonly #ring: Ring;
  readonly #lock: Mutex;
  readonly #tell: () => void;
  readonly #header = new Uint8Array(headerBytes);
  readonly #headerView = new DataView(this.#header.buffer);

  /** @param tell rings the main thread */
  constructor(ring: SharedArrayBuffer, tell: () => void) {
    this.#ring = new Ring(ring);
    this.#tell = tell;
    this.#lock = new Mutex(this.#ring.words, lockWord);
  }

  /** Writes all, with nothing of other threads between; blocks while the ring is full. @throws WasiError EPIPE */
  write(stream: 1 | 2, bytes: Uint8Array): void {
    this.#lock.with(() => this.#write(stream, bytes));
  }

  #write(stream: 1 | 2, bytes: Uint8Array): void {
    const { words } = this.#ring;
    let done = 0;
    while (done < bytes.length) {
      if (this.#ring.isClosed(stream)) throw new WasiError(Errno.pipe);
      const tail = Atomics.load(words, tailWord);
      const room = ringBytes - this.#ring.usedBytes - headerBytes;
      if (room <= 0) {
        Atomics.wait(words, tailWord, tail);
        continue;
      }
      const length = Math.min(bytes.length - done, room, recordBytesMax);
      const head = Atomics.load(words, headWord);
      this.#headerView.setUint32(0, (stream << 24) | length, true);
      this.#ring.put(head, this.#header);
      this.#ring.put(head + headerBytes, bytes.subarray(done, done + length));
      Atomics.store(words, headWord, (head + headerBytes + length) | 0);
      if (Atomics.exchange(words, rungWord, 1) === 0) this.#tell();
      done += length;
    }
  }
}

export interface OutputPiece {
  readonly stream: 1 | 2;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The main thread's end. */
export class OutputReader {
  readonly #ring: Ring;
  readonly #header = new Uint8Array(headerBytes);
  readonly #headerView = new DataView(this.#header.buffer);

  constructor(ring: SharedArrayBuffer) {
    this.#ring = new Ring(ring);
  }

  /** Call it when rung, before anything is taken: what is written from now on rings again. */
  answerRing(): void {
    Atomics.store(this.#ring.words, rungWord, 0);
  }

  /** A write to it is EPIPE from now on; what is there already is to be taken all the same, for a writer may wait for room. */
  close(stream: 1 | 2): void {
    Atomics.or(this.#ring.words, closedWord, 1 << stream);
    Atomics.notify(this.#ring.words, tailWord);
  }

  isClosed(stream: 1 | 2): boolean {
    return this.#ring.isClosed(stream);
  }

  /** The next bytes of one stream, as many records as fit; undefined when there are none. */
  take(): OutputPiece | undefined {
    const { words } = this.#ring;
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let stream: 1 | 2 | undefined;
    let total = 0;
    let tail = Atomics.load(words, tailWord);
    for (let used = this.#ring.usedBytes; used > 0; ) {
      this.#ring.get(tail, this.#header);
      const word = this.#headerView.getUint32(0, true);
      const length = word & 0xffffff;
      const of = (word >>> 24) as 1 | 2;
      stream ??= of;
      if (of !== stream || total + length > outputBytesMax) break;
      const chunk = new Uint8Array(length);
      this.#ring.get(tail + headerBytes, chunk);
      chunks.push(chunk);
      total += length;
      tail = (tail + headerBytes + length) | 0;
      used -= headerBytes + length;
    }
    if (stream === undefined) return undefined;
    Atomics.store(words, tailWord, tail);
    Atomics.notify(words, tailWord);
    const [only] = chunks;
    return { stream, data: chunks.length === 1 ? only! : new Uint8Array(Buffer.concat(chunks)) };
  }
}

/** What may be on its way to the reader of a process's output: enough to keep a stream busy, and no more. */
export const untakenBytesMax = 1 << 20;
export const untakenPiecesMax = 256;

/** Output that was sent and not taken yet. */
export class OutputWindow {
  #lengths: number[] = [];
  #bytes = 0;
  /** Bytes of the first piece that were taken. */
  #takenOfFirst = 0;

  get isOpen(): boolean {
    return this.#bytes < untakenBytesMax && this.#lengths.length < untakenPiecesMax;
  }

  sent(bytes: number): void {
    this.#lengths.push(bytes);
    this.#bytes += bytes;
  }

  taken(bytes: number): void {
    this.#bytes = Math.max(0, this.#bytes - bytes);
    this.#takenOfFirst += bytes;
    while (this.#lengths.length > 0 && this.#takenOfFirst >= this.#lengths[0]!) {
      this.#takenOfFirst -= this.#lengths.shift()!;
    }
    if (this.#lengths.length === 0) this.#takenOfFirst = 0;
  }

  /** Nobody will take what was sent. */
  forget(): void {
    this.#lengths = [];
    this.#bytes = 0;
    this.#takenOfFirst = 0;
  }
}
